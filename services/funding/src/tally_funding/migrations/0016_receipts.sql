-- The gate at receiving: tables as published, levels as told, and money that waits for its payee's.

-- Versions of gate tables; one that is kept never changes.
CREATE TABLE gate_table (
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    document jsonb NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE INDEX gate_table_by_date ON gate_table (name, valid_from, version);

-- One row per party a level was told of or money waits for: whoever asks its gate locks it. The level of
-- a party that was merged is that of the one it was `merged_into`, straight to the end.
CREATE TABLE party_level (
    party_id text COLLATE "C" PRIMARY KEY,
    party_kind text COLLATE "C" NOT NULL,
    level text COLLATE "C" NOT NULL,
    jurisdiction text COLLATE "C",
    valid_until timestamptz,
    sequence bigint NOT NULL,
    merged_into text COLLATE "C"
);
CREATE INDEX party_level_merged ON party_level (merged_into) WHERE merged_into IS NOT NULL;

-- Whose money was restricted, in whose wallets of its own (`restricted:<reference>`), and when to ask
-- about it again; null: once something is told.
CREATE TABLE restriction (
    owner text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL,
    due_at timestamptz,
    since timestamptz NOT NULL
);
CREATE INDEX restriction_party ON restriction (party_id);
CREATE INDEX restriction_due ON restriction (due_at) WHERE due_at IS NOT NULL;
ALTER TABLE restriction ENABLE ROW LEVEL SECURITY;
ALTER TABLE restriction FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON restriction USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));

-- One more reason is allowed from now on; no reader that is still there sees it.
-- squawk-ignore ban-drop-constraint
ALTER TABLE movement DROP CONSTRAINT movement_reason_check;
ALTER TABLE movement ADD CONSTRAINT movement_reason_check CHECK (reason IN (
    'claimed', 'redesignated', 'expired', 'followed', 'released')) NOT VALID;
