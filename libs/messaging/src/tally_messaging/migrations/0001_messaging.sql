-- Inbox, outbox and quarantine of one service, in the service's own schema.

CREATE TABLE inbox (
    consumer text COLLATE "C" NOT NULL,
    event_key uuid NOT NULL,
    body_hash bytea NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, event_key)
);

CREATE TABLE outbox_lane (
    lane smallint PRIMARY KEY,
    head bigint NOT NULL DEFAULT 0 CHECK (head >= 0)
) WITH (fillfactor = 20);

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
);

CREATE TABLE relay (
    lane smallint PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    owner text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 20);

CREATE TABLE quarantine (
    id uuid PRIMARY KEY,
    consumer text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    record_key bytea,
    headers jsonb NOT NULL,
    payload bytea,
    fingerprint bytea NOT NULL,
    event_key uuid,
    code text NOT NULL,
    field text,
    detail text NOT NULL,
    trace text,
    blocks boolean NOT NULL,
    duplicate_of uuid,
    state text NOT NULL CHECK (state IN ('open', 'replayed', 'dropped', 'duplicate')),
    quarantined_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolved_by text,
    CONSTRAINT quarantine_once_per_record UNIQUE (consumer, topic, partition, "offset"),
    CONSTRAINT quarantine_resolution CHECK ((state IN ('replayed', 'dropped')) = (resolved_at IS NOT NULL))
);
CREATE INDEX quarantine_fingerprint ON quarantine (consumer, fingerprint);
CREATE INDEX quarantine_blocking ON quarantine (consumer, topic, record_key)
    WHERE state = 'open' AND blocks;
