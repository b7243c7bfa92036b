-- Allocation rules by API, owners' keys and consents, and what rules need to know of the directory.
-- Rows of tenants show to whoever set tally.tenant to that tenant; consumers set it to *.

CREATE TABLE allocation_rule (
    rule_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    last_version integer NOT NULL CHECK (last_version > 0),
    retired_at timestamptz,
    CONSTRAINT allocation_rule_name_once_per_tenant UNIQUE (tenant, name)
);

-- A version divides what occurs in [effective_from, effective_until); its document never changes.
CREATE TABLE allocation_rule_version (
    rule_id text COLLATE "C" NOT NULL REFERENCES allocation_rule,
    version integer NOT NULL CHECK (version > 0),
    tenant text COLLATE "C" NOT NULL,
    document text NOT NULL,
    digest text COLLATE "C" NOT NULL,
    effective_from timestamptz NOT NULL,
    effective_until timestamptz CHECK (effective_until >= effective_from),
    actor text NOT NULL,
    principal text NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (rule_id, version)
);

-- A new number with every change to the rules, never one of a unit that was undone; who books money holds it shared, so that a change waits for
-- units that began under the old rules, and units that begin later see it.
CREATE SEQUENCE rule_change;
CREATE TABLE rule_stamp (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    stamp bigint NOT NULL
);
INSERT INTO rule_stamp (stamp) VALUES (nextval('rule_change'));

-- Dry runs and lints by their ids, so that an id asks one thing only.
CREATE TABLE rule_question (
    question_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    asked_at timestamptz NOT NULL
);

CREATE TABLE owner_key (
    owner text COLLATE "C" NOT NULL,
    public_key text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('proposed', 'registered', 'replaced')),
    proposed_by text NOT NULL,
    proposed_for text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (owner, public_key)
);
CREATE UNIQUE INDEX owner_key_in_force ON owner_key (owner) WHERE state = 'registered';

CREATE TABLE owner_consent (
    owner text COLLATE "C" NOT NULL,
    nonce text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    rule_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    given_at timestamptz NOT NULL,
    PRIMARY KEY (owner, nonce),
    FOREIGN KEY (rule_id, version) REFERENCES allocation_rule_version
);

-- The directory's word, from its facts.
CREATE TABLE known_relation (
    other text COLLATE "C" NOT NULL,
    relation text COLLATE "C" NOT NULL,
    party text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    ended boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (other, relation, party)
);

CREATE TABLE known_member (
    group_id text COLLATE "C" NOT NULL,
    party text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    member boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (group_id, party)
);
CREATE INDEX known_member_party ON known_member (party) WHERE member;

-- What the directory said when the pay-in was divided: the same version and facts, the same lines.
ALTER TABLE pay_in ADD COLUMN rule_facts jsonb;

ALTER TABLE allocation_rule ENABLE ROW LEVEL SECURITY;
ALTER TABLE allocation_rule FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON allocation_rule USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE allocation_rule_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE allocation_rule_version FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON allocation_rule_version USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE rule_question ENABLE ROW LEVEL SECURITY;
ALTER TABLE rule_question FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON rule_question USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE owner_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE owner_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON owner_key USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE owner_consent ENABLE ROW LEVEL SECURITY;
ALTER TABLE owner_consent FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON owner_consent USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE known_relation ENABLE ROW LEVEL SECURITY;
ALTER TABLE known_relation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON known_relation USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
ALTER TABLE known_member ENABLE ROW LEVEL SECURITY;
ALTER TABLE known_member FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON known_member USING
    (current_setting('tally.tenant', true) IN (tenant, '*'));
