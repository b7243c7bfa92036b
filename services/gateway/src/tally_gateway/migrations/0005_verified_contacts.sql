-- A list of imports is read newest first; imports are few enough for an index made at once.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX bulk_import_newest ON bulk_import (principal, started_at DESC, import_id DESC);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX bulk_import_of_principal;

-- Where a code reaches a party: contacts it has shown to be its own, and not forgotten.
SELECT set_config('tally.tenant', '*', true);

CREATE TABLE verified_contact (
    contact_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL
);
CREATE INDEX verified_contact_of ON verified_contact (party_id);

ALTER TABLE verified_contact ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON verified_contact
USING (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*')
WITH CHECK (tenant = current_setting('tally.tenant', true) OR current_setting('tally.tenant', true) = '*');

-- tally: mends 2e66d137f55dc2c88842fd9dd9d4fb2123a19061fbf61a1e0d0e219a112f8e8e
-- Those that facts told of before, from the logs the facts stand in. A contact may have been verified
-- twice, the second time as that of another party (a merge) or tenant: the last time stands.
INSERT INTO verified_contact (contact_id, tenant, party_id)
SELECT v.contact_id, v.tenant, coalesce(r.party_id, v.party_id)
FROM (
    SELECT DISTINCT ON (told.fact ->> 'contact_id')
        told.fact ->> 'contact_id' AS contact_id,
        told.fact ->> 'tenant' AS tenant,
        told.fact ->> 'party_id' AS party_id
    FROM event AS e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS fact) AS told
    WHERE e.type = 'directory.contact.verified.v1'
    ORDER BY told.fact ->> 'contact_id', e.occurred_at DESC, e.event_id DESC
) AS v
LEFT JOIN party_reference AS r ON r.reference = v.party_id
WHERE NOT EXISTS (
    SELECT FROM event AS e
    WHERE e.type = 'directory.contact.removed.v1'
        AND convert_from(e.payload, 'UTF8')::jsonb ->> 'contact_id' = v.contact_id
);
