-- tally: no-transaction
-- Of the pay-ins the ledger has posted, those with shares for unknown payees: nearly always none.
CREATE INDEX CONCURRENTLY IF NOT EXISTS allocation_claimable ON allocation (pay_in_id)
    WHERE owner LIKE 'event:%' OR owner LIKE 'contact:%';
