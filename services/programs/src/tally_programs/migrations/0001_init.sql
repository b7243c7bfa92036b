-- Programs and their documents, budgets, payables, payments and claims; each row belongs to a tenant.

CREATE TABLE program (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL UNIQUE,
    company text COLLATE "C" NOT NULL,
    title text NOT NULL,
    policy_versions integer NOT NULL,
    fees_versions integer NOT NULL,
    funding_order_versions integer NOT NULL,
    sequence integer NOT NULL CHECK (sequence > 0)
);

-- Versions are never changed: what was decided under one can be decided again (X8).
CREATE TABLE document (
    tenant text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL REFERENCES program,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('policy', 'fees', 'funding_order')),
    version integer NOT NULL CHECK (version > 0),
    effective_from timestamptz NOT NULL,
    effective_until timestamptz CHECK (effective_until > effective_from),
    body jsonb NOT NULL,
    PRIMARY KEY (program_id, kind, version)
);

CREATE TABLE budget (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL REFERENCES program,
    parent text COLLATE "C" REFERENCES budget,
    path text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    wallet text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount >= 0),
    allocated numeric(38, 0) NOT NULL CHECK (allocated >= 0),
    reserved numeric(38, 0) NOT NULL CHECK (reserved >= 0),
    used numeric(38, 0) NOT NULL CHECK (used >= 0),
    sequence integer NOT NULL CHECK (sequence > 0),
    CONSTRAINT budget_is_never_exceeded CHECK (allocated + reserved + used <= amount)
) WITH (fillfactor = 60);
CREATE INDEX budget_of_holder ON budget (program_id, holder);
CREATE INDEX budget_below ON budget (parent) WHERE parent IS NOT NULL;

CREATE TABLE reservation (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    budget_id text COLLATE "C" NOT NULL REFERENCES budget,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    used numeric(38, 0) NOT NULL CHECK (used >= 0),
    reference text COLLATE "C" NOT NULL,
    open boolean NOT NULL,
    sequence integer NOT NULL CHECK (sequence > 0),
    CONSTRAINT reservation_is_never_exceeded CHECK (used <= amount)
);

CREATE TABLE payable (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL REFERENCES program,
    document text COLLATE "C" NOT NULL CHECK (document IN ('invoice', 'purchase_order')),
    number text COLLATE "C" NOT NULL,
    payer text COLLATE "C" NOT NULL,
    payee text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    due date NOT NULL,
    kind text COLLATE "C" NOT NULL,
    settled_by text COLLATE "C" NOT NULL CHECK (settled_by IN ('pay_in', 'payout', 'payment')),
    paid numeric(38, 0) NOT NULL CHECK (paid >= 0),
    cancelled boolean NOT NULL,
    sequence integer NOT NULL CHECK (sequence > 0),
    CONSTRAINT payable_number_is_taken_once UNIQUE (program_id, number)
);

-- What each pay-in, payout or payment counts for now. One told before its payable is has tenant *.
CREATE TABLE settlement (
    payable_id text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    settled_by text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount >= 0),
    sequence bigint NOT NULL,
    PRIMARY KEY (payable_id, reference)
);

CREATE TABLE payment (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL REFERENCES program,
    holder text COLLATE "C" NOT NULL,
    payee text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    rail text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    payable_id text COLLATE "C",
    policy_version integer NOT NULL,
    fees_version integer,
    payer_fee numeric(38, 0) NOT NULL CHECK (payer_fee >= 0),
    payee_fee numeric(38, 0) NOT NULL CHECK (payee_fee >= 0),
    draws jsonb NOT NULL,
    circumstances jsonb NOT NULL,
    approvals_needed integer NOT NULL,
    proposed_by text COLLATE "C" NOT NULL,
    approved_by jsonb NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'proposed', 'approved', 'rejected', 'paid', 'failed'
    )),
    reason_code text COLLATE "C",
    sequence integer NOT NULL CHECK (sequence > 0),
    CONSTRAINT payment_is_approved_by_enough CHECK (
        state NOT IN ('approved', 'paid', 'failed')
        OR jsonb_array_length(approved_by -> 'people') >= approvals_needed
    )
);

CREATE TABLE claim (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    program_id text COLLATE "C" NOT NULL REFERENCES program,
    budget_id text COLLATE "C" NOT NULL REFERENCES budget,
    reservation_id text COLLATE "C" NOT NULL REFERENCES reservation,
    holder text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    kind text COLLATE "C" NOT NULL,
    evidence text COLLATE "C" NOT NULL,
    submitted_by text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('submitted', 'approved', 'rejected')),
    granted numeric(38, 0) CHECK (granted > 0),
    reason text,
    sequence integer NOT NULL CHECK (sequence > 0),
    CONSTRAINT claim_grants_no_more_than_was_claimed CHECK (granted <= amount)
);

-- Whose wallet an account is, as the directory says: nobody funds a program from another's.
CREATE TABLE wallet (
    account text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL
);

-- What a command was answered, for when it comes again.
CREATE TABLE answer (
    tenant text COLLATE "C" NOT NULL,
    command_type text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    content text COLLATE "C" NOT NULL,
    fact_type text COLLATE "C" NOT NULL,
    fact jsonb NOT NULL,
    PRIMARY KEY (tenant, command_type, subject)
);

-- A reader sees one tenant's rows, named for the transaction; the service itself sees all with '*'.
ALTER TABLE program ENABLE ROW LEVEL SECURITY;
ALTER TABLE program FORCE ROW LEVEL SECURITY;
CREATE POLICY program_of_tenant ON program USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE document ENABLE ROW LEVEL SECURITY;
ALTER TABLE document FORCE ROW LEVEL SECURITY;
CREATE POLICY document_of_tenant ON document USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE budget ENABLE ROW LEVEL SECURITY;
ALTER TABLE budget FORCE ROW LEVEL SECURITY;
CREATE POLICY budget_of_tenant ON budget USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE reservation ENABLE ROW LEVEL SECURITY;
ALTER TABLE reservation FORCE ROW LEVEL SECURITY;
CREATE POLICY reservation_of_tenant ON reservation USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE payable ENABLE ROW LEVEL SECURITY;
ALTER TABLE payable FORCE ROW LEVEL SECURITY;
CREATE POLICY payable_of_tenant ON payable USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE settlement ENABLE ROW LEVEL SECURITY;
ALTER TABLE settlement FORCE ROW LEVEL SECURITY;
CREATE POLICY settlement_of_tenant ON settlement USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE payment ENABLE ROW LEVEL SECURITY;
ALTER TABLE payment FORCE ROW LEVEL SECURITY;
CREATE POLICY payment_of_tenant ON payment USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE claim ENABLE ROW LEVEL SECURITY;
ALTER TABLE claim FORCE ROW LEVEL SECURITY;
CREATE POLICY claim_of_tenant ON claim USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE wallet ENABLE ROW LEVEL SECURITY;
ALTER TABLE wallet FORCE ROW LEVEL SECURITY;
CREATE POLICY wallet_of_tenant ON wallet USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
ALTER TABLE answer ENABLE ROW LEVEL SECURITY;
ALTER TABLE answer FORCE ROW LEVEL SECURITY;
CREATE POLICY answer_of_tenant ON answer USING (
    tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*'
);
