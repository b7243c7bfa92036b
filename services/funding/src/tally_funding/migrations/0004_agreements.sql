-- Escrow agreements, money for unknown payees with its claims, and what both know of parties.
-- Rows show to whoever set tally.tenant to their tenant; this service's own consumers set it to *.

-- What a command was answered, so that the same id gets the same answer and never a second effect.
CREATE TABLE command_answer (
    command_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    topic text COLLATE "C" NOT NULL,
    record_key text COLLATE "C" NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    answered_at timestamptz NOT NULL
);

-- The directory's word: who is registered, below whom, and which contacts are verified.
CREATE TABLE party_place (
    party_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    path text[] COLLATE "C" NOT NULL,
    country text COLLATE "C",
    registered boolean NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX party_place_path ON party_place USING gin (path);

CREATE TABLE party_contact (
    contact_id text COLLATE "C" PRIMARY KEY,
    party_id text COLLATE "C" NOT NULL,
    contact text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    verified boolean NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX party_contact_party ON party_contact (party_id) WHERE verified;
CREATE INDEX party_contact_contact ON party_contact (contact) WHERE verified;

CREATE TABLE agreement (
    agreement_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    payer text COLLATE "C" NOT NULL,
    payee text COLLATE "C" NOT NULL,
    arbiter text COLLATE "C",
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    condition jsonb NOT NULL,
    event_name text COLLATE "C",
    event_reference text COLLATE "C",
    deadline timestamptz NOT NULL,
    on_deadline text COLLATE "C" NOT NULL CHECK (on_deadline IN ('refund', 'release')),
    program text COLLATE "C" NOT NULL,
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'proposed', 'funding', 'funded', 'part_released', 'releasing', 'released', 'refunding',
        'refunded', 'disputed', 'arbitrating', 'arbitrated', 'expiring', 'expired')),
    sequence integer NOT NULL CHECK (sequence > 0),
    funded boolean NOT NULL,
    released numeric(38, 0) NOT NULL CHECK (released >= 0),
    refunded numeric(38, 0) NOT NULL CHECK (refunded >= 0),
    approvals text[] COLLATE "C" NOT NULL,
    condition_met boolean NOT NULL,
    movements integer NOT NULL CHECK (movements >= 0),
    to_payee numeric(38, 0) CHECK (to_payee >= 0),
    to_payer numeric(38, 0) CHECK (to_payer >= 0),
    resting text COLLATE "C",
    not_before timestamptz,
    due_at timestamptz,
    proposed_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT agreement_never_pays_more_than_it_has CHECK (released + refunded <= amount),
    CONSTRAINT agreement_pays_what_was_paid_in CHECK (funded OR released + refunded = 0),
    CONSTRAINT agreement_ends_with_nothing_held CHECK (
        state NOT IN ('released', 'refunded', 'arbitrated')
        OR (funded AND released + refunded = amount)),
    CONSTRAINT agreement_movement_is_whole CHECK (
        (resting IS NULL) = (to_payee IS NULL) AND (resting IS NULL) = (to_payer IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX agreement_due ON agreement (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX agreement_waits_for_event ON agreement (event_reference)
    WHERE event_reference IS NOT NULL AND NOT condition_met;

-- Wallets of owners nobody has claimed yet, and what they hold by the ledger's facts.
CREATE TABLE claimable_wallet (
    account text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    balance numeric(38, 0) NOT NULL,
    program text COLLATE "C" NOT NULL,
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    jurisdiction text COLLATE "C" NOT NULL,
    period text COLLATE "C" NOT NULL,
    dormancy text COLLATE "C" NOT NULL CHECK (dormancy IN ('active', 'dormant', 'claimed')),
    last_activity_at timestamptz NOT NULL,
    dormant_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    CONSTRAINT claimable_wallet_once_per_owner UNIQUE (owner, currency)
) WITH (fillfactor = 80);
CREATE INDEX claimable_wallet_runs_out ON claimable_wallet (dormant_at) WHERE dormancy = 'active';

-- Whose money it was: the companies that may name another owner.
CREATE TABLE claimable_company (
    owner text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, company)
);

CREATE TABLE claim (
    claim_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    code_hash bytea NOT NULL,
    contact text COLLATE "C",
    company text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    expires_to text COLLATE "C",
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'issued', 'redeeming', 'redeemed', 'replaced', 'withdrawn', 'expiring', 'expired')),
    claimant text COLLATE "C",
    due_at timestamptz,
    issued_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT claim_redeemed_by_somebody CHECK (state <> 'redeemed' OR claimant IS NOT NULL)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX claim_open_once_per_owner ON claim (owner)
    WHERE state IN ('issued', 'redeeming', 'expiring');
CREATE INDEX claim_owner ON claim (owner);
CREATE INDEX claim_due ON claim (due_at) WHERE due_at IS NOT NULL;

-- One move of an unknown payee's money to another owner, asked of the ledger as one journal.
CREATE TABLE movement (
    movement_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    to_owner text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL
        CHECK (reason IN ('claimed', 'redesignated', 'expired', 'followed')),
    claim_id text COLLATE "C" REFERENCES claim,
    journal_id text COLLATE "C",
    amounts jsonb NOT NULL,
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('moving', 'moved', 'refused')),
    started_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX movement_one_at_a_time ON movement (owner) WHERE state = 'moving';

-- Where money for an owner goes now; `to_owner` is never itself redirected.
CREATE TABLE redirect (
    owner text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    to_owner text COLLATE "C" NOT NULL,
    movement_id text COLLATE "C" NOT NULL REFERENCES movement,
    since timestamptz NOT NULL,
    retry_at timestamptz,
    CONSTRAINT redirect_leads_elsewhere CHECK (owner <> to_owner)
);
CREATE INDEX redirect_to ON redirect (to_owner);
CREATE INDEX redirect_retry ON redirect (retry_at) WHERE retry_at IS NOT NULL;

ALTER TABLE command_answer ENABLE ROW LEVEL SECURITY;
ALTER TABLE command_answer FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON command_answer USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE party_place ENABLE ROW LEVEL SECURITY;
ALTER TABLE party_place FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON party_place USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE party_contact ENABLE ROW LEVEL SECURITY;
ALTER TABLE party_contact FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON party_contact USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE agreement ENABLE ROW LEVEL SECURITY;
ALTER TABLE agreement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON agreement USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE claimable_wallet ENABLE ROW LEVEL SECURITY;
ALTER TABLE claimable_wallet FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON claimable_wallet USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE claimable_company ENABLE ROW LEVEL SECURITY;
ALTER TABLE claimable_company FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON claimable_company USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE claim ENABLE ROW LEVEL SECURITY;
ALTER TABLE claim FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON claim USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE movement ENABLE ROW LEVEL SECURITY;
ALTER TABLE movement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON movement USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE redirect ENABLE ROW LEVEL SECURITY;
ALTER TABLE redirect FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON redirect USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
