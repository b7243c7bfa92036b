-- tally: no-transaction
-- Payments that wait for people or for the ledger.

CREATE INDEX CONCURRENTLY IF NOT EXISTS payment_standing ON payment (state)
    WHERE state IN ('proposed', 'approved');
