-- How parties are called in the systems of those they deal with; rows show to the tenant of the party.
CREATE TABLE external_reference (
    known_to text COLLATE "C" NOT NULL REFERENCES party,
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    tenant text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (known_to, party_id),
    CONSTRAINT external_reference_names_one UNIQUE (known_to, external_id)
);
CREATE INDEX external_reference_party ON external_reference (party_id);

ALTER TABLE external_reference ENABLE ROW LEVEL SECURITY;
ALTER TABLE external_reference FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON external_reference USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
