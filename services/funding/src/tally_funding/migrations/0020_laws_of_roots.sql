-- Clocks by no law that is entered, for which neither the owner nor a company names a country, go by the
-- root's: the service sets them. Of roots elsewhere nothing changes.
SELECT set_config('tally.tenant', '*', true);
UPDATE claimable_wallet w SET ask_law = true
FROM party_place root
WHERE root.party_id = w.tenant AND root.registered AND root.country = 'US'
  AND w.jurisdiction = 'elsewhere'
  AND w.dormancy IN ('active', 'dormant', 'notice_sent', 'reportable')
  AND NOT EXISTS (
      SELECT FROM party_place o
      WHERE o.party_id = regexp_replace(w.owner, '^restricted:', '') AND o.registered
        AND o.country IS NOT NULL)
  AND NOT EXISTS (
      SELECT FROM allocation a JOIN pay_in p ON p.pay_in_id = a.pay_in_id
          JOIN party_place c ON c.party_id = p.company
      WHERE a.account = w.account AND c.registered AND c.country IS NOT NULL);
