-- Replicas read the rules that changed since they read last, and only companies have rules of their own.
ALTER TABLE allocation_rule_version ADD COLUMN stamp bigint NOT NULL DEFAULT 0;
-- Rules are few: the table is read in a moment.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX allocation_rule_version_changed ON allocation_rule_version (stamp);
-- Below the stamp that the change ends with, whichever release makes it.
CREATE FUNCTION stamp_of_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stamp := nextval('rule_change');
    RETURN NEW;
END
$$;
CREATE TRIGGER allocation_rule_version_stamp BEFORE INSERT OR UPDATE ON allocation_rule_version
    FOR EACH ROW EXECUTE FUNCTION stamp_of_change();

-- What a party is; not known of those that were told of before.
ALTER TABLE party_place ADD COLUMN kind text COLLATE "C";
