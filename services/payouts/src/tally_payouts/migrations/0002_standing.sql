-- tally: no-transaction
-- Payouts that stand somewhere, for whoever watches how long they do.

CREATE INDEX CONCURRENTLY IF NOT EXISTS payout_standing ON payout (state)
    WHERE state NOT IN ('paid', 'returned', 'failed', 'rejected', 'cancelled');
