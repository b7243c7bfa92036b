-- What waits for its rail waits for no person: it calls for no attention while it goes on.

-- No batch folds meanwhile; every tenant's rows are read.
SELECT pg_advisory_xact_lock(hashtextextended('portfolio_fold:' || current_schema(), 0)),
       set_config('tally.tenant', '*', true);
UPDATE sight s SET attention = false
FROM payout o
WHERE o.payout_id = s.subject AND s.attention
    AND o.state NOT IN ('unknown', 'claimable', 'returned', 'failed', 'rejected', 'reversed', 'escheated')
    AND o.must_act = 'rail';
SELECT set_config('tally.tenant', '', true);
