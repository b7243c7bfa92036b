-- tally: no-transaction
-- Which accounts hold restricted money, and what releases it: nearly always none of those asked about.
CREATE INDEX CONCURRENTLY IF NOT EXISTS allocation_restricted ON allocation (account)
    WHERE owner LIKE 'restricted:%';
CREATE INDEX CONCURRENTLY IF NOT EXISTS movement_released ON movement (owner, started_at)
    WHERE reason = 'released' AND state = 'moved';
