-- Read models of payments. Everything here is copied from facts and can be built again from them.

-- One row per fact. A hop's subject is what it is about: a pay-in, a payout, or an account opened.
CREATE TABLE hop (
    event_id text COLLATE "C" PRIMARY KEY,
    subject text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    causation_id text COLLATE "C",
    event_type text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    summary jsonb NOT NULL
);
CREATE INDEX hop_subject ON hop (subject);

-- Ids that lead to a subject, besides the subject's own and the event ids of its hops. Shared ids
-- (accounts, correlations, what sources chose) may lead to any number of subjects.
CREATE TABLE payment_key (
    id text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    shared boolean NOT NULL,
    at timestamptz NOT NULL
);
-- Apart, so that an id with millions of shared rows hides no other row from a quick look-up.
CREATE UNIQUE INDEX payment_key_own ON payment_key (id, subject) WHERE NOT shared;
CREATE UNIQUE INDEX payment_key_shared ON payment_key (id, subject) WHERE shared;
CREATE INDEX payment_key_newest ON payment_key (id, at DESC) WHERE shared;

CREATE TABLE pay_in (
    pay_in_id text COLLATE "C" PRIMARY KEY,
    correlation_id text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL,
    company text COLLATE "C",
    owner text COLLATE "C",
    received_at timestamptz,
    payouts_expected integer,
    state text COLLATE "C" NOT NULL,
    state_rank smallint NOT NULL,
    changed_at timestamptz NOT NULL,
    reason_code text COLLATE "C",
    remedy text
) WITH (fillfactor = 80);
CREATE INDEX pay_in_received_at ON pay_in (received_at);

CREATE TABLE payout (
    payout_id text COLLATE "C" PRIMARY KEY,
    pay_in_id text COLLATE "C",
    correlation_id text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL,
    sequence bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    rail text COLLATE "C",
    reason_code text COLLATE "C",
    must_act text COLLATE "C"
) WITH (fillfactor = 60);
CREATE INDEX payout_pay_in ON payout (pay_in_id);

CREATE TABLE account (
    account_id text COLLATE "C" PRIMARY KEY,
    ledger text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    opened_at timestamptz NOT NULL
);

-- What consumers said they set aside; the records themselves are in each consumer's quarantine.
CREATE TABLE set_aside (
    consumer text COLLATE "C" NOT NULL,
    topic text NOT NULL,
    partition bigint NOT NULL,
    "offset" bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, topic, partition, "offset")
);
CREATE INDEX set_aside_occurred_at ON set_aside (occurred_at);
