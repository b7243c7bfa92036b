-- Ledgers in several databases: which one this is, and money on its way between ledgers.

-- One row: the name of this database in the installation, given once by its first process.
CREATE TABLE home (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    database text COLLATE "C" NOT NULL
);

-- A transfer to another ledger, in the books of the ledger it leaves. `request` is the command; the
-- amount is as written there, its minor units are those of the hold.
-- States and what may follow which are data of transfers/domain.py.
CREATE TABLE cross_transfer (
    id text COLLATE "C" PRIMARY KEY,
    ledger text COLLATE "C" NOT NULL,
    to_ledger text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('started', 'completed', 'refused')),
    side text COLLATE "C" CHECK (side IN ('source', 'destination')),
    code text COLLATE "C",
    detail text,
    request text NOT NULL,
    cause text NOT NULL,
    asked_at timestamptz NOT NULL,
    ended_at timestamptz,
    asked_again_at timestamptz,
    asked_again integer NOT NULL DEFAULT 0 CHECK (asked_again >= 0),
    CONSTRAINT cross_transfer_ends_once CHECK ((state = 'started') = (ended_at IS NULL)),
    CONSTRAINT cross_transfer_refused_with_reason CHECK (
        (state = 'refused') = (code IS NOT NULL)
        AND (code IS NULL) = (side IS NULL) AND (code IS NULL) = (detail IS NULL)
    )
) WITH (fillfactor = 70);
CREATE INDEX cross_transfer_open ON cross_transfer (asked_at) WHERE state = 'started';

-- What the ledger a transfer goes to has decided about it: once, for good.
CREATE TABLE cross_credit (
    id text COLLATE "C" PRIMARY KEY,
    from_ledger text COLLATE "C" NOT NULL,
    ledger text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount text COLLATE "C" NOT NULL,
    code text COLLATE "C",
    detail text,
    decided_at timestamptz NOT NULL,
    CONSTRAINT cross_credit_declined_with_reason CHECK ((code IS NULL) = (detail IS NULL))
);

-- What two ledgers owe each other, moved out of the accounts in transit on both sides.
CREATE TABLE transit_settlement (
    id text COLLATE "C" PRIMARY KEY,
    ledger text COLLATE "C" NOT NULL,
    other text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount text COLLATE "C" NOT NULL,
    owed_by text COLLATE "C" NOT NULL,
    request text NOT NULL,
    code text COLLATE "C",
    detail text,
    settled_at timestamptz NOT NULL,
    CONSTRAINT transit_settlement_refused_with_reason CHECK ((code IS NULL) = (detail IS NULL))
);

CREATE FUNCTION keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'started' THEN
        RAISE EXCEPTION 'transfer % is % already', OLD.id, OLD.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER decided_once BEFORE UPDATE ON cross_transfer
    FOR EACH ROW EXECUTE FUNCTION keep_decision();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON cross_credit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transit_settlement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE UPDATE, DELETE, TRUNCATE ON home, cross_credit, transit_settlement FROM tally_ledger;
REVOKE DELETE, TRUNCATE ON cross_transfer FROM tally_ledger;
