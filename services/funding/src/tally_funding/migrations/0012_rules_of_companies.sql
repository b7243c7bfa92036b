-- Rules of companies below a tenant; those that were there are the tenants' own.
ALTER TABLE allocation_rule ADD COLUMN company text COLLATE "C";
ALTER TABLE allocation_rule_version ADD COLUMN company text COLLATE "C";
-- A name is one rule's of its tenant, or of its company: companies choose theirs unseen by others.
-- squawk-ignore ban-drop-constraint
ALTER TABLE allocation_rule DROP CONSTRAINT allocation_rule_name_once_per_tenant;
-- Rules are few: the table is read in a moment.
-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid
ALTER TABLE allocation_rule ADD CONSTRAINT allocation_rule_name_once_per_owner
    UNIQUE NULLS NOT DISTINCT (tenant, company, name);
