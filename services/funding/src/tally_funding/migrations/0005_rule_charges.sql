-- What rules charge beside pay-ins: asked of the ledger once the pay-in is allocated.

CREATE TABLE rule_charge (
    charge_id text COLLATE "C" PRIMARY KEY,
    pay_in_id text COLLATE "C" NOT NULL REFERENCES pay_in,
    tenant text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    payer text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    journal_id text COLLATE "C" NOT NULL UNIQUE,
    actor text NOT NULL,
    principal text NOT NULL,
    channel text COLLATE "C" NOT NULL,
    country text COLLATE "C",
    program text COLLATE "C" NOT NULL,
    event text NOT NULL,
    reason text NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('asked', 'taken', 'refused')),
    code text COLLATE "C",
    asked_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT rule_charge_refused_with_a_code CHECK ((state = 'refused') = (code IS NOT NULL))
);
CREATE INDEX rule_charge_pay_in ON rule_charge (pay_in_id);

ALTER TABLE rule_charge ENABLE ROW LEVEL SECURITY;
ALTER TABLE rule_charge FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON rule_charge USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
