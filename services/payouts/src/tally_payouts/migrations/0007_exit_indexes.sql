-- tally: no-transaction
-- What a party has out within a window of a limit.

CREATE INDEX CONCURRENTLY IF NOT EXISTS payout_leaving ON payout (owner, asked_at)
WHERE state IN ('submitting', 'unknown', 'submitted', 'in_transit', 'paid');
