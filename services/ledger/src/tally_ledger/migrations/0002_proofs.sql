-- Batches as Merkle trees, and the signed root of each day (canonical.py, days.py).

-- The version of the canonical form a root was made by: rows of before stay verifiable by form 1.
-- `leaves` are the hashes of the batch's leaves one behind the other; hashes do not compress.
ALTER TABLE log ADD COLUMN form smallint NOT NULL DEFAULT 1;
ALTER TABLE log ADD COLUMN leaves bytea;
ALTER TABLE log ALTER COLUMN leaves SET STORAGE EXTERNAL;
ALTER TABLE log ADD CONSTRAINT log_leaves_by_form CHECK (
    form = 1 AND leaves IS NULL
    OR form = 2 AND octet_length(leaves) >= 32 AND octet_length(leaves) % 32 = 0
) NOT VALID;

-- Nothing is recorded with an earlier time any more. It never goes back, so that a day that is
-- over can be closed for good; empty while nothing was recorded.
ALTER TABLE shard_state ADD COLUMN recorded_at timestamptz;
UPDATE shard_state s
SET recorded_at = (SELECT max(l.recorded_at) FROM log l WHERE l.shard = s.shard);

-- Compare and set the head of a shard and append its log row, if there is a root to append. Whoever
-- comes with an older version is told to start again with fresh state (SQLSTATE 40001).
CREATE FUNCTION advance_shard(
    p_shard text, p_version bigint, p_transfers bigint, p_at timestamptz, p_root bytea, p_leaves bytea
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before shard_state;
BEGIN
    SELECT * INTO before FROM shard_state WHERE shard = p_shard AND version = p_version FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'shard % has moved on from version %', p_shard, p_version
            USING ERRCODE = 'serialization_failure';
    END IF;
    IF p_at < before.recorded_at THEN
        RAISE EXCEPTION 'shard % has recorded until %, % is before that',
            p_shard, before.recorded_at, p_at USING ERRCODE = 'check_violation';
    END IF;
    UPDATE shard_state
    SET version = version + 1,
        log_seq = log_seq + (p_root IS NOT NULL)::int,
        transfer_seq = transfer_seq + p_transfers,
        head = coalesce(p_root, head),
        recorded_at = p_at
    WHERE shard = p_shard;
    IF p_root IS NOT NULL THEN
        INSERT INTO log (shard, seq, first_transfer, last_transfer, root, previous_root, recorded_at,
                         form, leaves)
        VALUES (p_shard, before.log_seq + 1, before.transfer_seq + 1,
                before.transfer_seq + p_transfers, p_root, before.head, p_at, 2, p_leaves);
    END IF;
END
$$;

-- What the release before calls while it is being replaced: batches by form 1. It does not know the
-- shard's time, so it is told to come again later.
CREATE OR REPLACE FUNCTION advance_shard(
    p_shard text, p_version bigint, p_transfers bigint, p_root bytea, p_at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before shard_state;
BEGIN
    SELECT * INTO before FROM shard_state WHERE shard = p_shard AND version = p_version FOR UPDATE;
    IF NOT FOUND OR p_at < before.recorded_at THEN
        RAISE EXCEPTION 'shard % has moved on from version %', p_shard, p_version
            USING ERRCODE = 'serialization_failure';
    END IF;
    UPDATE shard_state
    SET version = version + 1,
        log_seq = log_seq + (p_transfers > 0)::int,
        transfer_seq = transfer_seq + p_transfers,
        head = coalesce(p_root, head),
        recorded_at = p_at
    WHERE shard = p_shard;
    IF p_transfers > 0 THEN
        INSERT INTO log (shard, seq, first_transfer, last_transfer, root, previous_root, recorded_at)
        VALUES (p_shard, before.log_seq + 1, before.transfer_seq + 1,
                before.transfer_seq + p_transfers, p_root, before.head, p_at);
    END IF;
END
$$;

-- Public keys that daily roots were signed with; a key's id is the head of its SHA-256, in hex.
CREATE TABLE signing_key (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    since timestamptz NOT NULL
);

-- One row per shard and UTC day, from the day of its first batch on, days without batches too.
-- `record_hash` and `signature` are of the record defined in days.py.
CREATE TABLE daily_root (
    shard text COLLATE "C" NOT NULL,
    day date NOT NULL,
    first_log bigint NOT NULL CHECK (first_log > 0),
    last_log bigint NOT NULL,
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    head bytea NOT NULL CHECK (octet_length(head) = 32),
    previous bytea NOT NULL CHECK (octet_length(previous) = 32),
    signed_at timestamptz NOT NULL,
    key_id text COLLATE "C" NOT NULL REFERENCES signing_key (id),
    record_hash bytea NOT NULL CHECK (octet_length(record_hash) = 32),
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    PRIMARY KEY (shard, day),
    CONSTRAINT daily_root_range CHECK (last_log >= first_log - 1)
);

CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signing_key
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON daily_root
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE UPDATE, DELETE, TRUNCATE ON signing_key, daily_root FROM tally_ledger;
