-- tally: no-transaction
-- Parties that are asked to be registered, found by their ids before the directory has told of them.
CREATE INDEX CONCURRENTLY IF NOT EXISTS command_registering ON command (subject)
    WHERE type = 'directory.party.register.v1';
