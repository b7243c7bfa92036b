-- tally: no-transaction
-- Clocks whose law is to be asked, in the order in which wallets are locked.
CREATE INDEX CONCURRENTLY IF NOT EXISTS claimable_wallet_ask_law ON claimable_wallet (account)
    WHERE ask_law;
