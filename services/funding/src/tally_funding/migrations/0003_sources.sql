-- Money that goes back and what is then owed; webhooks, entries by hand, expectations and matches.

CREATE TABLE pay_in_return (
    return_id text COLLATE "C" PRIMARY KEY,
    pay_in_id text COLLATE "C" NOT NULL REFERENCES pay_in,
    digest bytea NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('refund', 'chargeback')),
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('waiting', 'moving', 'done', 'refused', 'reinstating', 'reinstated')),
    reinstate boolean NOT NULL DEFAULT false,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    command jsonb NOT NULL,
    cause text NOT NULL,
    asked_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX pay_in_return_pay_in ON pay_in_return (pay_in_id);
CREATE INDEX pay_in_return_due ON pay_in_return (asked_at)
    WHERE state = 'waiting' OR (state = 'done' AND reinstate);

CREATE INDEX pay_in_return_open ON pay_in_return (asked_at)
    WHERE state IN ('waiting', 'moving', 'reinstating');

-- What each owner bears of a return. `journal_id`: the journal the ledger was last asked for.
CREATE TABLE return_leg (
    return_id text COLLATE "C" NOT NULL REFERENCES pay_in_return,
    position smallint NOT NULL CHECK (position >= 0),
    owner text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('reversing', 'reversed', 'owing', 'owed', 'stranded')),
    journal_id text COLLATE "C" NOT NULL UNIQUE,
    refusal text COLLATE "C",
    PRIMARY KEY (return_id, position)
);

-- What an owner owes. `settling`: asked of the ledger and not answered yet.
CREATE TABLE receivable (
    receivable_id text COLLATE "C" PRIMARY KEY,
    return_id text COLLATE "C" NOT NULL REFERENCES pay_in_return,
    position smallint NOT NULL,
    owner text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    settled numeric(38, 0) NOT NULL DEFAULT 0 CHECK (settled >= 0),
    settling numeric(38, 0) NOT NULL DEFAULT 0 CHECK (settling >= 0),
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT receivable_never_overpaid CHECK (settled + settling <= amount),
    CONSTRAINT receivable_once_per_leg UNIQUE (return_id, position),
    FOREIGN KEY (return_id, position) REFERENCES return_leg (return_id, position)
);
CREATE INDEX receivable_open ON receivable (owner, currency, opened_at) WHERE settled < amount;

CREATE TABLE receivable_settlement (
    settlement_id text COLLATE "C" PRIMARY KEY,
    receivable_id text COLLATE "C" NOT NULL REFERENCES receivable,
    digest bytea NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    state text COLLATE "C" NOT NULL CHECK (state IN ('asked', 'settled', 'refused')),
    settled_by text COLLATE "C" NOT NULL CHECK (settled_by IN ('owner', 'reinstatement')),
    journal_id text COLLATE "C" NOT NULL,
    about jsonb NOT NULL,
    asked_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX receivable_settlement_of ON receivable_settlement (receivable_id);

-- One row per payment at a card processor, folded from its events in any order: what each event
-- says is kept as a fact that later ones cannot undo. `charge`: the one the money came by.
CREATE TABLE card_payment (
    pay_in_id text COLLATE "C" PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    standing text COLLATE "C" NOT NULL CHECK (standing IN ('unknown', 'pending', 'failed', 'received')),
    currency text COLLATE "C",
    amount numeric(38, 0) CHECK (amount > 0),
    charge text COLLATE "C",
    failed_charges text[] COLLATE "C" NOT NULL,
    refunded numeric(38, 0) NOT NULL CHECK (refunded >= 0),
    first_seen_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT card_payment_once_per_external_id UNIQUE (source, external_id),
    CONSTRAINT card_payment_amount_known CHECK (standing IN ('unknown', 'failed') OR amount IS NOT NULL)
);

CREATE TABLE card_dispute (
    pay_in_id text COLLATE "C" NOT NULL REFERENCES card_payment,
    dispute text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    withdrawn boolean NOT NULL,
    reinstated boolean NOT NULL,
    PRIMARY KEY (pay_in_id, dispute)
);

CREATE TABLE webhook_event (
    source text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('applied', 'ignored')),
    pay_in_id text COLLATE "C",
    received_at timestamptz NOT NULL,
    PRIMARY KEY (source, event_id)
);

CREATE TABLE manual_entry (
    entry_id text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('proposed', 'approved', 'declined')),
    external_id text COLLATE "C" NOT NULL,
    command jsonb NOT NULL,
    proposed_by text NOT NULL,
    company text COLLATE "C" NOT NULL,
    decided_by text,
    note text,
    pay_in_id text COLLATE "C",
    proposed_at timestamptz NOT NULL,
    decided_at timestamptz,
    CONSTRAINT manual_entry_two_people CHECK (state <> 'approved' OR decided_by <> proposed_by),
    CONSTRAINT manual_entry_decided CHECK ((state = 'proposed') = (decided_at IS NULL))
);
CREATE INDEX manual_entry_waiting ON manual_entry (proposed_at) WHERE state = 'proposed';
CREATE UNIQUE INDEX manual_entry_external_id ON manual_entry (external_id) WHERE state <> 'declined';

-- What money will name, and for whom it then is. Amount null: any, any number of times.
-- `reference_key`: the reference as it is compared.
CREATE TABLE expectation (
    expectation_id text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL,
    kind text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    reference_key text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount numeric(38, 0) CHECK (amount > 0),
    received numeric(38, 0) NOT NULL DEFAULT 0 CHECK (received >= 0),
    company text COLLATE "C" NOT NULL,
    beneficiary jsonb NOT NULL,
    program text COLLATE "C" NOT NULL,
    payer text COLLATE "C",
    registered_at timestamptz NOT NULL,
    CONSTRAINT expectation_one_per_reference UNIQUE (company, currency, reference_key)
);
CREATE UNIQUE INDEX expectation_virtual_account ON expectation (reference_key, currency)
    WHERE kind = 'virtual_account';
CREATE INDEX expectation_unpaid ON expectation (company, currency, (amount - received))
    WHERE amount > received;

-- One row per attempt to say whose money in suspense is; the ledger's answer ends it.
CREATE TABLE pay_in_match (
    match_id text COLLATE "C" PRIMARY KEY,
    pay_in_id text COLLATE "C" NOT NULL REFERENCES pay_in,
    case_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    expectation_id text COLLATE "C" REFERENCES expectation,
    beneficiary jsonb NOT NULL,
    program text COLLATE "C" NOT NULL,
    confidence smallint NOT NULL CHECK (confidence BETWEEN 0 AND 100),
    automatic boolean NOT NULL,
    note text NOT NULL,
    actor text NOT NULL,
    principal text NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('asked', 'allocated', 'refused')),
    journal_id text COLLATE "C" NOT NULL UNIQUE,
    rule text COLLATE "C" NOT NULL,
    rule_facts jsonb,
    shares jsonb NOT NULL,
    cause text NOT NULL,
    asked_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX pay_in_match_one_open ON pay_in_match (pay_in_id) WHERE state <> 'refused';

-- Money in suspense that was compared with what is expected; a new expectation has it looked at again.
CREATE TABLE match_look (
    pay_in_id text COLLATE "C" PRIMARY KEY REFERENCES pay_in,
    looked_at timestamptz NOT NULL
);
-- With the tables above in one transaction; writers of pay_in wait while its few rows in suspense are read.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX pay_in_suspense ON pay_in (company, currency) WHERE state = 'suspense';

-- A case ends when what it asked for was done.
ALTER TABLE suspense_case ADD COLUMN closed_at timestamptz;
