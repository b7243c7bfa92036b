-- Rules of companies below a tenant; those that were there are the tenants' own.
ALTER TABLE allocation_rule ADD COLUMN company text COLLATE "C";
ALTER TABLE allocation_rule_version ADD COLUMN company text COLLATE "C";
-- A name is one rule's of its tenant, or of its company: companies choose theirs unseen by others.
ALTER TABLE allocation_rule DROP CONSTRAINT allocation_rule_name_once_per_tenant;
-- squawk-ignore disallowed-unique-constraint
ALTER TABLE allocation_rule ADD CONSTRAINT allocation_rule_name_once_per_owner
    UNIQUE NULLS NOT DISTINCT (tenant, company, name);
