-- What programs may spend, tier by tier, and whose things of a program are.
CREATE TABLE budget (
    budget_id text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL,
    budgeted numeric(60, 0) NOT NULL,
    reserved numeric(60, 0) NOT NULL,
    used numeric(60, 0) NOT NULL
) WITH (fillfactor = 70);

-- Sums of a budget and of all that flowed down from it.
CREATE TABLE tier (
    budget_id text COLLATE "C" PRIMARY KEY,
    reserved numeric NOT NULL,
    used numeric NOT NULL
) WITH (fillfactor = 70);

-- A thing is also of whoever keeps what it belongs to: a payment of the program's company, a budget of
-- those who hold the budgets above it. Either may be told first.
CREATE TABLE belonging (
    subject text COLLATE "C" NOT NULL,
    whose text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (subject, whose)
);
CREATE INDEX belonging_whose ON belonging (whose);

CREATE TABLE keeper (
    thing text COLLATE "C" PRIMARY KEY,
    party text COLLATE "C" NOT NULL
);

-- `budgeted` is what holders have and did not give on; with `reserved` and `used` it may be added up.
ALTER TABLE owned
    ADD COLUMN budgeted numeric NOT NULL DEFAULT 0,
    ADD COLUMN reserved numeric NOT NULL DEFAULT 0,
    ADD COLUMN used numeric NOT NULL DEFAULT 0;
ALTER TABLE total
    ADD COLUMN budgeted numeric NOT NULL DEFAULT 0,
    ADD COLUMN reserved numeric NOT NULL DEFAULT 0,
    ADD COLUMN used numeric NOT NULL DEFAULT 0;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['budget', 'tier', 'belonging', 'keeper'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['budget', 'tier'] LOOP
        EXECUTE format(
            'CREATE POLICY seen ON %1$I USING ('
            'current_setting(''tally.tenant'', true) = ''*'' OR (SELECT true FROM sight s '
            'WHERE s.subject = %1$I.budget_id AND s.tenant = current_setting(''tally.tenant'', true) LIMIT 1))',
            name
        );
    END LOOP;
    FOREACH name IN ARRAY ARRAY['belonging', 'keeper'] LOOP
        EXECUTE format(
            'CREATE POLICY all_tenants ON %I USING (current_setting(''tally.tenant'', true) = ''*'')',
            name
        );
    END LOOP;
END
$$;
