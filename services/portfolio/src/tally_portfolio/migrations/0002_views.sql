-- What each viewer sees: the parties' tree, movements and balances of accounts, and which things are
-- whose. Everything is copied from facts; sums follow from rows and can be made again from them.
--
-- A session sees rows of the tenant it names in `tally.tenant`, of every tenant if that is `*`, and
-- none if it names no tenant: Postgres holds it to that, whatever a query forgets.

-- One row per party, and per owner reference that a party has claimed (kind `reference`).
CREATE TABLE party (
    party_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    described text COLLATE "C",
    kind text COLLATE "C",
    external_id text COLLATE "C",
    country text COLLATE "C",
    alias text COLLATE "C",
    state text COLLATE "C",
    placed text COLLATE "C",
    parent text COLLATE "C",
    merged_into text COLLATE "C",
    registered_at timestamptz,
    above text COLLATE "C" GENERATED ALWAYS AS (COALESCE(merged_into, parent)) STORED
);
CREATE INDEX party_above ON party (above);

-- Every party under every party above it, and under itself. `tenant` is the ancestor's.
CREATE TABLE descent (
    party text COLLATE "C" NOT NULL,
    ancestor text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    depth smallint NOT NULL,
    PRIMARY KEY (party, ancestor)
);

-- Owners a thing is about, registered or not.
CREATE TABLE involvement (
    subject text COLLATE "C" NOT NULL,
    party text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (subject, party)
);
CREATE INDEX involvement_party ON involvement (party);

-- Who sees a thing: those it is about, all above them, and `*`, the operator.
CREATE TABLE sight (
    subject text COLLATE "C" NOT NULL,
    viewer text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    kind text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    attention boolean NOT NULL,
    PRIMARY KEY (subject, viewer)
);
CREATE INDEX sight_newest ON sight (viewer, kind, at DESC, subject DESC);
CREATE INDEX sight_attention ON sight (viewer, at DESC, subject DESC) WHERE attention;

CREATE TABLE wallet (
    account text COLLATE "C" PRIMARY KEY,
    wallet_id text COLLATE "C" NOT NULL UNIQUE,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    owner text COLLATE "C" NOT NULL,
    ledger text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    reference text COLLATE "C",
    company text COLLATE "C",
    value_kind text COLLATE "C" NOT NULL,
    opened_at timestamptz NOT NULL
);

CREATE TABLE wallet_grant (
    grant_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    wallet text COLLATE "C" NOT NULL,
    to_party text COLLATE "C" NOT NULL,
    fields text[] NOT NULL,
    version text COLLATE "C" NOT NULL
);
CREATE INDEX wallet_grant_to_party ON wallet_grant (to_party, wallet);

CREATE TABLE connection (
    connection_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    from_party text COLLATE "C" NOT NULL,
    to_party text COLLATE "C" NOT NULL,
    access text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL
);
CREATE INDEX connection_from_party ON connection (from_party, to_party);

CREATE TABLE consent (
    party_id text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    given boolean NOT NULL,
    version text COLLATE "C" NOT NULL,
    PRIMARY KEY (party_id, company)
);

-- One row per leg and account it touched, in the order the ledger recorded them.
CREATE TABLE movement (
    account text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    log_seq bigint NOT NULL,
    transfer_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    ledger text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    posted numeric(60, 0) NOT NULL,
    held numeric(60, 0) NOT NULL,
    flow text COLLATE "C" NOT NULL,
    counter text COLLATE "C",
    journal text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    effective_at timestamptz NOT NULL,
    five_ws jsonb NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (account, at, log_seq, transfer_id)
);

-- Sums of an account's movements by hour, so that a balance at a past time reads hours, not rows.
CREATE TABLE hour (
    account text COLLATE "C" NOT NULL,
    starts_at timestamptz NOT NULL,
    currency text COLLATE "C" NOT NULL,
    posted numeric NOT NULL,
    held numeric NOT NULL,
    PRIMARY KEY (account, starts_at, currency)
) WITH (fillfactor = 80);

-- Sums of all movements of an account. `owner` is known of wallets alone, once they are described.
CREATE TABLE balance (
    account text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    owner text COLLATE "C",
    posted numeric NOT NULL,
    held numeric NOT NULL,
    received numeric NOT NULL,
    paid numeric NOT NULL,
    committed numeric NOT NULL,
    PRIMARY KEY (account, currency)
) WITH (fillfactor = 70);

-- Sums of the wallets of one owner, registered or not.
CREATE TABLE owned (
    owner text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    posted numeric NOT NULL,
    held numeric NOT NULL,
    received numeric NOT NULL,
    paid numeric NOT NULL,
    committed numeric NOT NULL,
    PRIMARY KEY (owner, currency)
) WITH (fillfactor = 70);

-- Sums of the wallets of a whole sub-tree; of everybody's for the party `*`.
CREATE TABLE total (
    party text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    posted numeric NOT NULL,
    held numeric NOT NULL,
    received numeric NOT NULL,
    paid numeric NOT NULL,
    committed numeric NOT NULL,
    PRIMARY KEY (party, currency)
) WITH (fillfactor = 50);

-- Each look at a wallet that a grant alone made possible (F6). Kept, not made again by a rebuild.
CREATE TABLE view_log (
    view_id uuid PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    grant_id text COLLATE "C" NOT NULL,
    wallet text COLLATE "C" NOT NULL,
    viewer text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    fields text[] NOT NULL,
    viewed_at timestamptz NOT NULL
);
CREATE INDEX view_log_wallet ON view_log (wallet, viewed_at DESC);

-- Rows that name their tenant.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'party', 'descent', 'sight', 'wallet', 'wallet_grant', 'connection', 'consent', 'total',
        'view_log'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I USING ('
            'tenant = current_setting(''tally.tenant'', true) '
            'OR current_setting(''tally.tenant'', true) = ''*'')', name
        );
    END LOOP;
END
$$;

-- A grant and a connection are also the business of the party they open something to.
CREATE POLICY opened_to ON wallet_grant FOR SELECT USING (
    (
        SELECT true FROM party p
        WHERE p.party_id = to_party AND p.tenant = current_setting('tally.tenant', true)
    )
);
CREATE POLICY opened_to ON connection FOR SELECT USING (
    (
        SELECT true FROM party p
        WHERE p.party_id = from_party AND p.tenant = current_setting('tally.tenant', true)
    )
);

-- Rows about a thing are of every tenant in which somebody sees it. Asked row by row, by the index:
-- EXISTS would be answered by reading all that the tenant sees.
DO $$
DECLARE
    pair text[];
BEGIN
    FOREACH pair SLICE 1 IN ARRAY ARRAY[
        ['hop', 'subject'], ['payment_key', 'subject'], ['pay_in', 'pay_in_id'],
        ['payout', 'payout_id'], ['account', 'account_id'], ['movement', 'account'],
        ['hour', 'account'], ['balance', 'account']
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', pair[1]);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', pair[1]);
        EXECUTE format(
            'CREATE POLICY seen ON %1$I USING ('
            'current_setting(''tally.tenant'', true) = ''*'' OR (SELECT true FROM sight s '
            'WHERE s.subject = %1$I.%2$I AND s.tenant = current_setting(''tally.tenant'', true) LIMIT 1))',
            pair[1], pair[2]
        );
    END LOOP;
END
$$;

-- Rows that only the service's own work needs.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['involvement', 'owned', 'set_aside'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY all_tenants ON %I USING (current_setting(''tally.tenant'', true) = ''*'')',
            name
        );
    END LOOP;
END
$$;
