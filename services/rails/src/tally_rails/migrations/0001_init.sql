-- Instruments, attempts and what is due about them, for every rail. Amounts are minor units.

CREATE TABLE instrument (
    id text COLLATE "C" PRIMARY KEY,
    rail text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    sealed text COLLATE "C" NOT NULL,
    masked text NOT NULL,
    settlement_account text COLLATE "C",
    state text COLLATE "C" NOT NULL CHECK (state IN ('registered', 'refused')),
    version integer NOT NULL CHECK (version > 0),
    changed_at timestamptz NOT NULL
);

-- Details an instrument had before its provider corrected them: still sealed, kept as evidence.
CREATE TABLE instrument_version (
    instrument_id text COLLATE "C" NOT NULL REFERENCES instrument (id),
    version integer NOT NULL CHECK (version > 0),
    sealed text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    replaced_at timestamptz NOT NULL,
    PRIMARY KEY (instrument_id, version)
);

CREATE TABLE attempt (
    id text COLLATE "C" PRIMARY KEY,
    payout_id text COLLATE "C" NOT NULL,
    rail text COLLATE "C" NOT NULL,
    instrument_id text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    opened_at timestamptz NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'scheduled', 'submitting', 'unknown', 'submitted', 'in_transit', 'paid',
        'failed', 'cancelled', 'returned'
    )),
    sequence bigint NOT NULL CHECK (sequence > 0),
    provider_reference text COLLATE "C",
    code text COLLATE "C",
    action text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    return_reference text COLLATE "C",
    settlement_date date,
    changed_at timestamptz NOT NULL,
    CONSTRAINT attempt_return_has_reference
        CHECK (state <> 'returned' OR return_reference IS NOT NULL)
) WITH (fillfactor = 60);
CREATE INDEX attempt_settling ON attempt (rail, settlement_date) WHERE state = 'in_transit';

CREATE TABLE attempt_history (
    attempt_id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    state text COLLATE "C" NOT NULL,
    previous text COLLATE "C",
    code text COLLATE "C",
    source text COLLATE "C" NOT NULL,
    reference text COLLATE "C",
    at timestamptz NOT NULL,
    PRIMARY KEY (attempt_id, sequence)
);

-- Work to be done outside the unit of work. A row goes when its work is done.
CREATE TABLE job (
    rail text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    next_at timestamptz NOT NULL,
    PRIMARY KEY (rail, kind, subject)
);
CREATE INDEX job_due ON job (rail, kind, next_at);

-- What a person has to look at. The id is derived from what it is about: news that comes again
-- opens no second case.
CREATE TABLE rail_case (
    id text COLLATE "C" PRIMARY KEY,
    rail text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    opened_at timestamptz NOT NULL
);
