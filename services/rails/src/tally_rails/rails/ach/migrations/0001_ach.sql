-- The ACH rail's files. What is sent is stored first, byte for byte.

-- Trace numbers: seven digits of sequence per originating bank, begun anew once they are used up.
CREATE TABLE ach_counter (
    odfi text COLLATE "C" PRIMARY KEY,
    sequence integer NOT NULL CHECK (sequence BETWEEN 0 AND 9999999),
    cycle integer NOT NULL CHECK (cycle >= 0)
);

CREATE TABLE ach_file (
    id text COLLATE "C" PRIMARY KEY,
    origin text COLLATE "C" NOT NULL,
    created_on date NOT NULL,
    created_time text COLLATE "C" NOT NULL,
    modifier text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    entries integer NOT NULL CHECK (entries > 0),
    effective_date date NOT NULL,
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('stored', 'in_doubt', 'uploaded', 'acknowledged', 'refused')),
    sent_at timestamptz,
    doubt_since timestamptz,
    changed_at timestamptz NOT NULL,
    CONSTRAINT ach_file_doubt_began CHECK (state <> 'in_doubt' OR doubt_since IS NOT NULL),
    CONSTRAINT ach_file_identity UNIQUE (origin, created_on, created_time, modifier),
    CONSTRAINT ach_file_name UNIQUE (name)
);

CREATE TABLE ach_entry (
    trace text COLLATE "C" NOT NULL,
    cycle integer NOT NULL,
    file_id text COLLATE "C" NOT NULL REFERENCES ach_file (id),
    batch_number integer NOT NULL,
    attempt_id text COLLATE "C" NOT NULL REFERENCES attempt (id),
    rdfi text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    PRIMARY KEY (trace, cycle),
    CONSTRAINT ach_entry_once UNIQUE (attempt_id)
);
CREATE INDEX ach_entry_file ON ach_entry (file_id);

-- Files taken from the bank, whole. Size and time tell without reading that one is known.
CREATE TABLE ach_incoming (
    name text COLLATE "C" NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    modified_at bigint NOT NULL,
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('applied', 'unreadable', 'unknown')),
    content bytea NOT NULL,
    processed_at timestamptz NOT NULL,
    PRIMARY KEY (name, sha256)
);
