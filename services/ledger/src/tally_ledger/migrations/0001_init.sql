-- The books. Amounts are minor units of the account's asset.
-- transfer, entry, journal, log and rejection are insert-only: by privilege and by trigger.
-- There are no foreign keys on transfer, entry and journal: each would lock and read one row per
-- row written. What they would guard is decided under the shard's compare-and-set and recomputed
-- by `tally verify`.

CREATE TABLE asset (
    code text COLLATE "C" PRIMARY KEY,
    scale smallint NOT NULL CHECK (scale BETWEEN 0 AND 18),
    kind text NOT NULL CHECK (kind IN ('fiat', 'crypto', 'closed_loop'))
);

-- The head of each shard's books. A shard is a ledger; whoever writes to it compares and sets
-- `version`, so a writer that read an older state cannot commit.
CREATE TABLE shard_state (
    shard text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    log_seq bigint NOT NULL DEFAULT 0 CHECK (log_seq >= 0),
    transfer_seq bigint NOT NULL DEFAULT 0 CHECK (transfer_seq >= log_seq),
    head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(head) = 32)
) WITH (fillfactor = 20);

-- No index on a counter: updates stay on their page (HOT).
CREATE TABLE account (
    id text COLLATE "C" PRIMARY KEY,
    shard text COLLATE "C" NOT NULL REFERENCES shard_state (shard),
    asset text COLLATE "C" NOT NULL REFERENCES asset (code),
    owner text COLLATE "C" NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    guarded boolean NOT NULL,
    frozen_in boolean NOT NULL DEFAULT false,
    frozen_out boolean NOT NULL DEFAULT false,
    closed boolean NOT NULL DEFAULT false,
    debits_posted numeric(38, 0) NOT NULL DEFAULT 0,
    credits_posted numeric(38, 0) NOT NULL DEFAULT 0,
    debits_pending numeric(38, 0) NOT NULL DEFAULT 0,
    credits_pending numeric(38, 0) NOT NULL DEFAULT 0,
    seq bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
    opened_at timestamptz NOT NULL,
    CONSTRAINT account_counters_not_negative CHECK (
        debits_posted >= 0 AND credits_posted >= 0 AND debits_pending >= 0 AND credits_pending >= 0
    ),
    CONSTRAINT account_floor CHECK (NOT guarded OR debits_posted + debits_pending <= credits_posted)
) WITH (fillfactor = 60);

-- One row per accepted command: its transfers are all in the books or none is.
CREATE TABLE journal (
    id text COLLATE "C" PRIMARY KEY,
    shard text COLLATE "C" NOT NULL,
    log_seq bigint NOT NULL CHECK (log_seq > 0),
    first_transfer bigint NOT NULL CHECK (first_transfer > 0),
    last_transfer bigint NOT NULL,
    operation text COLLATE "C" NOT NULL
        CHECK (operation IN ('journal', 'place', 'capture', 'release', 'expire')),
    reference text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    who_actor text COLLATE "C" NOT NULL,
    who_principal text COLLATE "C" NOT NULL,
    where_channel text COLLATE "C" NOT NULL,
    where_country text COLLATE "C",
    why_program text COLLATE "C" NOT NULL,
    why_event text COLLATE "C" NOT NULL,
    why_reason text NOT NULL,
    CONSTRAINT journal_has_transfers CHECK (last_transfer >= first_transfer)
);

CREATE TABLE transfer (
    shard text COLLATE "C" NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    log_seq bigint NOT NULL CHECK (log_seq > 0),
    id text COLLATE "C" NOT NULL,
    journal_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL
        CHECK (kind IN ('single', 'pending', 'post', 'void', 'expire')),
    pending_id text COLLATE "C",
    debit text COLLATE "C" NOT NULL,
    credit text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    code text COLLATE "C" NOT NULL,
    remaining numeric(38, 0) CHECK (remaining >= 0),
    expires_at timestamptz,
    PRIMARY KEY (shard, seq),
    CONSTRAINT transfer_id_once UNIQUE (id),
    CONSTRAINT transfer_two_accounts CHECK (debit <> credit),
    CONSTRAINT transfer_resolves_a_hold CHECK (
        (kind IN ('post', 'void', 'expire')) = (pending_id IS NOT NULL)
        AND (kind = 'single') = (remaining IS NULL)
        AND (expires_at IS NULL OR kind = 'pending')
    )
);

CREATE TABLE entry (
    account text COLLATE "C" NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    transfer_id text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL,
    pending numeric(38, 0) NOT NULL,
    posted_after numeric(38, 0) NOT NULL,
    pending_after numeric(38, 0) NOT NULL,
    PRIMARY KEY (account, seq),
    CONSTRAINT entry_changes_something CHECK (amount <> 0 OR pending <> 0)
);

-- Current state only; the truth is in transfer. `expires_at` is empty once a hold is resolved, so
-- the index holds none but those that can still expire.
CREATE TABLE hold (
    id text COLLATE "C" PRIMARY KEY,
    shard text COLLATE "C" NOT NULL REFERENCES shard_state (shard),
    reference text COLLATE "C" NOT NULL,
    debit text COLLATE "C" NOT NULL,
    credit text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL CHECK (amount > 0),
    remaining numeric(38, 0) NOT NULL,
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('open', 'captured', 'released', 'expired')),
    expires_at timestamptz,
    cause text,
    CONSTRAINT hold_remaining_in_bounds CHECK (remaining BETWEEN 0 AND amount),
    CONSTRAINT hold_resolved_once_empty CHECK ((state = 'open') = (remaining > 0)),
    CONSTRAINT hold_expires_while_open
        CHECK (expires_at IS NULL OR (state = 'open' AND cause IS NOT NULL))
) WITH (fillfactor = 60);
CREATE INDEX hold_due ON hold (shard, expires_at) WHERE expires_at IS NOT NULL;

-- Remembered refusals: the same request gets the same answer.
CREATE TABLE rejection (
    id text COLLATE "C" PRIMARY KEY,
    shard text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL
        CHECK (operation IN ('journal', 'place', 'capture', 'release')),
    reference text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    code text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    recorded_at timestamptz NOT NULL
);

-- One row per batch that moved money; `root` is defined in canonical.py.
CREATE TABLE log (
    shard text COLLATE "C" NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    first_transfer bigint NOT NULL CHECK (first_transfer > 0),
    last_transfer bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    previous_root bytea NOT NULL CHECK (octet_length(previous_root) = 32),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (shard, seq),
    CONSTRAINT log_has_transfers CHECK (last_transfer >= first_transfer)
);

-- Compare and set the head of a shard and append its log row, if the batch moved money. Whoever
-- comes with an older version is told to start again with fresh state (SQLSTATE 40001).
CREATE FUNCTION advance_shard(
    p_shard text, p_version bigint, p_transfers bigint, p_root bytea, p_at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before shard_state;
BEGIN
    SELECT * INTO before FROM shard_state WHERE shard = p_shard AND version = p_version FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'shard % has moved on from version %', p_shard, p_version
            USING ERRCODE = 'serialization_failure';
    END IF;
    UPDATE shard_state
    SET version = version + 1,
        log_seq = log_seq + (p_transfers > 0)::int,
        transfer_seq = transfer_seq + p_transfers,
        head = coalesce(p_root, head)
    WHERE shard = p_shard;
    IF p_transfers > 0 THEN
        INSERT INTO log (shard, seq, first_transfer, last_transfer, root, previous_root, recorded_at)
        VALUES (p_shard, before.log_seq + 1, before.transfer_seq + 1,
                before.transfer_seq + p_transfers, p_root, before.head, p_at);
    END IF;
END
$$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: the books are insert-only, correct them with a new journal',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rejection
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE UPDATE, DELETE, TRUNCATE ON asset, journal, transfer, entry, rejection, log FROM tally_ledger;
REVOKE DELETE, TRUNCATE ON account, hold, shard_state FROM tally_ledger;
