-- tally: no-transaction
-- Which accounts hold restricted money: nearly always none of those a journal names.
CREATE INDEX CONCURRENTLY IF NOT EXISTS allocation_restricted ON allocation (account)
    WHERE owner LIKE 'restricted:%';
