-- Who there is, what they have to show, and what each level may do. Every table with a tenant lets a
-- session see the rows of the tenant it has named in tally.tenant, or all when it has named *;
-- without a name it sees none.

-- level to policy_version: what was told last, by the fact with number sequence.
CREATE TABLE party (
    party_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('person', 'company')),
    country text COLLATE "C",
    merged_into text COLLATE "C" REFERENCES party,
    is_registered boolean NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    level text COLLATE "C" NOT NULL CHECK (level IN ('none', 'basic', 'standard', 'advanced')),
    may_remit boolean NOT NULL,
    reasons jsonb NOT NULL,
    valid_until timestamptz,
    policy_version integer NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT party_not_merged_into_itself CHECK (merged_into <> party_id)
);
CREATE INDEX party_became ON party (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX party_of_policy ON party (policy_version);

-- evidence: references and digests, never what was shown.
CREATE TABLE task (
    task_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    party_id text COLLATE "C" NOT NULL REFERENCES party,
    kind text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN (
        'open', 'submitted', 'in_review', 'passed', 'failed', 'expired', 'waived')),
    reason text NOT NULL,
    opened_at timestamptz NOT NULL,
    evidence jsonb NOT NULL,
    submitted_by text COLLATE "C",
    decided_by text COLLATE "C",
    expires_at timestamptz,
    is_warned boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT task_counts_for_a_time
        CHECK (state NOT IN ('passed', 'waived') OR expires_at IS NOT NULL),
    CONSTRAINT task_decided_by_another CHECK (decided_by <> submitted_by)
);
CREATE UNIQUE INDEX task_waits_once ON task (party_id, kind)
    WHERE state IN ('open', 'submitted', 'in_review');
CREATE INDEX task_of_party ON task (party_id);
CREATE INDEX task_ends ON task (expires_at) WHERE state IN ('passed', 'waived');

CREATE TABLE consent (
    party_id text COLLATE "C" NOT NULL,
    company text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    is_given boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (party_id, company)
);

CREATE TABLE connection (
    connection_id text COLLATE "C" PRIMARY KEY,
    from_party text COLLATE "C" NOT NULL,
    to_party text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    manages boolean NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX connection_managed ON connection (to_party) WHERE manages;

-- The installation's: every tenant's parties are judged by them.
CREATE TABLE table_version (
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('gate', 'limit')),
    table_name text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    jurisdictions text[] NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz,
    source text NOT NULL,
    content jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (kind, table_name, number),
    CONSTRAINT table_version_lasts CHECK (valid_until > valid_from)
);

-- How each command was answered, so that it is not carried out again; refusal: the whole of one.
CREATE TABLE command (
    command_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    answer text COLLATE "C" NOT NULL,
    refusal jsonb,
    decided_at timestamptz NOT NULL
);

DO $$
DECLARE
    named text;
    own text := 'current_setting(''tally.tenant'', true) IN (tenant, ''*'')';
BEGIN
    FOREACH named IN ARRAY ARRAY['party', 'task', 'consent', 'connection', 'command']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', named);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', named);
        EXECUTE format('CREATE POLICY of_tenant ON %I USING (%s)', named, own);
    END LOOP;
END
$$;
