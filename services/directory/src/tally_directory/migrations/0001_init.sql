-- Parties and what hangs on them. Every table with a tenant lets a session see the rows of the
-- tenant it has named in tally.tenant, or all when it has named *; without a name it sees none.
-- other_tenant: the tenant of the second party of a row, which sees the row as well.

CREATE TABLE party (
    party_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL
        CHECK (kind IN ('aggregator', 'company', 'partner', 'payee', 'group')),
    parent text COLLATE "C" REFERENCES party,
    external_id text COLLATE "C",
    country text COLLATE "C",
    alias text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('registered', 'unclaimed', 'merged')),
    merged_into text COLLATE "C" REFERENCES party,
    made_for text COLLATE "C" REFERENCES party,
    group_version bigint NOT NULL CHECK (group_version >= 0),
    changed_at timestamptz NOT NULL,
    CONSTRAINT party_merged_into_another CHECK ((state = 'merged') = (merged_into IS NOT NULL)),
    CONSTRAINT party_not_above_itself CHECK (parent <> party_id),
    CONSTRAINT party_not_merged_into_itself CHECK (merged_into <> party_id)
);
CREATE UNIQUE INDEX party_external_id ON party (tenant, external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX party_below ON party (parent);
CREATE INDEX party_unclaimed ON party (changed_at) WHERE state = 'unclaimed';

-- Owner references of the books that are a party's beside its own id.
CREATE TABLE owner_reference (
    reference text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    changed_at timestamptz NOT NULL
);
CREATE INDEX owner_reference_party ON owner_reference (party_id);

CREATE TABLE relation_type (
    tenant text COLLATE "C" NOT NULL,
    relation text COLLATE "C" NOT NULL,
    label text NOT NULL,
    PRIMARY KEY (tenant, relation)
);
INSERT INTO relation_type (tenant, relation, label) VALUES
    ('*', 'supplier', 'Supplier'),
    ('*', 'customer', 'Customer'),
    ('*', 'affiliate', 'Affiliate'),
    ('*', 'franchisee', 'Franchisee'),
    ('*', 'reseller', 'Reseller'),
    ('*', 'distributor', 'Distributor'),
    ('*', 'agent', 'Agent'),
    ('*', 'influencer', 'Influencer');

CREATE TABLE relation (
    party text COLLATE "C" NOT NULL REFERENCES party,
    other text COLLATE "C" NOT NULL REFERENCES party,
    relation text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL REFERENCES party,
    ended boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (party, other, relation)
);

CREATE TABLE connection (
    connection_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    other_tenant text COLLATE "C" NOT NULL,
    from_party text COLLATE "C" NOT NULL REFERENCES party,
    to_party text COLLATE "C" NOT NULL REFERENCES party,
    access smallint NOT NULL CHECK (access BETWEEN 1 AND 3),
    state text COLLATE "C" NOT NULL CHECK (state IN ('invited', 'accepted', 'revoked')),
    changed_at timestamptz NOT NULL
);
CREATE INDEX connection_pair ON connection (from_party, to_party);

CREATE TABLE role (
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    person text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL CHECK (role IN ('owner', 'admin', 'approver', 'viewer')),
    tenant text COLLATE "C" NOT NULL,
    held boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (party_id, person, role)
);

-- sealed is bound to (tenant, contact, value, contact_id); NULL once the contact is forgotten.
CREATE TABLE contact (
    contact_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    channel text COLLATE "C" NOT NULL,
    token text COLLATE "C" NOT NULL,
    sealed text COLLATE "C",
    verified_at timestamptz,
    codes_day date,
    codes_sent integer NOT NULL CHECK (codes_sent >= 0),
    changed_at timestamptz NOT NULL
);
CREATE INDEX contact_party_token ON contact (party_id, token);

CREATE TABLE verification (
    verification_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    contact_id text COLLATE "C" NOT NULL REFERENCES contact,
    code_token text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    attempts integer NOT NULL CHECK (attempts >= 0),
    confirmed boolean NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE wallet (
    wallet_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL REFERENCES party,
    account text COLLATE "C" NOT NULL,
    ledger text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    reference text COLLATE "C",
    company text COLLATE "C",
    value_kind text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT wallet_per_account UNIQUE (account)
);
CREATE INDEX wallet_owner ON wallet (owner);

CREATE TABLE wallet_grant (
    grant_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    other_tenant text COLLATE "C" NOT NULL,
    wallet text COLLATE "C" NOT NULL REFERENCES wallet,
    to_party text COLLATE "C" NOT NULL REFERENCES party,
    fields text[] NOT NULL,
    revoked boolean NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX wallet_grant_standing ON wallet_grant (wallet, to_party) WHERE NOT revoked;

CREATE TABLE wallet_view (
    command_id text COLLATE "C" NOT NULL,
    position integer NOT NULL CHECK (position >= 0),
    tenant text COLLATE "C" NOT NULL,
    grant_id text COLLATE "C" NOT NULL REFERENCES wallet_grant,
    wallet text COLLATE "C" NOT NULL,
    viewer text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    fields text[] NOT NULL,
    viewed_at timestamptz NOT NULL,
    PRIMARY KEY (command_id, position)
);
CREATE INDEX wallet_view_time ON wallet_view (wallet, viewed_at);

CREATE TABLE membership (
    group_id text COLLATE "C" NOT NULL REFERENCES party,
    party text COLLATE "C" NOT NULL REFERENCES party,
    tenant text COLLATE "C" NOT NULL,
    member boolean NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (group_id, party)
);

CREATE TABLE consent (
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    company text COLLATE "C" NOT NULL REFERENCES party,
    tenant text COLLATE "C" NOT NULL,
    other_tenant text COLLATE "C" NOT NULL,
    given boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (party_id, company)
);

CREATE TABLE funding_details (
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    currency text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    virtual_account text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (party_id, currency),
    CONSTRAINT funding_details_lead_to_one_party UNIQUE (virtual_account)
);

CREATE TABLE approval (
    approval_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    act text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    content_digest text COLLATE "C",
    proposed_by text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'approved', 'declined')),
    decided_by text COLLATE "C",
    changed_at timestamptz NOT NULL,
    CONSTRAINT approval_takes_two CHECK (decided_by <> proposed_by),
    CONSTRAINT approval_decided_by_somebody CHECK ((state = 'open') = (decided_by IS NULL))
);
CREATE INDEX approval_waiting ON approval (changed_at) WHERE state = 'open';

-- How each command was answered, so that it is not carried out again; refusal: the whole of one.
CREATE TABLE command (
    command_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    answer text COLLATE "C" NOT NULL,
    refusal jsonb,
    decided_at timestamptz NOT NULL
);

-- Assets beside the ISO 4217 currencies, as the ledger has registered them.
CREATE TABLE asset (
    code text COLLATE "C" PRIMARY KEY,
    registered_at timestamptz NOT NULL
);

DO $$
DECLARE
    named text;
    own text := 'current_setting(''tally.tenant'', true) IN (tenant, ''*'')';
BEGIN
    FOREACH named IN ARRAY ARRAY[
        'party', 'owner_reference', 'relation_type', 'relation', 'connection', 'role', 'contact',
        'verification', 'wallet', 'wallet_grant', 'wallet_view', 'membership', 'consent',
        'funding_details', 'approval', 'command']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', named);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', named);
        EXECUTE format('CREATE POLICY of_tenant ON %I USING (%s)', named, own);
    END LOOP;
    FOREACH named IN ARRAY ARRAY['connection', 'wallet_grant', 'consent'] LOOP
        EXECUTE format(
            'CREATE POLICY of_other_tenant ON %I FOR SELECT '
            'USING (other_tenant = current_setting(''tally.tenant'', true))', named);
    END LOOP;
END
$$;
CREATE POLICY of_every_tenant ON relation_type FOR SELECT
    USING (tenant = '*' AND current_setting('tally.tenant', true) <> '');
