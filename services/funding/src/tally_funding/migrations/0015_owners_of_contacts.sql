-- Wallets of contacts that the directory told of first were entered as a party's: by the books they are
-- the contact's until they are claimed. Such wallets are few, and found by their accounts.
SELECT set_config('tally.tenant', '*', true);
UPDATE claimable_wallet w SET owner = a.owner, period = replace(w.period, ':wallet:', ':payment:')
FROM allocation a
WHERE a.account = w.account AND w.owner <> a.owner
  AND (a.owner LIKE 'event:%' OR a.owner LIKE 'contact:%');
