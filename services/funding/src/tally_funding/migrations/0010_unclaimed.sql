-- Unclaimed money to its end: notices, filings by two people, and what comes back. The wallets of
-- known owners have clocks as those of unknown ones do, in the same table.
-- The account of an unknown owner is made of owner and currency: its key says the same.
-- squawk-ignore ban-drop-constraint
ALTER TABLE claimable_wallet DROP CONSTRAINT claimable_wallet_once_per_owner;
-- More states are allowed from now on; no reader that is still there sees one.
-- squawk-ignore ban-drop-constraint
ALTER TABLE claimable_wallet DROP CONSTRAINT claimable_wallet_dormancy_check;
ALTER TABLE claimable_wallet ADD CONSTRAINT claimable_wallet_dormancy_check CHECK (dormancy IN (
    'active', 'dormant', 'notice_sent', 'reportable', 'escheated', 'reclaimed', 'claimed')) NOT VALID;
ALTER TABLE claimable_wallet ADD COLUMN reportable_at timestamptz;
ALTER TABLE claimable_wallet ADD COLUMN filing_id text COLLATE "C";

-- What was posted to accounts before anything told whose they are: wallets take it over.
CREATE TABLE untold_balance (
    account text COLLATE "C" PRIMARY KEY,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE unclaimed_filing (
    filing_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    jurisdiction text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'proposed', 'remitting', 'filed', 'declined', 'void')),
    proposed_by text NOT NULL,
    decided_by text,
    note text,
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    proposed_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT unclaimed_filing_decided_by_another CHECK (
        (state = 'proposed') = (decided_by IS NULL) AND decided_by IS DISTINCT FROM proposed_by)
);

-- `amount` in minor units of the currency.
CREATE TABLE unclaimed_line (
    line_id text COLLATE "C" PRIMARY KEY,
    filing_id text COLLATE "C" NOT NULL REFERENCES unclaimed_filing,
    tenant text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    period text COLLATE "C" NOT NULL,
    last_activity_at timestamptz NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'proposed', 'dropped', 'remitting', 'remitted', 'refused')),
    code text COLLATE "C",
    changed_at timestamptz NOT NULL,
    CONSTRAINT unclaimed_line_refused_with_a_code CHECK ((state = 'refused') = (code IS NOT NULL))
);
CREATE INDEX unclaimed_line_filing ON unclaimed_line (filing_id);
CREATE INDEX unclaimed_line_account ON unclaimed_line (account);
CREATE UNIQUE INDEX unclaimed_line_open_once ON unclaimed_line (account)
    WHERE state IN ('proposed', 'remitting');

CREATE TABLE reclaim (
    reclaim_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    line_id text COLLATE "C" NOT NULL REFERENCES unclaimed_line,
    claimant text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL UNIQUE,
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'proposed', 'moving', 'moved', 'refused', 'declined')),
    code text COLLATE "C",
    proposed_by text NOT NULL,
    decided_by text,
    note text,
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    proposed_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT reclaim_decided_by_another CHECK (
        (state = 'proposed') = (decided_by IS NULL) AND decided_by IS DISTINCT FROM proposed_by),
    CONSTRAINT reclaim_refused_with_a_code CHECK ((state = 'refused') = (code IS NOT NULL))
);
CREATE UNIQUE INDEX reclaim_once_per_line ON reclaim (line_id)
    WHERE state IN ('proposed', 'moving', 'moved');

ALTER TABLE unclaimed_filing ENABLE ROW LEVEL SECURITY;
ALTER TABLE unclaimed_filing FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON unclaimed_filing USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE unclaimed_line ENABLE ROW LEVEL SECURITY;
ALTER TABLE unclaimed_line FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON unclaimed_line USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE reclaim ENABLE ROW LEVEL SECURITY;
ALTER TABLE reclaim FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON reclaim USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
