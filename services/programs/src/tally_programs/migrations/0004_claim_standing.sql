-- tally: no-transaction
-- Claims that wait for the company.

CREATE INDEX CONCURRENTLY IF NOT EXISTS claim_standing ON claim (state) WHERE state = 'submitted';
