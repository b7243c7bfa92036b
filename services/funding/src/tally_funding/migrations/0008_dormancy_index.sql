-- tally: no-transaction
-- Wallets that wait for a notice, for the end of its time, or for a filing: few at any time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS claimable_wallet_unclaimed
    ON claimable_wallet (dormancy, tenant, jurisdiction)
    WHERE dormancy IN ('dormant', 'notice_sent', 'reportable');
