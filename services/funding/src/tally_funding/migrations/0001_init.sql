-- Pay-ins, their allocations and cases, and the rules and statements they came by.

CREATE TABLE rule_version (
    rule text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    digest bytea NOT NULL,
    document jsonb NOT NULL,
    first_used_at timestamptz NOT NULL,
    PRIMARY KEY (rule, version)
);

CREATE TABLE pay_in (
    pay_in_id text COLLATE "C" PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    content_digest bytea NOT NULL,
    by_statement boolean NOT NULL,
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('allocating', 'allocated', 'suspending', 'suspense')),
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    actor text NOT NULL,
    principal text NOT NULL,
    channel text COLLATE "C" NOT NULL,
    country text COLLATE "C",
    program text COLLATE "C" NOT NULL,
    event text NOT NULL,
    reason text NOT NULL,
    occurred_at timestamptz NOT NULL,
    originator text NOT NULL,
    originator_country text COLLATE "C",
    company text COLLATE "C" NOT NULL,
    beneficiary text,
    kind text COLLATE "C" NOT NULL,
    value_date date NOT NULL,
    source_references jsonb NOT NULL,
    rule text COLLATE "C" NOT NULL,
    journal_id text COLLATE "C" NOT NULL,
    case_id text COLLATE "C",
    correlation_id text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT pay_in_once_per_external_id UNIQUE (source, external_id)
) WITH (fillfactor = 80);
CREATE INDEX pay_in_unsettled ON pay_in (received_at)
    WHERE state IN ('allocating', 'suspending');

CREATE TABLE allocation (
    pay_in_id text COLLATE "C" NOT NULL REFERENCES pay_in,
    position smallint NOT NULL CHECK (position >= 0),
    account text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    pay_out boolean NOT NULL,
    PRIMARY KEY (pay_in_id, position)
);

-- One row per reason a person must look at a pay-in; its age is now - opened_at.
CREATE TABLE suspense_case (
    case_id text COLLATE "C" PRIMARY KEY,
    pay_in_id text COLLATE "C" NOT NULL REFERENCES pay_in,
    reason_code text COLLATE "C" NOT NULL,
    remedy text NOT NULL,
    detail text NOT NULL,
    opened_at timestamptz NOT NULL
);
CREATE INDEX suspense_case_pay_in ON suspense_case (pay_in_id);
CREATE INDEX suspense_case_age ON suspense_case (opened_at);

-- Announcements of money that was a pay-in already.
CREATE TABLE repeated_announcement (
    pay_in_id text COLLATE "C" PRIMARY KEY REFERENCES pay_in,
    same bigint NOT NULL CHECK (same >= 0),
    conflicting bigint NOT NULL CHECK (conflicting >= 0),
    last_at timestamptz NOT NULL
);

CREATE TABLE statement (
    statement_key text COLLATE "C" PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    number text NOT NULL,
    sequence bigint CHECK (sequence >= 0),
    page integer NOT NULL,
    period_start text NOT NULL,
    period_end text NOT NULL,
    last_day date NOT NULL,
    opening numeric(38, 0) NOT NULL,
    closing numeric(38, 0) NOT NULL,
    digest bytea NOT NULL,
    continuity text COLLATE "C" NOT NULL CHECK (continuity IN
        ('first', 'in_order', 'unnumbered', 'gap', 'out_of_order', 'balance_break')),
    import_id text COLLATE "C" NOT NULL,
    file_name text NOT NULL,
    imported_at timestamptz NOT NULL
);
CREATE INDEX statement_newest ON statement (account, currency, last_day DESC, sequence DESC, page DESC);

-- One row per entry, or per payment of an entry booked in parts.
CREATE TABLE statement_entry (
    statement_key text COLLATE "C" NOT NULL REFERENCES statement,
    entry_index integer NOT NULL CHECK (entry_index >= 0),
    part integer NOT NULL CHECK (part >= 0),
    amount numeric(38, 0) NOT NULL CHECK (amount >= 0),
    credit boolean NOT NULL,
    reversal boolean NOT NULL,
    status text COLLATE "C" NOT NULL,
    booking_date date,
    value_date date,
    bank_reference text,
    end_to_end_id text,
    uetr text,
    remittance text NOT NULL,
    outcome text COLLATE "C" NOT NULL
        CHECK (outcome IN ('pay_in', 'already_known', 'conflict', 'ignored')),
    pay_in_id text COLLATE "C" REFERENCES pay_in,
    PRIMARY KEY (statement_key, entry_index, part),
    CONSTRAINT statement_entry_leads_to_pay_in CHECK ((outcome = 'ignored') = (pay_in_id IS NULL))
);
CREATE INDEX statement_entry_pay_in ON statement_entry (pay_in_id);
