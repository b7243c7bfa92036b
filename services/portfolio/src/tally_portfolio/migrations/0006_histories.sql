-- What a hop tells of besides its subject: a charge's or a debt's fact is a hop of the pay-in it came of,
-- and belongs to the history of the charge or the debt as well.
ALTER TABLE hop ADD COLUMN about text COLLATE "C";

-- No batch folds meanwhile; every tenant's rows are read.
SELECT pg_advisory_xact_lock(hashtextextended('portfolio_fold:' || current_schema(), 0)),
       set_config('tally.tenant', '*', true);
UPDATE hop SET about = summary ->> k.field
FROM (VALUES
    ('funding.receivable.opened.v1', 'receivable_id'), ('funding.charge.taken.v1', 'charge_id'),
    ('funding.charge.refused.v1', 'charge_id'), ('funding.expectation.paid.v1', 'expectation_id'),
    ('funding.entry.decided.v1', 'entry_id')
) k (event_type, field)
WHERE hop.event_type = k.event_type AND summary ->> k.field <> subject;
SELECT set_config('tally.tenant', '', true);

-- Batches wait already, and a rebuild runs this within its transaction.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX hop_about ON hop (about) WHERE about IS NOT NULL;
