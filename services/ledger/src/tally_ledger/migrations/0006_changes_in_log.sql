-- Freezing, unfreezing and closing an account are leaves of the log (canonical.py, kind A), numbered
-- without gaps within their shard. Rows of before have no number and are not in the log.
ALTER TABLE account_change ADD COLUMN seq bigint CHECK (seq > 0);
ALTER TABLE account_change ADD COLUMN log_seq bigint;
-- New rows have both. The release before cannot write such a row: what it takes meanwhile is set aside
-- and can be replayed.
ALTER TABLE account_change ADD CONSTRAINT account_change_in_log
    CHECK (seq IS NOT NULL AND log_seq IS NOT NULL) NOT VALID;
-- The table has a few rows a day: built in an instant.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX account_change_of_shard ON account_change (shard, seq);

-- A batch may change accounts and move nothing: it ends before it begins. It has a leaf all the same
-- (log_leaves_by_form).
-- squawk-ignore ban-drop-constraint
ALTER TABLE log DROP CONSTRAINT log_has_transfers;
ALTER TABLE log ADD CONSTRAINT log_has_transfers CHECK (
    last_transfer >= first_transfer - CASE WHEN form = 1 THEN 0 ELSE 1 END
) NOT VALID;
-- squawk-ignore ban-drop-constraint
ALTER TABLE shard_state DROP CONSTRAINT shard_state_check;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE shard_state ADD CONSTRAINT shard_transfers_not_negative CHECK (transfer_seq >= 0);
