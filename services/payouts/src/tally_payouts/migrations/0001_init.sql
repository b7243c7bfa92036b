-- The payout saga: payouts and their history, the payees' methods, and what operators look at.

CREATE TABLE payout (
    id text COLLATE "C" PRIMARY KEY,
    ledger text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    pay_in_id text COLLATE "C",
    external_id text COLLATE "C",
    hold_id text COLLATE "C" NOT NULL,
    attempt_id text COLLATE "C" NOT NULL,
    circumstances jsonb NOT NULL,
    cause text NOT NULL,
    opened_at timestamptz NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'claimable', 'approved', 'submitting', 'unknown', 'submitted', 'in_transit',
        'paid', 'returned', 'failed', 'rejected', 'cancelled'
    )),
    sequence integer NOT NULL CHECK (sequence > 0),
    reason_code text COLLATE "C",
    must_act text COLLATE "C",
    method_version integer,
    rail text COLLATE "C",
    instrument text COLLATE "C",
    settlement_account text COLLATE "C",
    hold text COLLATE "C" NOT NULL,
    attempt text COLLATE "C",
    attempt_sequence bigint NOT NULL,
    ending_state text COLLATE "C",
    ending_reason text COLLATE "C",
    ending_must_act text COLLATE "C",
    return_reference text COLLATE "C",
    return_step text COLLATE "C",
    return_reason text COLLATE "C",
    return_must_act text COLLATE "C",
    changed_at timestamptz NOT NULL,
    CONSTRAINT payout_says_who_must_act CHECK (
        state IN ('paid', 'returned', 'failed', 'rejected', 'cancelled')
        OR (must_act IS NOT NULL AND reason_code IS NOT NULL)
    ),
    CONSTRAINT payout_paid_is_captured CHECK (
        (state IN ('paid', 'returned')) = (hold = 'captured')
    )
) WITH (fillfactor = 60);
CREATE INDEX payout_claimable ON payout (owner, currency) WHERE state = 'claimable';

CREATE TABLE payout_history (
    payout_id text COLLATE "C" NOT NULL,
    sequence integer NOT NULL,
    state text COLLATE "C" NOT NULL,
    previous text COLLATE "C",
    reason_code text COLLATE "C",
    must_act text COLLATE "C",
    at timestamptz NOT NULL,
    PRIMARY KEY (payout_id, sequence)
);

-- One row per owner and currency: locked by whoever opens payouts for them or changes their method.
CREATE TABLE payee (
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    versions integer NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, currency)
);

CREATE TABLE method (
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    rail text COLLATE "C" NOT NULL,
    instrument text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('awaiting', 'active', 'disabled', 'refused')),
    reason_code text COLLATE "C",
    settlement_account text COLLATE "C",
    superseded boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (owner, currency, version)
);
CREATE INDEX method_standing ON method (owner, currency) WHERE NOT superseded;
CREATE INDEX method_instrument ON method (instrument) WHERE NOT superseded;

CREATE TABLE instrument (
    id text COLLATE "C" PRIMARY KEY,
    state text COLLATE "C" NOT NULL CHECK (state IN ('expected', 'registered', 'refused')),
    rail text COLLATE "C",
    owner text COLLATE "C",
    currency text COLLATE "C",
    settlement_account text COLLATE "C"
);

-- Whose a wallet is, learnt from the allocations that credited it: nobody withdraws from another's.
CREATE TABLE wallet (
    account text COLLATE "C" PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL
);

CREATE TABLE return_seen (
    attempt_id text COLLATE "C" NOT NULL,
    return_reference text COLLATE "C" NOT NULL,
    payout_id text COLLATE "C" NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (attempt_id, return_reference)
);

CREATE TABLE payout_case (
    id text COLLATE "C" PRIMARY KEY,
    payout_id text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    opened_at timestamptz NOT NULL
);
CREATE INDEX payout_case_by_payout ON payout_case (payout_id);
