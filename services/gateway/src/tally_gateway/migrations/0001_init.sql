-- Credentials, commands and their outcomes, the parties' own logs, imports. Every row is a tenant's: the
-- policies let nobody see another's, and a session that names no tenant sees none.

CREATE TABLE credential (
    credential_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('api_key', 'oauth_client')),
    actor text COLLATE "C" NOT NULL,
    label text NOT NULL,
    scopes text [] NOT NULL,
    secret_digest bytea NOT NULL CHECK (octet_length(secret_digest) = 32),
    requests_per_minute integer NOT NULL CHECK (requests_per_minute > 0),
    created_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX credential_of_party ON credential (party, credential_id);

CREATE TABLE idempotency (
    tenant text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    made text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (principal, idempotency_key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE command (
    command_id text COLLATE "C" PRIMARY KEY,
    event_id uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('accepted', 'succeeded', 'refused')),
    accepted_at timestamptz NOT NULL,
    decided_at timestamptz,
    outcome_id uuid,
    outcome_type text COLLATE "C",
    outcome bytea,
    CONSTRAINT command_outcome CHECK ((state = 'accepted') = (outcome IS NULL)),
    CONSTRAINT command_event UNIQUE (event_id)
);
CREATE INDEX command_of_principal ON command (principal, command_id);

CREATE TABLE party_node (
    party_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    path text [] NOT NULL,
    known_at timestamptz NOT NULL
);
CREATE INDEX party_node_below ON party_node USING gin (path);

-- Owner references of the books that are not the party's id, and parties merged into another.
CREATE TABLE party_reference (
    reference text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL
);

CREATE INDEX party_reference_of ON party_reference (party_id);

CREATE TABLE connection (
    connection_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    from_party text COLLATE "C" NOT NULL,
    to_party text COLLATE "C" NOT NULL,
    access text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX connection_from ON connection (from_party, to_party) WHERE state = 'accepted';

CREATE TABLE thing (
    thing_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    parties text [] NOT NULL,
    data jsonb NOT NULL
);

CREATE TABLE event (
    tenant text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    type text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (tenant, event_id)
);

CREATE TABLE party_log (
    party text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    head bigint NOT NULL CHECK (head >= 0)
) WITH (fillfactor = 50);

CREATE TABLE party_event (
    party text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    tenant text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    type text COLLATE "C" NOT NULL,
    PRIMARY KEY (party, number)
);
CREATE INDEX party_event_by_type ON party_event (party, type, number);

CREATE TABLE bulk_import (
    import_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    principal text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('receiving', 'received')),
    rows_accepted bigint NOT NULL,
    rows_refused bigint NOT NULL,
    started_at timestamptz NOT NULL,
    received_at timestamptz
);
CREATE INDEX bulk_import_of_principal ON bulk_import (principal, import_id);

CREATE TABLE bulk_row (
    import_id text COLLATE "C" NOT NULL,
    row_number bigint NOT NULL CHECK (row_number > 0),
    tenant text COLLATE "C" NOT NULL,
    row_hash bytea NOT NULL,
    command_id text COLLATE "C",
    subject text COLLATE "C",
    code text COLLATE "C",
    field text,
    detail text,
    PRIMARY KEY (import_id, row_number),
    CONSTRAINT bulk_row_answer CHECK ((command_id IS NULL) = (code IS NOT NULL))
);

ALTER TABLE credential ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE command ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE party_node ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE party_reference ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE connection ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE thing ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE party_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE party_event ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE bulk_import ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE bulk_row ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant_rows ON credential
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON idempotency
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON command
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON party_node
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON party_reference
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON connection
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON thing
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON event
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON party_log
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON party_event
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON bulk_import
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
CREATE POLICY tenant_rows ON bulk_row
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');
