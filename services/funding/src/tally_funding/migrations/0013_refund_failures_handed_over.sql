-- A failed refund that no return is of is a person's once its case opens: what it took is not given back
-- by itself any more.
SELECT set_config('tally.tenant', '*', true);
ALTER TABLE card_refund_failure ADD COLUMN handed_over_at timestamptz;
UPDATE card_refund_failure f SET handed_over_at = c.opened_at
FROM suspense_case c
WHERE f.return_id IS NULL AND c.pay_in_id = f.pay_in_id AND c.reason_code = 'card_refund_failed'
  AND c.detail = 'refund ' || f.refund;
