-- tally: no-transaction
-- A known owner may have several wallets in one currency.
CREATE INDEX CONCURRENTLY IF NOT EXISTS claimable_wallet_owner ON claimable_wallet (owner);
