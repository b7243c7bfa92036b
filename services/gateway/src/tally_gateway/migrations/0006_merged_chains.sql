-- Merges that were told in another order than they were made left references and contacts at a party
-- that had become another already. They lead to the end of the chain, and are of its tenant.
SELECT set_config('tally.tenant', '*', true);

WITH RECURSIVE followed AS (
    SELECT reference, party_id, tenant FROM party_reference
    UNION
    SELECT f.reference, r.party_id, r.tenant
    FROM followed AS f JOIN party_reference AS r ON r.reference = f.party_id
)

UPDATE party_reference AS r SET party_id = f.party_id, tenant = f.tenant
FROM followed AS f
WHERE f.reference = r.reference AND f.party_id <> r.party_id
    AND NOT EXISTS (SELECT FROM party_reference AS further WHERE further.reference = f.party_id);

UPDATE verified_contact AS c SET party_id = r.party_id, tenant = r.tenant
FROM party_reference AS r
WHERE r.reference = c.party_id;
