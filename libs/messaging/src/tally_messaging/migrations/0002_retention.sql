-- Inbox and outbox in partitions, so that what nobody needs any more is dropped, not deleted.
--
-- The inbox goes by the time within an event's id (UUIDv7): one event, one partition, whenever it comes
-- again, so the primary key still holds over all partitions. Ids minted by others have no time we could
-- trust; their keys begin with ff and lie in `inbox_foreign`. The outbox goes by its gap-free `seq`.
-- What no partition was made for in time lies in `…_other`: a missed partition never stops a batch.

-- `inbox_from`: events with smaller keys are forgotten, so they are refused, never applied again.
CREATE TABLE retention (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    inbox_from uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
INSERT INTO retention DEFAULT VALUES;

ALTER TABLE outbox_lane ADD COLUMN kept_from bigint NOT NULL DEFAULT 1;

CREATE FUNCTION key_at(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

-- squawk-ignore renaming-table
ALTER TABLE inbox RENAME TO inbox_before;
-- squawk-ignore renaming-object
ALTER INDEX inbox_pkey RENAME TO inbox_before_pkey;
CREATE TABLE inbox (
    consumer text COLLATE "C" NOT NULL,
    event_key uuid NOT NULL,
    body_hash bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, event_key)
) PARTITION BY RANGE (event_key);
CREATE TABLE inbox_foreign PARTITION OF inbox
    FOR VALUES FROM ('ff000000-0000-0000-0000-000000000000') TO (MAXVALUE);
CREATE INDEX inbox_foreign_received ON inbox_foreign (received_at);
CREATE TABLE inbox_other PARTITION OF inbox DEFAULT;
INSERT INTO inbox (consumer, event_key, body_hash, received_at)
SELECT consumer,
       CASE WHEN uuid_extract_version(event_key) = 7
                 AND event_key >= key_at('2020-01-01+00') AND event_key < key_at('2100-01-01+00')
            THEN event_key
            ELSE ('ff' || substr(replace(event_key::text, '-', ''), 3))::uuid
       END,
       body_hash, received_at
FROM inbox_before;
-- squawk-ignore ban-drop-table
DROP TABLE inbox_before;

-- squawk-ignore renaming-table
ALTER TABLE outbox RENAME TO outbox_before;
-- squawk-ignore renaming-object
ALTER INDEX outbox_pkey RENAME TO outbox_before_pkey;
CREATE TABLE outbox (
    lane smallint NOT NULL,
    seq bigint NOT NULL,
    event_id uuid NOT NULL,
    topic text COLLATE "C" NOT NULL,
    record_key text COLLATE "C" NOT NULL,
    headers text NOT NULL,
    payload bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (lane, seq)
) PARTITION BY RANGE (seq);
CREATE TABLE outbox_other PARTITION OF outbox DEFAULT;
INSERT INTO outbox SELECT * FROM outbox_before;
-- squawk-ignore ban-drop-table
DROP TABLE outbox_before;

-- Make the inbox's partitions of the days around `p_now`; drop at most one that ended `p_days` ago.
-- Returns the dropped partition's name, or NULL when nothing is due. The database's clock has its say
-- in what is dropped: a service whose clock runs ahead forgets nothing early.
CREATE FUNCTION keep_inbox(p_now timestamptz, p_days integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    today timestamptz := date_trunc('day', p_now, 'UTC');
    forgotten timestamptz :=
        date_trunc('day', least(p_now, clock_timestamp()), 'UTC') - make_interval(days => p_days);
    starts timestamptz;
    part text;
    low uuid;
    high uuid;
BEGIN
    PERFORM FROM retention FOR UPDATE;
    FOR day IN -1..2 LOOP
        starts := today + make_interval(days => day);
        part := 'inbox_' || to_char(starts AT TIME ZONE 'UTC', 'YYYYMMDD');
        low := key_at(starts);
        high := key_at(starts + interval '1 day');
        IF to_regclass(part) IS NULL AND starts >= forgotten THEN
            EXECUTE format('CREATE TABLE %I (LIKE inbox INCLUDING ALL)', part);
            EXECUTE format('REVOKE ALL ON %I FROM %I', part, 'tally_' || current_schema());
            LOCK TABLE inbox_other IN ACCESS EXCLUSIVE MODE;
            EXECUTE format(
                'WITH moved AS (DELETE FROM inbox_other WHERE event_key >= %L AND event_key < %L'
                ' RETURNING *) INSERT INTO %I SELECT * FROM moved', low, high, part);
            EXECUTE format(
                'ALTER TABLE inbox ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                part, low, high);
        END IF;
    END LOOP;
    SELECT min(c.relname) INTO part
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'inbox'::regclass AND c.relname ~ '^inbox_[0-9]{8}$'
      AND c.relname < 'inbox_' || to_char(forgotten AT TIME ZONE 'UTC', 'YYYYMMDD');
    IF part IS NOT NULL THEN
        LOCK TABLE ONLY inbox IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('DROP TABLE %I', part);
    END IF;
    UPDATE retention SET inbox_from = key_at(forgotten) WHERE inbox_from < key_at(forgotten);
    -- Few: what came before its partition was made, and ids of others, which have no time to go by.
    DELETE FROM inbox_other WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM inbox_other WHERE event_key < key_at(forgotten) LIMIT 10000));
    DELETE FROM inbox_foreign WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM inbox_foreign WHERE received_at < forgotten ORDER BY received_at LIMIT 10000));
    RETURN part;
END
$$;

-- Make the outbox's partitions of the next `2 * p_records` events; drop at most one that was published
-- in every lane and whose last event was recorded `p_days` ago. Returns as `keep_inbox` does.
CREATE FUNCTION keep_outbox(p_now timestamptz, p_days integer, p_records bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    forgotten timestamptz := least(p_now, clock_timestamp()) - make_interval(days => p_days);
    head bigint;
    sent bigint;
    low bigint;
    high bigint;
    newest timestamptz;
    part text;
BEGIN
    PERFORM FROM retention FOR UPDATE;
    SELECT coalesce(max(l.head), 0), coalesce(min(coalesce(r.position, 0)), 0) INTO head, sent
    FROM outbox_lane l LEFT JOIN relay r USING (lane);
    -- A partition is named for the first seq behind it: where the next one starts.
    SELECT coalesce(max(substr(c.relname, 8)::bigint), 1) INTO low
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'outbox'::regclass AND c.relname ~ '^outbox_[0-9]{19}$';
    low := greatest(low, (SELECT max(kept_from) FROM outbox_lane));
    WHILE low <= head + 2 * p_records LOOP
        high := low + p_records;
        part := 'outbox_' || lpad(high::text, 19, '0');
        EXECUTE format('CREATE TABLE %I (LIKE outbox INCLUDING ALL)', part);
        EXECUTE format('REVOKE ALL ON %I FROM %I', part, 'tally_' || current_schema());
        LOCK TABLE outbox_other IN ACCESS EXCLUSIVE MODE;
        EXECUTE format(
            'WITH moved AS (DELETE FROM outbox_other WHERE seq >= %L AND seq < %L RETURNING *)'
            ' INSERT INTO %I SELECT * FROM moved', low, high, part);
        EXECUTE format(
            'ALTER TABLE outbox ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, low, high);
        low := high;
    END LOOP;
    SELECT min(c.relname) INTO part
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'outbox'::regclass AND c.relname ~ '^outbox_[0-9]{19}$';
    high := substr(part, 8)::bigint;
    IF high - 1 > sent THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'SELECT max(o.recorded_at) FROM outbox_lane l CROSS JOIN LATERAL'
        ' (SELECT recorded_at FROM %I WHERE lane = l.lane ORDER BY seq DESC LIMIT 1) o', part)
    INTO newest;
    IF newest >= forgotten THEN
        RETURN NULL;
    END IF;
    -- The table before its lanes: whoever appends takes them in this order too.
    LOCK TABLE ONLY outbox IN ACCESS EXCLUSIVE MODE;
    UPDATE outbox_lane SET kept_from = high WHERE kept_from < high;
    EXECUTE format('DROP TABLE %I', part);
    RETURN part;
END
$$;

-- Both run as the owner: their names must mean this schema's tables only, and a lock that others hold is
-- waited for briefly, since whoever comes behind waits too. The service appends and reads, no more.
DO $$
DECLARE
    here text := current_schema();
    login text := 'tally_' || current_schema();
BEGIN
    EXECUTE format('ALTER FUNCTION keep_inbox SET search_path = %I, pg_temp', here);
    EXECUTE format('ALTER FUNCTION keep_outbox SET search_path = %I, pg_temp', here);
    ALTER FUNCTION keep_inbox SET lock_timeout = '500ms';
    ALTER FUNCTION keep_outbox SET lock_timeout = '500ms';
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON retention FROM %I', login);
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON inbox, inbox_foreign, inbox_other, outbox,'
                   ' outbox_other FROM %I', login);
END
$$;
