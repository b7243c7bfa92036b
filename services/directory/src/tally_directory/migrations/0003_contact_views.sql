-- Each look at a party's contacts; rows show to the tenant of the party. Also what the pace of
-- viewers is counted by.
CREATE TABLE contact_view (
    view_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    viewer text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    basis text COLLATE "C" NOT NULL CHECK (basis IN ('own', 'consent', 'grant', 'alias')),
    purpose text NOT NULL,
    tokens text[] NOT NULL,
    viewed_at timestamptz NOT NULL
);
CREATE INDEX contact_view_pace ON contact_view (viewer, viewed_at);
CREATE INDEX contact_view_time ON contact_view (party_id, viewed_at);

ALTER TABLE contact_view ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact_view FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON contact_view USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
