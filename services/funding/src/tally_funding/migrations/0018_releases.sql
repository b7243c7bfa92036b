-- tally: no-transaction
-- Whether money that was restricted is in its payee's wallet since, asked where it goes back.
CREATE INDEX CONCURRENTLY IF NOT EXISTS movement_released ON movement (owner, started_at)
    WHERE reason = 'released' AND state = 'moved';
