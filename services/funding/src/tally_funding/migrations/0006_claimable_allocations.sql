-- tally: no-transaction
-- Which accounts are wallets of unknown payees: nearly always none of those a journal names.
CREATE INDEX CONCURRENTLY IF NOT EXISTS allocation_claimable ON allocation (account)
    WHERE owner LIKE 'event:%' OR owner LIKE 'contact:%';
