"""One value changed behind the platform's back: the named check must turn red and name the row."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tally_reconciliation import Verdict

from .conftest import Day

pytestmark = pytest.mark.stack

_SHOWN = """INSERT INTO portfolio.payout SELECT (jsonb_populate_record(p,
'{"payout_id": "po_x"}')).* FROM portfolio.payout p LIMIT 1"""
_PAID = "(SELECT id FROM payouts.payout WHERE external_id = 'paid')"
_HOLD = "(SELECT hold_id FROM payouts.payout WHERE external_id = 'paid')"
_PAY_IN = "(SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'paid')"
_WALLET = "(SELECT account FROM payouts.payout WHERE external_id = 'paid')"


@dataclass(frozen=True)
class Spoilt:
    """What is done, and which check says what of which row (a query for its id, before it or then)."""

    name: str
    statements: tuple[str, ...]
    says: Mapping[str, str]
    names: str | None
    names_then: str | None
    drop: tuple[str, ...]


def spoilt(
    name: str,
    *statements: str,
    names: str | None = None,
    names_then: str | None = None,
    drop: tuple[str, ...] = (),
    **says: str,
) -> Spoilt:
    return Spoilt(name, statements, says, names, names_then, drop)


_COPY_OF_LAST_TRANSFER = (
    "INSERT INTO ledger.transfer SELECT shard, seq + 1, log_seq, id || 'x', journal_id, kind,"
    " pending_id, debit, credit, asset, amount, code, remaining, expires_at"
    " FROM ledger.transfer ORDER BY seq DESC LIMIT 1"
)

LEDGER = (
    spoilt(
        "a counter raised",
        f"UPDATE ledger.account SET credits_posted = credits_posted + 1 WHERE id = {_WALLET}",
        names=f"SELECT {_WALLET}",
        L1="posted_unbalanced",
        L3="counter_differs_from_replay",
        L4="last_entry_differs_from_account",
        O2="balance_differs_from_entries",
    ),
    spoilt(
        "both pending counters of an asset raised",
        "UPDATE ledger.account SET debits_pending = debits_pending + 7 WHERE path = 'clearing/cards/USD'",
        L1="pending_unbalanced",
        L3="counter_differs_from_replay",
    ),
    spoilt(
        "a negative counter",
        f"UPDATE ledger.account SET debits_posted = -1 WHERE id = {_WALLET}",
        names=f"SELECT {_WALLET}",
        drop=("account_counters_not_negative",),
        L2="counter_negative",
    ),
    spoilt(
        "an account sequence moved",
        f"UPDATE ledger.account SET seq = seq + 1 WHERE id = {_WALLET}",
        names=f"SELECT {_WALLET}",
        L3="counter_differs_from_replay",
    ),
    spoilt(
        "an account deleted",
        f"DELETE FROM ledger.account WHERE id = {_WALLET}",
        names=f"SELECT {_WALLET}",
        L1="posted_unbalanced",
        L4="entry_without_account",
    ),
    spoilt(
        "a guarded account below its floor",
        f"UPDATE ledger.account SET debits_posted = credits_posted + 1 WHERE id = {_WALLET}",
        names=f"SELECT {_WALLET}",
        drop=("account_floor",),
        L5="below_floor",
    ),
    spoilt(
        "an account moved to another asset",
        f"UPDATE ledger.account SET asset = 'EUR' WHERE id = {_WALLET}",
        names=f"SELECT {_WALLET}",
        L1="posted_unbalanced",
        L3="account_in_another_asset_or_shard",
    ),
    spoilt(
        "an entry's amount changed",
        f"UPDATE ledger.entry SET amount = amount + 1 WHERE account = {_WALLET} AND seq = 1",
        drop=("entry_starts_from_zero",),
        names=f"SELECT {_WALLET}",
        L4="entry_differs_from_transfer",
        O1="entries_do_not_sum_to_zero",
        O2="balance_differs_from_entries",
    ),
    spoilt(
        "a wallet whose transfers overdraw it",
        f"UPDATE ledger.transfer SET amount = amount * 10 WHERE id = {_HOLD}",
        names=f"SELECT {_WALLET}",
        O2="replayed_below_floor",
    ),
    spoilt(
        "an entry's balance after changed",
        f"UPDATE ledger.entry SET posted_after = posted_after + 1 WHERE account = {_WALLET} AND seq = 2",
        names=f"SELECT {_WALLET}",
        L4="entry_posted_not_chained",
    ),
    spoilt(
        "an entry's pending after changed",
        f"UPDATE ledger.entry SET pending_after = pending_after - 1 WHERE account = {_WALLET} AND seq = 3",
        names=f"SELECT {_WALLET}",
        L4="entry_pending_not_chained",
    ),
    spoilt(
        "an entry deleted",
        f"DELETE FROM ledger.entry WHERE account = {_WALLET} AND seq = 2",
        names=f"SELECT transfer_id FROM ledger.entry WHERE account = {_WALLET} AND seq = 3",
        L3="counter_differs_from_replay",
        L4="entry_gap",
    ),
    spoilt(
        "the last entry deleted",
        "DELETE FROM ledger.entry e USING ledger.account a WHERE a.id = e.account AND a.seq = e.seq"
        " AND a.path = 'clearing/ach/USD'",
        L4="entry_missing",
    ),
    spoilt(
        "an entry doubled",
        "INSERT INTO ledger.entry (account, recorded_at, seq, transfer_id, amount, pending,"
        " posted_after, pending_after) SELECT account, recorded_at, seq + 1, transfer_id, amount,"
        f" pending, posted_after + amount, pending_after + pending FROM ledger.entry WHERE account = {_WALLET}"
        " ORDER BY seq DESC LIMIT 1",
        names=f"SELECT {_WALLET}",
        L3="counter_differs_from_replay",
        L13="entry_out_of_order",
    ),
    spoilt(
        "two entries changed places",
        f"UPDATE ledger.entry SET seq = -seq WHERE account = {_WALLET} AND seq IN (1, 2)",
        f"UPDATE ledger.entry SET seq = 3 + seq WHERE account = {_WALLET} AND seq < 0",
        drop=("entry_seq_check", "entry_starts_from_zero"),
        names=f"SELECT {_WALLET}",
        L13="entry_out_of_order",
    ),
    spoilt(
        "an entry hung on another transfer",
        "UPDATE ledger.entry SET transfer_id = (SELECT id FROM ledger.transfer WHERE debit <>"
        f" {_WALLET} AND credit <> {_WALLET} LIMIT 1) WHERE account = {_WALLET} AND seq = 1",
        names=f"SELECT {_WALLET}",
        L4="entry_of_another_account",
    ),
    spoilt(
        "a transfer's amount changed",
        "UPDATE ledger.transfer SET amount = amount + 1 WHERE seq = 2",
        L4="entry_differs_from_transfer",
        L11="leaf_differs",
    ),
    spoilt(
        "a transfer's code changed",
        "UPDATE ledger.transfer SET code = 'gift' WHERE seq = 2",
        names="SELECT log_seq FROM ledger.transfer WHERE seq = 2",
        L11="leaf_differs",
    ),
    spoilt(
        "a transfer deleted",
        "DELETE FROM ledger.transfer WHERE seq = 2",
        L4="entry_without_transfer",
        L9="journal_in_part",
        L11="transfer_gap",
    ),
    spoilt(
        "a transfer added behind the log",
        _COPY_OF_LAST_TRANSFER,
        names_then="SELECT id FROM ledger.transfer ORDER BY seq DESC LIMIT 1",
        L4="entry_missing",
        L11="transfer_not_in_log",
    ),
    spoilt(
        "a transfer moved to another journal",
        "UPDATE ledger.transfer SET journal_id = (SELECT id FROM ledger.journal ORDER BY log_seq DESC"
        " LIMIT 1) WHERE seq = 1",
        L9="journal_differs_from_transfers",
        L11="leaf_differs",
    ),
    spoilt(
        "a journal deleted",
        f"DELETE FROM ledger.journal WHERE reference = {_PAY_IN}",
        names=f"SELECT journal_id FROM funding.pay_in WHERE pay_in_id = {_PAY_IN}",
        L9="journal_missing",
        L11="leaf_differs",
        O3="journal_missing",
    ),
    spoilt(
        "a journal without transfers",
        "INSERT INTO ledger.journal SELECT id || 'x', shard, log_seq, first_transfer, last_transfer,"
        " operation, reference, request_hash, effective_at, recorded_at, who_actor, who_principal,"
        " where_channel, where_country, why_program, why_event, why_reason FROM ledger.journal"
        " ORDER BY log_seq LIMIT 1",
        names_then="SELECT id FROM ledger.journal WHERE length(id) = (SELECT max(length(id)) FROM ledger.journal)"
        " AND log_seq = 1 AND id LIKE '%x'",
        L9="journal_without_transfers",
        O3="journal_of_no_pay_in",
    ),
    spoilt(
        "the why of a journal changed",
        f"UPDATE ledger.journal SET why_reason = 'another reason' WHERE reference = {_PAY_IN}",
        names=f"SELECT log_seq FROM ledger.journal WHERE reference = {_PAY_IN}",
        L11="leaf_differs",
    ),
    spoilt(
        "one bit of a root flipped",
        "UPDATE ledger.log SET root = set_bit(root, 7, 1 - get_bit(root, 7)) WHERE seq = 5",
        names="SELECT 5",
        L11="root_differs",
    ),
    spoilt(
        "one bit of the head flipped",
        "UPDATE ledger.shard_state SET head = set_bit(head, 0, 1 - get_bit(head, 0)) WHERE shard = 'main'",
        L11="head_differs",
    ),
    spoilt(
        "a batch of the log deleted",
        "DELETE FROM ledger.log WHERE seq = 5",
        names="SELECT 6",
        L11="log_gap",
    ),
    spoilt(
        "a hold's remainder raised",
        "UPDATE ledger.hold SET remaining = remaining - 1 WHERE state = 'open'",
        names="SELECT id FROM ledger.hold WHERE state = 'open'",
        L6="hold_row_differs",
    ),
    spoilt(
        "a hold's amount changed",
        f"UPDATE ledger.hold SET amount = amount + 1 WHERE id = {_HOLD}",
        names=f"SELECT {_HOLD}",
        L6="hold_row_differs",
        O5="hold_differs_from_payout",
    ),
    spoilt(
        "a hold deleted",
        f"DELETE FROM ledger.hold WHERE id = {_HOLD}",
        names=f"SELECT {_HOLD}",
        L6="hold_row_missing",
        O5="hold_state_differs",
    ),
    spoilt(
        "a hold captured twice",
        "INSERT INTO ledger.transfer SELECT shard, 1 + (SELECT max(seq) FROM ledger.transfer), log_seq,"
        " id || 'x', journal_id, kind, pending_id, debit, credit, asset, amount, code, remaining,"
        f" expires_at FROM ledger.transfer WHERE kind = 'post' AND pending_id = {_HOLD}",
        names=f"SELECT {_HOLD}",
        L6="hold_resolved_twice",
    ),
    spoilt(
        "a capture beyond its hold",
        f"UPDATE ledger.transfer SET amount = amount + 5 WHERE kind = 'post' AND pending_id = {_HOLD}",
        names=f"SELECT {_HOLD}",
        L6="captured_beyond_hold",
    ),
    spoilt(
        "a hold nobody placed",
        "INSERT INTO ledger.hold SELECT id || 'x', shard, reference, debit, credit, asset, amount,"
        " remaining, state, expires_at, cause FROM ledger.hold WHERE state = 'open'",
        names_then="SELECT max(id) FROM ledger.hold WHERE state = 'open'",
        L6="hold_without_transfer",
        O5="hold_of_no_payout",
    ),
    spoilt(
        "a request answered yes and no",
        "INSERT INTO ledger.rejection SELECT id, shard, 'journal', reference, request_hash,"
        " 'account_frozen', 'no', recorded_at FROM ledger.journal ORDER BY log_seq LIMIT 1",
        names_then="SELECT id FROM ledger.rejection",
        L7="answered_twice",
        L10="refused_yet_moved",
    ),
    spoilt(
        "a transfer id used twice",
        _COPY_OF_LAST_TRANSFER.replace("id || 'x'", "id"),
        drop=("transfer_id_once",),
        names="SELECT id FROM ledger.transfer ORDER BY seq DESC LIMIT 1",
        L7="id_twice",
    ),
    spoilt(
        "the trap against changes switched off",
        "ALTER TABLE ledger.entry DISABLE TRIGGER insert_only",
        names="SELECT 'entry'",
        L8="trigger_missing",
    ),
    spoilt(
        "the ledger allowed to change its transfers",
        "GRANT UPDATE ON ledger.transfer TO tally_ledger",
        names="SELECT 'transfer'",
        L8="privilege_to_change",
    ),
    spoilt(
        "a clearing account without owner",
        "UPDATE ledger.account SET owner = ' ' WHERE path = 'clearing/cards/USD'",
        names="SELECT id FROM ledger.account WHERE path = 'clearing/cards/USD'",
        L12="owner_missing",
    ),
)

FUNDING = (
    spoilt(
        "a pay-in deleted",
        f"DELETE FROM funding.allocation WHERE pay_in_id = {_PAY_IN}",
        f"DELETE FROM funding.repeated_announcement WHERE pay_in_id = {_PAY_IN}",
        f"DELETE FROM funding.pay_in WHERE pay_in_id = {_PAY_IN}",
        names="SELECT 'paid'",
        O3="record_lost",
    ),
    spoilt(
        "a pay-in's amount changed",
        f"UPDATE funding.pay_in SET amount = amount + 1 WHERE pay_in_id = {_PAY_IN}",
        names=f"SELECT {_PAY_IN}",
        O3="amount_differs",
    ),
    spoilt(
        "a pay-in's currency changed",
        f"UPDATE funding.pay_in SET currency = 'EUR' WHERE pay_in_id = {_PAY_IN}",
        names=f"SELECT {_PAY_IN}",
        O3="amount_differs",
    ),
    spoilt(
        "a pay-in under another external id",
        "UPDATE funding.pay_in SET external_id = 'unheard-of' WHERE external_id = 'failed'",
        names_then="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'unheard-of'",
        O3="booked_from_nothing",
    ),
    spoilt(
        "a pay-in that never settled",
        f"UPDATE funding.pay_in SET state = 'allocating' WHERE pay_in_id = {_PAY_IN}",
        names=f"SELECT {_PAY_IN}",
        O3="pay_in_not_settled",
    ),
    spoilt(
        "a share changed",
        f"UPDATE funding.allocation SET amount = amount + 1 WHERE pay_in_id = {_PAY_IN} AND pay_out",
        names=f"SELECT {_PAY_IN}",
        O3="shares_differ_from_legs",
        O4="payout_amount_differs",
    ),
    spoilt(
        "a share's account changed",
        f"UPDATE funding.allocation SET account = 'acc_other' WHERE pay_in_id = {_PAY_IN} AND NOT pay_out",
        names=f"SELECT {_PAY_IN}",
        O3="shares_differ_from_legs",
    ),
    spoilt(
        "a booking of another amount",
        "UPDATE ledger.transfer SET amount = amount - 1 WHERE seq = (SELECT first_transfer FROM"
        f" ledger.journal WHERE reference = {_PAY_IN})",
        names=f"SELECT {_PAY_IN}",
        O3="booked_amount_differs",
        L11="leaf_differs",
    ),
    spoilt(
        "suspense without its case",
        "DELETE FROM funding.suspense_case WHERE reason_code = 'no_beneficiary'",
        names="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'nobody'",
        O3="suspense_without_case",
    ),
    spoilt(
        "suspense money booked to a wallet",
        "UPDATE ledger.account SET purpose = 'wallet' WHERE purpose = 'suspense'",
        names="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'nobody'",
        O3="booked_elsewhere",
    ),
    spoilt(
        "a quarantined record deleted",
        "DELETE FROM funding.quarantine WHERE code = 'not_json' AND state = 'open'",
        names="SELECT 'ce-broken'",
        O3="record_lost",
    ),
    spoilt(
        "a quarantined record of no record",
        "UPDATE funding.quarantine SET \"offset\" = 999 WHERE code = 'not_json' AND state = 'open'",
        names="SELECT 999",
        O3="set_aside_from_nothing",
    ),
    spoilt(
        "a repeat not counted",
        f"UPDATE funding.repeated_announcement SET same = 0 WHERE pay_in_id = {_PAY_IN}",
        names=f"SELECT {_PAY_IN}",
        O3="repeats_miscounted",
    ),
    spoilt(
        "a line of a statement not counted as known",
        "UPDATE funding.repeated_announcement SET same = 0 WHERE pay_in_id ="
        " (SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'bank-known')",
        names="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'bank-known'",
        O3="repeats_miscounted",
    ),
    spoilt(
        "a pay-in whose line of a statement is gone",
        "DELETE FROM funding.statement_entry WHERE outcome = 'pay_in' AND amount = 3310",
        names="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'bank-new'",
        O3="statement_line_missing",
    ),
    spoilt(
        "a pay-in that differs from its line of a statement",
        "UPDATE funding.statement_entry SET amount = amount + 1 WHERE outcome = 'pay_in'"
        " AND amount = 3310",
        names="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'bank-new'",
        O3="conflict_not_counted",
    ),
    spoilt(
        "a pay-in whose line of a statement has another value date",
        "UPDATE funding.statement_entry SET value_date = value_date + 1 WHERE outcome = 'pay_in'"
        " AND amount = 3310",
        names="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'bank-new'",
        O13="twins_differ",
    ),
    spoilt(
        "a conflict not counted",
        "UPDATE funding.repeated_announcement SET same = 1, conflicting = 0 WHERE conflicting = 1",
        names="SELECT pay_in_id FROM funding.pay_in WHERE external_id = 'yen'",
        O3="conflict_not_counted",
    ),
)

PAYOUTS = (
    spoilt(
        "a payout deleted",
        f"DELETE FROM payouts.payout WHERE id = {_PAID}",
        names_then="SELECT id FROM ledger.hold h WHERE NOT EXISTS (SELECT 1 FROM payouts.payout p"
        " WHERE p.hold_id = h.id)",
        O4="payout_row_missing",
        O5="hold_of_no_payout",
        O9="status_of_no_payout",
    ),
    spoilt(
        "a payout and its history deleted",
        f"DELETE FROM payouts.payout_history WHERE payout_id = {_PAID}",
        f"DELETE FROM payouts.payout WHERE id = {_PAID}",
        O4="payout_missing",
        O9="status_of_no_payout",
    ),
    spoilt(
        "a share paid out twice",
        "CREATE TEMP TABLE twin AS SELECT * FROM payouts.payout WHERE external_id = 'paid'",
        "UPDATE twin SET id = id || 'x', hold_id = hold_id || 'x'",
        "INSERT INTO payouts.payout SELECT * FROM twin",
        names=f"SELECT {_PAY_IN}",
        O4="paid_out_twice",
        O5="hold_state_differs",
    ),
    spoilt(
        "a payout's amount changed",
        f"UPDATE payouts.payout SET amount = amount - 1 WHERE id = {_PAID}",
        names=f"SELECT {_PAID}",
        O4="payout_amount_differs",
        O5="hold_differs_from_payout",
        O9="status_amount_differs",
    ),
    spoilt(
        "a payout's state changed",
        f"UPDATE payouts.payout SET state = 'returned' WHERE id = {_PAID}",
        names=f"SELECT {_PAID}",
        O4="payout_differs_from_history",
        O5="return_not_posted",
        O9="last_status_differs",
    ),
    spoilt(
        "paid without capture",
        f"UPDATE payouts.payout SET hold = 'placed' WHERE id = {_PAID}",
        names=f"SELECT {_PAID}",
        drop=("payout_paid_is_captured",),
        O5="paid_without_capture",
    ),
    spoilt(
        "a payout the platform forgot",
        "UPDATE payouts.payout SET must_act = 'platform' WHERE state = 'in_transit'",
        names="SELECT id FROM payouts.payout WHERE state = 'in_transit'",
        O4="platform_stopped",
    ),
    spoilt(
        "a standing payout for which nobody must act",
        "UPDATE payouts.payout SET must_act = NULL WHERE state = 'in_transit'",
        names="SELECT id FROM payouts.payout WHERE state = 'in_transit'",
        drop=("payout_says_who_must_act",),
        O4="nobody_must_act",
    ),
    spoilt(
        "a payout asking for a capture that never came",
        "UPDATE payouts.payout SET hold = 'capturing' WHERE state = 'in_transit'",
        names="SELECT id FROM payouts.payout WHERE state = 'in_transit'",
        O5="hold_under_way",
    ),
    spoilt(
        "a step of the history deleted",
        f"DELETE FROM payouts.payout_history WHERE payout_id = {_PAID} AND sequence = 2",
        names=f"SELECT {_PAID}",
        O4="history_gap",
        O9="status_differs_from_history",
    ),
    spoilt(
        "a history's state changed",
        f"UPDATE payouts.payout_history SET state = 'failed' WHERE payout_id = {_PAID} AND sequence = 3",
        names=f"SELECT {_PAID}",
        O4="step_not_allowed",
        O9="status_differs_from_history",
    ),
    spoilt(
        "a history's previous state changed",
        f"UPDATE payouts.payout_history SET previous = 'claimable' WHERE payout_id = {_PAID}"
        " AND sequence = 2",
        names=f"SELECT {_PAID}",
        O4="previous_differs",
    ),
    spoilt(
        "a whole history deleted",
        f"DELETE FROM payouts.payout_history WHERE payout_id = {_PAID}",
        names=f"SELECT {_PAID}",
        O4="history_missing",
    ),
    spoilt(
        "a return's journal gone",
        "UPDATE ledger.journal SET reference = 'po_other' WHERE operation = 'journal' AND reference ="
        " (SELECT id FROM payouts.payout WHERE external_id = 'returned')",
        names="SELECT id FROM payouts.payout WHERE external_id = 'returned'",
        O5="return_not_posted",
    ),
    spoilt(
        "a return for less than was paid",
        "UPDATE ledger.transfer SET amount = amount - 1 WHERE code = 'payout_return'",
        names="SELECT id FROM payouts.payout WHERE external_id = 'returned'",
        O5="return_differs",
    ),
)


_TRANSIT = "(SELECT id FROM payouts.payout WHERE external_id = 'transit')"
_ATTEMPT = "(SELECT attempt_id FROM payouts.payout WHERE external_id = 'paid')"

MONEY = (
    spoilt(
        "money that appeared on a wallet and its clearing account",
        f"UPDATE ledger.account SET credits_posted = credits_posted + 5 WHERE id = {_WALLET}",
        "UPDATE ledger.account SET debits_posted = debits_posted + 5 WHERE path = 'clearing/cards/USD'",
        names=f"SELECT {_WALLET}",
        O6="balance_differs",
        L3="counter_differs_from_replay",
    ),
    spoilt(
        "money moved between two wallets",
        f"UPDATE ledger.account SET debits_posted = debits_posted + 5 WHERE id = {_WALLET}",
        "UPDATE ledger.account SET credits_posted = credits_posted + 5 WHERE path = 'wallet/co_1/USD'",
        names="SELECT id FROM ledger.account WHERE path = 'wallet/co_1/USD'",
        O6="balance_differs",
    ),
    spoilt(
        "a wallet that lost money",
        f"UPDATE ledger.account SET credits_posted = credits_posted - 5 WHERE id = {_WALLET}",
        O6="identity_broken",
        L1="posted_unbalanced",
    ),
    spoilt(
        "a pay-in nobody funded",
        "UPDATE funding.pay_in SET amount = amount + 500 WHERE external_id = 'nobody'",
        names="SELECT 'cards'",
        O6="came_in_differs",
        O3="amount_differs",
    ),
    spoilt(
        "a payout that never left",
        f"UPDATE payouts.payout SET state = 'paid', hold = 'captured' WHERE id = {_TRANSIT}",
        names="SELECT 'ach'",
        O6="went_out_differs",
        O5="hold_state_differs",
        O7="paid_but_not_sent",
    ),
    spoilt(
        "money reserved for nobody",
        "UPDATE ledger.account SET debits_pending = debits_pending + 3 WHERE path = 'wallet/co_1/USD'",
        names="SELECT id FROM ledger.account WHERE path = 'wallet/co_1/USD'",
        O6="held_differs",
    ),
)

RAILS = (
    spoilt(
        "an attempt deleted",
        f"DELETE FROM rails.attempt WHERE id = {_ATTEMPT}",
        names=f"SELECT {_ATTEMPT}",
        O7="attempt_not_begun",
    ),
    spoilt(
        "an attempt of no payout",
        f"UPDATE rails.attempt SET id = 'att_other' WHERE id = {_ATTEMPT}",
        names="SELECT 'att_other'",
        O7="attempt_of_no_payout",
    ),
    spoilt(
        "an attempt of another amount",
        f"UPDATE rails.attempt SET amount = amount + 1 WHERE id = {_ATTEMPT}",
        names=f"SELECT {_ATTEMPT}",
        O7="attempt_differs_from_payout",
    ),
    spoilt(
        "an attempt by another rail",
        f"UPDATE rails.attempt SET rail = 'wallet' WHERE id = {_ATTEMPT}",
        names=f"SELECT {_ATTEMPT}",
        O7="entry_differs_from_attempt",
    ),
    spoilt(
        "an attempt paid that the payout knows nothing of",
        f"UPDATE rails.attempt SET state = 'paid' WHERE payout_id = {_TRANSIT}",
        names=f"SELECT {_TRANSIT}",
        O7="sent_but_not_paid",
    ),
    spoilt(
        "a payout sent twice",
        "CREATE TEMP TABLE twin AS SELECT * FROM rails.attempt WHERE payout_id = " + _PAID,
        "UPDATE twin SET id = id || 'x'",
        "INSERT INTO rails.attempt SELECT * FROM twin",
        names=f"SELECT {_PAID}",
        O7="sent_twice",
    ),
    spoilt(
        "an attempt sent without an entry",
        f"DELETE FROM rails.ach_entry WHERE attempt_id = {_ATTEMPT}",
        names=f"SELECT {_ATTEMPT}",
        O7="sent_without_entry",
    ),
    spoilt(
        "an entry of another amount",
        f"UPDATE rails.ach_entry SET amount = amount - 1 WHERE attempt_id = {_ATTEMPT}",
        names=f"SELECT {_ATTEMPT}",
        O7="entry_differs_from_attempt",
    ),
    spoilt(
        "a step of an attempt deleted",
        f"DELETE FROM rails.attempt_history WHERE attempt_id = {_ATTEMPT} AND sequence = 2",
        names=f"SELECT {_ATTEMPT}",
        O7="attempt_history_gap",
    ),
    spoilt(
        "a step of an attempt changed",
        f"UPDATE rails.attempt_history SET state = 'cancelled' WHERE attempt_id = {_ATTEMPT}"
        " AND sequence = 3",
        names=f"SELECT {_ATTEMPT}",
        O7="attempt_step_not_allowed",
    ),
    spoilt(
        "the last step of an attempt deleted",
        f"DELETE FROM rails.attempt_history WHERE attempt_id = {_ATTEMPT} AND state = 'paid'",
        names=f"SELECT {_ATTEMPT}",
        O7="attempt_differs_from_history",
    ),
    spoilt(
        "all steps of an attempt deleted",
        f"DELETE FROM rails.attempt_history WHERE attempt_id = {_ATTEMPT}",
        names=f"SELECT {_ATTEMPT}",
        O7="attempt_history_missing",
    ),
)

DELIVERY = (
    spoilt(
        "an event deleted from the outbox",
        "DELETE FROM ledger.outbox WHERE seq = 7",
        names="SELECT 8",
        O8="outbox_gap",
    ),
    spoilt(
        "the first event deleted from the outbox",
        "DELETE FROM ledger.outbox WHERE seq = 1",
        names="SELECT 'ledger'",
        O8="outbox_beginning_missing",
    ),
    spoilt(
        "events dropped before they were sent",
        "UPDATE funding.outbox_lane SET kept_from = head + 5",
        names="SELECT 'funding'",
        O8="dropped_before_sent",
    ),
    spoilt(
        "the last event deleted from the outbox",
        "DELETE FROM ledger.outbox WHERE seq = (SELECT max(seq) FROM ledger.outbox)",
        O8="outbox_end_missing",
    ),
    spoilt(
        "an event written twice",
        "UPDATE ledger.outbox SET event_id = (SELECT event_id FROM ledger.outbox WHERE seq = 1)"
        " WHERE seq = 2",
        names="SELECT event_id FROM ledger.outbox WHERE seq = 1",
        O8="event_written_twice",
    ),
    spoilt(
        "a relay ahead of its outbox",
        "UPDATE payouts.relay SET position = position + 1",
        names="SELECT 'payouts'",
        O8="sent_more_than_written",
    ),
    spoilt(
        "an event its consumer never took in",
        "DELETE FROM ledger.inbox WHERE event_key ="
        " (SELECT event_id FROM funding.outbox WHERE topic = 'ledger.commands.v1' ORDER BY seq LIMIT 1)",
        names="SELECT event_id FROM funding.outbox WHERE topic = 'ledger.commands.v1' ORDER BY seq"
        " LIMIT 1",
        O8="event_not_taken_in",
    ),
    spoilt(
        "a consumer that took in nothing of a type it must read",
        "DELETE FROM rails.inbox WHERE event_key IN (SELECT event_id FROM payouts.outbox)",
        names="SELECT event_id FROM payouts.outbox WHERE topic = 'rails.ach.commands.v1'",
        O8="event_not_taken_in",
    ),
    spoilt(
        "an event the portfolio missed",
        "DELETE FROM portfolio.inbox WHERE event_key ="
        " (SELECT event_id FROM payouts.outbox WHERE headers LIKE '%payouts.payout.changed.v1%'"
        " ORDER BY seq LIMIT 1)",
        O8="event_not_taken_in",
    ),
    spoilt(
        "a quarantined record's reason changed",
        "UPDATE funding.quarantine SET code = 'bad_time' WHERE code = 'not_json' AND state = 'open'",
        names="SELECT 'bad_time'",
        O11="told_but_not_kept",
    ),
    spoilt(
        "a record set aside in silence",
        "INSERT INTO ledger.quarantine SELECT gen_random_uuid(), 'ledger', 'ledger.commands.v1', 0,"
        " 12345, record_key, headers, payload, fingerprint, NULL, 'not_json', field, detail, trace,"
        " blocks, NULL, 'open', quarantined_at, NULL, NULL FROM funding.quarantine"
        " WHERE state = 'open' LIMIT 1",
        names="SELECT 12345",
        O11="set_aside_untold",
    ),
    spoilt(
        "a payout the portfolio shows otherwise",
        f"UPDATE portfolio.payout SET state = 'in_transit' WHERE payout_id = {_PAID}",
        names=f"SELECT {_PAID}",
        O9="portfolio_differs",
    ),
    spoilt(
        "a payout the portfolio does not show",
        f"DELETE FROM portfolio.payout WHERE payout_id = {_PAID}",
        names=f"SELECT {_PAID}",
        O9="portfolio_differs",
    ),
    spoilt("a payout nobody knows of", _SHOWN, names="SELECT 'po_x'", O9="portfolio_differs"),
    spoilt(
        "a pay-in the portfolio shows with another amount",
        f"UPDATE portfolio.pay_in SET amount = amount + 1 WHERE pay_in_id = {_PAY_IN}",
        names=f"SELECT {_PAY_IN}",
        O9="portfolio_differs",
    ),
)

CASES = (*LEDGER, *FUNDING, *PAYOUTS, *MONEY, *RAILS, *DELIVERY)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_changed_row_turns_its_check_red_and_is_named(day: Day, case: Spoilt):
    names = await day.names(case.names)
    await day.spoil(*case.statements, drop=case.drop)
    names |= await day.names(case.names_then)
    report = await day.judge()
    assert report.verdict is Verdict.RED
    for check_id, what in case.says.items():
        check = report.check(check_id)
        assert check.verdict is Verdict.RED, f"{check_id} sees nothing wrong"
        said = [str(fault) for fault in check.faults]
        assert any(text.startswith(f"{what} ") for text in said), said
    everything = " ".join(
        str(fault) for check_id in case.says for fault in report.check(check_id).faults
    )
    for name in names:
        assert re.search(rf"=\S*{re.escape(name)}\b", everything), f"{name} not in {everything}"


async def test_one_flipped_byte_is_located_and_nothing_else_is_blamed(day: Day):
    await day.spoil("UPDATE ledger.transfer SET code = 'gift' WHERE seq = 9")
    log_seq = await day.conn.fetchval("SELECT log_seq FROM ledger.transfer WHERE seq = 9")
    check = (await day.judge()).check("L11")
    assert [(fault.what, fault.row["log_seq"]) for fault in check.faults] == [
        ("leaf_differs", log_seq)
    ]
    journal = await day.conn.fetchval("SELECT journal_id FROM ledger.transfer WHERE seq = 9")
    assert check.faults[0].row["journal"] == journal
