-- Sums by day and by minute beside those by hour: a balance at a past time reads whole days, the hours
-- of the last day, the minutes of the last hour and the rows of the last minute, however many there are.
CREATE TABLE day (LIKE hour INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE);
CREATE TABLE minute (LIKE hour INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE);
ALTER TABLE day SET (fillfactor = 80);
ALTER TABLE minute SET (fillfactor = 80);

-- No batch folds meanwhile; every tenant's rows are read.
SELECT pg_advisory_xact_lock(hashtextextended('portfolio_fold:' || current_schema(), 0)),
       set_config('tally.tenant', '*', true);
INSERT INTO day (account, starts_at, currency, posted, held)
SELECT account, date_trunc('day', starts_at, 'UTC'), currency, sum(posted), sum(held)
FROM hour GROUP BY 1, 2, 3;
INSERT INTO minute (account, starts_at, currency, posted, held)
SELECT account, date_trunc('minute', at, 'UTC'), currency, sum(posted), sum(held)
FROM movement GROUP BY 1, 2, 3;
SELECT set_config('tally.tenant', '', true);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['day', 'minute'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY seen ON %1$I USING ('
            'current_setting(''tally.tenant'', true) = ''*'' OR (SELECT true FROM sight s '
            'WHERE s.subject = %1$I.account AND s.tenant = current_setting(''tally.tenant'', true) LIMIT 1))',
            name
        );
    END LOOP;
END
$$;
