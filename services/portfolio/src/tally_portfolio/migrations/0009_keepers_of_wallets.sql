-- Wallets opened before they had keepers: a grant is listed to whoever keeps the wallet it is of.
SELECT set_config('tally.tenant', '*', true);
INSERT INTO keeper (thing, party) SELECT wallet_id, owner FROM wallet ON CONFLICT DO NOTHING;
SELECT set_config('tally.tenant', '', true);
