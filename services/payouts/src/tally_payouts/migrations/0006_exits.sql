-- Gates and limits at the exit: the tables as published, what is known of parties, and payouts held.

-- Versions of gate and limit tables; one that is kept never changes.
CREATE TABLE gate_table (
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('gates', 'limits')),
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    document jsonb NOT NULL,
    PRIMARY KEY (kind, name, version)
);
CREATE INDEX gate_table_by_date ON gate_table (kind, name, valid_from, version);

-- One row per party a level was told of or a gate was asked about: whoever weighs its exits locks it.
CREATE TABLE party_level (
    owner text COLLATE "C" PRIMARY KEY,
    party_kind text COLLATE "C" NOT NULL,
    level text COLLATE "C" NOT NULL,
    jurisdiction text COLLATE "C",
    valid_until timestamptz,
    sequence bigint NOT NULL
);

-- Whose held payouts are to be asked about again, and when.
CREATE TABLE exit_due (
    owner text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (at, owner)
);

-- One more state is allowed from now on; no reader that is still there sees it.
-- squawk-ignore ban-drop-constraint
ALTER TABLE payout DROP CONSTRAINT payout_state_check;
ALTER TABLE payout ADD CONSTRAINT payout_state CHECK (state IN (
    'claimable', 'approved', 'held', 'submitting', 'unknown', 'submitted', 'in_transit',
    'paid', 'returned', 'failed', 'rejected', 'cancelled'
)) NOT VALID;
ALTER TABLE payout ADD COLUMN holds jsonb NOT NULL DEFAULT '[]';
ALTER TABLE payout ADD COLUMN asked_at timestamptz;
ALTER TABLE payout ADD COLUMN asked_class text COLLATE "C";
ALTER TABLE payout ADD COLUMN asked_of jsonb;
ALTER TABLE payout ADD CONSTRAINT payout_held_says_why
CHECK (state <> 'held' OR holds <> '[]') NOT VALID;

-- What left before there were gates counts against limits too; these are the two rails there were.
UPDATE payout p
SET asked_at = h.at, asked_class = CASE p.rail WHEN 'wallet' THEN 'cash_like' ELSE 'cash' END
FROM payout_history h
WHERE h.payout_id = p.id AND h.state = 'submitting';

-- Nothing is held yet: to read the table once is all it takes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX payout_held ON payout (owner) WHERE state = 'held';
