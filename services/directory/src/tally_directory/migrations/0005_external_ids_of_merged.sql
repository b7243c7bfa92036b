-- What a merged party was called, the one it became may be called: the name goes over to it. Within one
-- batch it may be there twice, until both rows are saved.
-- squawk-ignore ban-drop-not-null
ALTER TABLE external_reference ALTER COLUMN external_id DROP NOT NULL;
-- squawk-ignore ban-drop-constraint
ALTER TABLE external_reference DROP CONSTRAINT external_reference_names_one;
-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid
ALTER TABLE external_reference ADD CONSTRAINT external_reference_names_one
UNIQUE (known_to, external_id) DEFERRABLE INITIALLY DEFERRED;
