-- Things of which facts tell the whole state each time: what is owed after returns, escrow, claims,
-- charges, and what programs tell. The newest fact of a part stands. A thing that is `under` another
-- is seen by whoever sees that one.
CREATE TABLE record (
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    part smallint NOT NULL,
    under text COLLATE "C",
    version text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    told jsonb NOT NULL,
    PRIMARY KEY (subject, kind, part)
) WITH (fillfactor = 80);
CREATE INDEX record_under ON record (under, kind, at DESC, subject DESC) WHERE under IS NOT NULL AND part = 1;

ALTER TABLE record ENABLE ROW LEVEL SECURITY;
ALTER TABLE record FORCE ROW LEVEL SECURITY;
-- CASE, and one row asked for by the index, as in the policies before this one.
CREATE POLICY seen ON record USING (
    current_setting('tally.tenant', true) = '*' OR (
        SELECT true FROM sight s
        WHERE s.subject = CASE WHEN record.under IS NULL THEN record.subject ELSE record.under END
        AND s.tenant = current_setting('tally.tenant', true) LIMIT 1
    )
);
