-- What an account can only do one way is checked behind an update instead of before it: a row trigger
-- before an update locks the row in a step of its own, which is a WAL record more for every account
-- touched (56 bytes). Refused is the same, with the same names; the transaction fails either way.

DROP TRIGGER account_goes_forward ON account;
CREATE TRIGGER account_goes_forward AFTER UPDATE ON account
    FOR EACH ROW WHEN (
        NEW.seq < OLD.seq
        OR NEW.debits_posted < OLD.debits_posted
        OR NEW.credits_posted < OLD.credits_posted
    ) EXECUTE FUNCTION refuse_way_back();

DROP TRIGGER account_stays_closed ON account;
CREATE TRIGGER account_stays_closed
    AFTER UPDATE OF closed, frozen_in, frozen_out ON account
    FOR EACH ROW WHEN (OLD.closed) EXECUTE FUNCTION refuse_way_back();
