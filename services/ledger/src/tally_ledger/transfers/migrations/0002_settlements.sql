-- A settlement has two sides: reserved here, booked or refused there, then captured or released here.

-- States are those of a transfer. `settled_at`: when the amount was fixed. Rows of before moved the money
-- at once and had no answer: they are completed or refused, without a time of their end.
ALTER TABLE transit_settlement
    ADD COLUMN state text COLLATE "C" NOT NULL DEFAULT 'completed'
        CHECK (state IN ('started', 'completed', 'refused')),
    ADD COLUMN side text COLLATE "C" CHECK (side IN ('source', 'destination')),
    ADD COLUMN cause text NOT NULL DEFAULT '',
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN asked_again_at timestamptz,
    ADD COLUMN asked_again integer NOT NULL DEFAULT 0 CHECK (asked_again >= 0);
DROP TRIGGER insert_only ON transit_settlement;
UPDATE transit_settlement SET state = 'refused', side = 'source' WHERE code IS NOT NULL;
-- The table has a few rows a day: checked in an instant, and nobody writes them while this runs.
-- squawk-ignore ban-drop-default
ALTER TABLE transit_settlement ALTER COLUMN state DROP DEFAULT;
-- squawk-ignore ban-drop-default
ALTER TABLE transit_settlement ALTER COLUMN cause DROP DEFAULT;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE transit_settlement ADD CONSTRAINT transit_settlement_ends_once CHECK (
    state <> 'started' OR ended_at IS NULL
);
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE transit_settlement ADD CONSTRAINT transit_settlement_refusal_has_side CHECK (
    (state = 'refused') = (code IS NOT NULL) AND (code IS NULL) = (side IS NULL)
);
-- One at a time for a pair and an asset, or both would move the same money.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX transit_settlement_open ON transit_settlement (ledger, other, asset)
    WHERE state = 'started';

-- What the other ledger has decided about a settlement: once, for good.
CREATE TABLE transit_mirror (
    id text COLLATE "C" PRIMARY KEY,
    from_ledger text COLLATE "C" NOT NULL,
    ledger text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount text COLLATE "C" NOT NULL,
    owed_by text COLLATE "C" NOT NULL,
    code text COLLATE "C",
    detail text,
    decided_at timestamptz NOT NULL,
    CONSTRAINT transit_mirror_declined_with_reason CHECK ((code IS NULL) = (detail IS NULL))
);

CREATE TRIGGER decided_once BEFORE UPDATE ON transit_settlement
    FOR EACH ROW EXECUTE FUNCTION keep_decision();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON transit_settlement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transit_mirror
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE UPDATE, DELETE, TRUNCATE ON transit_mirror FROM tally_ledger;
GRANT UPDATE (state, side, code, detail, ended_at, asked_again_at, asked_again) ON transit_settlement
    TO tally_ledger;
