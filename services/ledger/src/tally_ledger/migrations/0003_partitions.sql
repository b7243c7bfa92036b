-- entry and log by months of recorded time (ADR 0004), and what else the database itself can hold.
-- It rewrites both tables, so the ledger is stopped while it runs.

-- squawk-ignore renaming-table
ALTER TABLE entry RENAME TO entry_whole;
-- squawk-ignore renaming-object
ALTER TABLE entry_whole RENAME CONSTRAINT entry_pkey TO entry_whole_pkey;
-- squawk-ignore renaming-table
ALTER TABLE log RENAME TO log_whole;
-- squawk-ignore renaming-object
ALTER TABLE log_whole RENAME CONSTRAINT log_pkey TO log_whole_pkey;

-- Recorded time never goes back within a shard, so that in the order of the key each entry follows
-- from the one before, and the balance at a moment is the last entry until then.
CREATE TABLE entry (
    recorded_at timestamptz NOT NULL,
    seq bigint NOT NULL CONSTRAINT entry_seq_check CHECK (seq > 0),
    account text COLLATE "C" NOT NULL,
    transfer_id text COLLATE "C" NOT NULL,
    amount numeric(38, 0) NOT NULL,
    pending numeric(38, 0) NOT NULL,
    posted_after numeric(38, 0) NOT NULL,
    pending_after numeric(38, 0) NOT NULL,
    PRIMARY KEY (account, recorded_at, seq),
    CONSTRAINT entry_changes_something CHECK (amount <> 0 OR pending <> 0),
    CONSTRAINT entry_starts_from_zero
        CHECK (seq > 1 OR (posted_after = amount AND pending_after = pending))
) PARTITION BY RANGE (recorded_at);
CREATE TABLE entry_rest PARTITION OF entry FOR VALUES FROM (MINVALUE) TO (MAXVALUE);

CREATE TABLE log (
    LIKE log_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
    PRIMARY KEY (shard, seq, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE log_rest PARTITION OF log FOR VALUES FROM (MINVALUE) TO (MAXVALUE);

-- The months from p_at's on, p_ahead of them beyond it, each a partition of its own. <table>_rest
-- takes whatever no month takes, so that a forgotten month stops no money; it is empty unless one
-- was forgotten, and becomes a partition of that time then. Nothing is ever dropped here.
-- Waits for no reader: it gives up and is called again.
CREATE FUNCTION ensure_partitions(p_table text, p_at timestamptz, p_ahead int)
RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ledger, pg_temp SET lock_timeout = '500ms' SET timezone = 'UTC' AS $$
DECLARE
    rest text := p_table || '_rest';
    upto timestamptz := date_trunc('month', p_at) + make_interval(months => p_ahead + 1);
    rest_from timestamptz;
    last_kept timestamptz;
    month timestamptz;
    name text;
    made int := 0;
BEGIN
    IF p_table NOT IN ('entry', 'log') OR p_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'no months for % (% ahead)', p_table, p_ahead
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.ensure_partitions', 0));
    SELECT substring(pg_get_expr(relpartbound, oid) FROM $re$FROM \('([^']+)'\)$re$)::timestamptz
    INTO STRICT rest_from FROM pg_class
    WHERE relname = rest AND relnamespace = 'ledger'::regnamespace;
    IF rest_from >= upto THEN
        RETURN 0;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', p_table);
    EXECUTE format('SELECT max(recorded_at) FROM %I', rest) INTO last_kept;
    month := coalesce(
        date_trunc('month', last_kept) + interval '1 month', rest_from, date_trunc('month', p_at));
    upto := greatest(upto, month);
    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', p_table, rest);
    IF last_kept IS NOT NULL OR rest_from IS NULL THEN
        name := p_table || coalesce(to_char(rest_from, '"_from_"YYYY_MM'), '_past');
        EXECUTE format('ALTER TABLE %I RENAME TO %I', rest, name);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%L)',
            p_table, name, coalesce(quote_literal(rest_from), 'MINVALUE'), month);
        made := made + 1;
    END IF;
    WHILE month < upto LOOP
        name := p_table || to_char(month, '"_"YYYY_MM');
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
            name, p_table, month, month + interval '1 month');
        PERFORM protect_partition(name);
        made := made + 1;
        month := month + interval '1 month';
    END LOOP;
    IF to_regclass(rest) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (MAXVALUE)',
            rest, p_table, upto);
        PERFORM protect_partition(rest);
    ELSE
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (MAXVALUE)',
            p_table, rest, upto);
    END IF;
    RETURN made;
END
$$;

-- A partition is written through its table only. Triggers per statement are not inherited.
CREATE FUNCTION protect_partition(p_partition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', p_partition);
    EXECUTE format('REVOKE ALL ON %I FROM tally_ledger', p_partition);
    EXECUTE format('GRANT SELECT ON %I TO tally_ledger', p_partition);
END
$$;
REVOKE EXECUTE ON FUNCTION protect_partition(text) FROM tally_ledger;

CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON entry, log FROM tally_ledger;
SELECT protect_partition('entry_rest'), protect_partition('log_rest');

-- A month for each that has rows. Times that went back while nothing kept them from it are raised
-- to the latest before them.
SELECT ensure_partitions(t.name, r.at, 3)
FROM (VALUES ('entry'), ('log')) AS t (name),
     (SELECT min(recorded_at) AS at FROM log_whole
      UNION ALL SELECT max(recorded_at) FROM log_whole) AS r
WHERE r.at IS NOT NULL
ORDER BY t.name, r.at;
INSERT INTO log SELECT * FROM log_whole ORDER BY shard, seq;
INSERT INTO entry
    (recorded_at, seq, account, transfer_id, amount, pending, posted_after, pending_after)
SELECT l.recorded_at, e.seq, e.account, e.transfer_id, e.amount, e.pending, e.posted_after,
       e.pending_after
FROM entry_whole e
JOIN transfer t ON t.id = e.transfer_id
JOIN (SELECT shard, seq, max(recorded_at) OVER (PARTITION BY shard ORDER BY seq) AS recorded_at
      FROM log_whole) AS l ON l.shard = t.shard AND l.seq = t.log_seq
ORDER BY e.account, e.seq;
-- squawk-ignore ban-drop-table
DROP TABLE entry_whole, log_whole;

-- A log row is the head it was made with, so that rows are gap-free and chained: it is written
-- after the head, under the head's lock.
ALTER TABLE log ADD CONSTRAINT log_chain_starts_from_zero CHECK (
    (seq = 1) = (previous_root = decode(repeat('00', 32), 'hex'))
    AND (seq > 1 OR first_transfer = 1)
) NOT VALID;
CREATE FUNCTION check_log_is_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM shard_state s
    WHERE s.shard = NEW.shard AND s.log_seq = NEW.seq AND s.head = NEW.root
      AND s.transfer_seq = NEW.last_transfer AND s.recorded_at = NEW.recorded_at;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'log row % of shard % is not its head', NEW.seq, NEW.shard
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER log_is_head BEFORE INSERT ON log
    FOR EACH ROW EXECUTE FUNCTION check_log_is_head();

-- What can only go one way. The conditions cost nothing that is seen; the function runs on refusal.
CREATE FUNCTION refuse_way_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% would go back: %', TG_TABLE_NAME, TG_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER head_goes_forward BEFORE UPDATE ON shard_state
    FOR EACH ROW WHEN (
        NEW.version <= OLD.version
        OR NEW.log_seq NOT BETWEEN OLD.log_seq AND OLD.log_seq + 1
        OR NEW.transfer_seq < OLD.transfer_seq
        OR (NEW.log_seq = OLD.log_seq
            AND (NEW.head <> OLD.head OR NEW.transfer_seq <> OLD.transfer_seq))
        OR NEW.recorded_at < OLD.recorded_at
    ) EXECUTE FUNCTION refuse_way_back();
CREATE TRIGGER account_goes_forward BEFORE UPDATE ON account
    FOR EACH ROW WHEN (
        NEW.seq < OLD.seq
        OR NEW.debits_posted < OLD.debits_posted
        OR NEW.credits_posted < OLD.credits_posted
    ) EXECUTE FUNCTION refuse_way_back();
CREATE TRIGGER hold_only_shrinks BEFORE UPDATE ON hold
    FOR EACH ROW WHEN (OLD.state <> 'open' OR NEW.remaining >= OLD.remaining)
    EXECUTE FUNCTION refuse_way_back();

-- What never changes at all, by column: a privilege costs nothing per row.
REVOKE UPDATE ON account, hold, shard_state FROM tally_ledger;
GRANT UPDATE (debits_posted, credits_posted, debits_pending, credits_pending, seq,
              frozen_in, frozen_out, closed) ON account TO tally_ledger;
GRANT UPDATE (remaining, state, expires_at) ON hold TO tally_ledger;
GRANT UPDATE (version, log_seq, transfer_seq, head, recorded_at) ON shard_state TO tally_ledger;
