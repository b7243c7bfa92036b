-- What becomes of a charge when its pay-in goes back, and which charge another one gives back.
ALTER TABLE rule_charge ADD COLUMN on_refund text COLLATE "C" NOT NULL DEFAULT 'keep'
    CHECK (on_refund IN ('keep', 'return'));
ALTER TABLE rule_charge ADD COLUMN returns text COLLATE "C";
-- Of rows that were there none returns another.
ALTER TABLE rule_charge ADD CONSTRAINT rule_charge_returns FOREIGN KEY (returns)
    REFERENCES rule_charge (charge_id) NOT VALID;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX rule_charge_returned ON rule_charge (returns) WHERE returns IS NOT NULL;
