-- Reversals, accounts that are frozen and closed, limits and floors on both sides, aggregated
-- accounts, assets by registration.

-- pending_id is the transfer that this one follows on: the hold it resolves or the transfer it
-- reverses. How much of a transfer was reversed is the sum of its reversals.
-- squawk-ignore ban-drop-constraint
ALTER TABLE transfer DROP CONSTRAINT transfer_kind_check;
ALTER TABLE transfer ADD CONSTRAINT transfer_kind_check
    CHECK (kind IN ('single', 'pending', 'post', 'void', 'expire', 'reverse')) NOT VALID;
-- squawk-ignore ban-drop-constraint
ALTER TABLE transfer DROP CONSTRAINT transfer_resolves_a_hold;
ALTER TABLE transfer ADD CONSTRAINT transfer_follows_on CHECK (
    (kind IN ('post', 'void', 'expire', 'reverse')) = (pending_id IS NOT NULL)
    AND (kind IN ('single', 'reverse')) = (remaining IS NULL)
    AND (expires_at IS NULL OR kind = 'pending')
) NOT VALID;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX transfer_reversals ON transfer (pending_id) WHERE kind = 'reverse';

-- squawk-ignore ban-drop-constraint
ALTER TABLE journal DROP CONSTRAINT journal_operation_check;
ALTER TABLE journal ADD CONSTRAINT journal_operation_check
    CHECK (operation IN ('journal', 'place', 'capture', 'release', 'expire', 'reverse')) NOT VALID;
-- squawk-ignore ban-drop-constraint
ALTER TABLE rejection DROP CONSTRAINT rejection_operation_check;
ALTER TABLE rejection ADD CONSTRAINT rejection_operation_check CHECK (
    operation IN ('journal', 'place', 'capture', 'release', 'reverse', 'freeze', 'unfreeze', 'close',
                  'register')
) NOT VALID;

-- `guarded` keeps an account from a debit overdraft. Nobody may be guarded both ways.
ALTER TABLE account ADD COLUMN no_credit_overdraft boolean NOT NULL DEFAULT false;
ALTER TABLE account ADD COLUMN aggregated boolean NOT NULL DEFAULT false;
ALTER TABLE account ADD COLUMN max_balance numeric(38, 0);
ALTER TABLE account ADD CONSTRAINT account_limits CHECK (
    NOT (guarded AND no_credit_overdraft)
    AND (NOT no_credit_overdraft OR credits_posted + credits_pending <= debits_posted)
    AND (max_balance IS NULL
         OR max_balance >= 0 AND credits_posted + credits_pending - debits_posted <= max_balance)
) NOT VALID;
ALTER TABLE account ADD CONSTRAINT account_closed_is_settled CHECK (
    NOT closed
    OR credits_posted = debits_posted AND debits_pending = 0 AND credits_pending = 0
) NOT VALID;
-- On the columns of a freeze or closing only: postings do not meet it.
CREATE TRIGGER account_stays_closed
    BEFORE UPDATE OF closed, frozen_in, frozen_out ON account
    FOR EACH ROW WHEN (OLD.closed) EXECUTE FUNCTION refuse_way_back();

-- Who froze, unfroze or closed an account, and why; the flags are as they were afterwards.
CREATE TABLE account_change (
    id text COLLATE "C" PRIMARY KEY,
    shard text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL REFERENCES account (id),
    operation text COLLATE "C" NOT NULL CHECK (operation IN ('freeze', 'unfreeze', 'close')),
    frozen_in boolean NOT NULL,
    frozen_out boolean NOT NULL,
    closed boolean NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    recorded_at timestamptz NOT NULL,
    who_actor text COLLATE "C" NOT NULL,
    who_principal text COLLATE "C" NOT NULL,
    why_program text COLLATE "C" NOT NULL,
    why_event text COLLATE "C" NOT NULL,
    why_reason text NOT NULL,
    CONSTRAINT account_change_closes CHECK (closed = (operation = 'close'))
);
CREATE INDEX account_change_history ON account_change (account, recorded_at);

-- An aggregated account has one entry for each log row of its shard, instead of one per transfer;
-- its changes may come to zero.
-- squawk-ignore ban-drop-not-null
ALTER TABLE entry ALTER COLUMN transfer_id DROP NOT NULL;
ALTER TABLE entry ADD COLUMN log_seq bigint;
-- squawk-ignore ban-drop-constraint
ALTER TABLE entry DROP CONSTRAINT entry_changes_something;
ALTER TABLE entry ADD CONSTRAINT entry_changes_something
    CHECK (amount <> 0 OR pending <> 0 OR log_seq IS NOT NULL) NOT VALID;
ALTER TABLE entry ADD CONSTRAINT entry_of_transfer_or_batch
    CHECK ((transfer_id IS NULL) = (log_seq IS NOT NULL)) NOT VALID;

-- Assets of ISO 4217 are entered when the service starts; others by whom and why stands here.
ALTER TABLE asset ADD COLUMN registered_at timestamptz;
CREATE TABLE asset_registration (
    id text COLLATE "C" PRIMARY KEY,
    asset text COLLATE "C" NOT NULL UNIQUE REFERENCES asset (code),
    shard text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    recorded_at timestamptz NOT NULL,
    who_actor text COLLATE "C" NOT NULL,
    who_principal text COLLATE "C" NOT NULL,
    why_program text COLLATE "C" NOT NULL,
    why_event text COLLATE "C" NOT NULL,
    why_reason text NOT NULL
);

CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON asset_registration
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON asset
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON account_change, asset_registration FROM tally_ledger;
