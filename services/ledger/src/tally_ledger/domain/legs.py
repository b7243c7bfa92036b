"""One leg: whether it may move money, and what it does to the two accounts. Stated here only."""

from collections.abc import Mapping

from tally_ledger.domain.books import Books, Posted, Rejected
from tally_ledger.domain.commands import Leg
from tally_ledger.domain.model import EMPTY, Account, Balance, Entry, Hold, Transfer, TransferKind
from tally_money import MAX_MINOR

Moved = tuple[Balance, Balance, Entry, Entry]
"""The debited account's balance, the credited one's, and their entries."""

# Per kind: what an amount does to posted and to pending, on both sides of the transfer.
_EFFECTS: Mapping[TransferKind, tuple[int, int]] = {
    TransferKind.SINGLE: (1, 0),
    TransferKind.PENDING: (0, 1),
    TransferKind.POST: (1, -1),
    TransferKind.VOID: (0, -1),
    TransferKind.EXPIRE: (0, -1),
    TransferKind.REVERSE: (1, 0),
}

# A named tuple's own constructor is a Python call more, and a transfer makes six of them.
_new = tuple.__new__


def refusal(
    ledger: str,
    leg: Leg,
    debit: Account | None,
    credit: Account | None,
    balances: tuple[Balance, Balance],
) -> Rejected | None:
    """Why this leg cannot move money between two accounts with these balances, or None."""
    if debit is None:
        return _unknown(ledger, "debit", leg.debit)
    if credit is None:
        return _unknown(ledger, "credit", leg.credit)
    if leg.debit == leg.credit:
        return Rejected("same_account", "credit: is the debit account too; name two accounts")
    if not debit.currency == leg.currency == credit.currency:
        return _other_currency(leg, debit, credit)
    if debit.closed or credit.closed:
        account = debit if debit.closed else credit
        return Rejected("account_closed", f"{_side(leg, account)}: account {account.id} is closed")
    if debit.frozen_out:
        return Rejected("account_frozen", f"debit: account {debit.id} is frozen for debits")
    if credit.frozen_in:
        return Rejected("account_frozen", f"credit: account {credit.id} is frozen for credits")
    return _too_much(leg, debit, credit, balances)


def move(transfer: Transfer, payer: Balance, payee: Balance) -> Moved:
    """What a transfer makes of the two balances."""
    id_, kind, _, debit, credit, _, amount, _, _, _ = transfer
    effect = _EFFECTS[kind]
    posted, pending = amount * effect[0], amount * effect[1]
    out, in_, out_pending, in_pending, seq = payer
    out, out_pending, seq = out + posted, out_pending + pending, seq + 1
    debited = _new(Balance, (out, in_, out_pending, in_pending, seq))
    left = _new(Entry, (debit, seq, id_, -posted, -pending, in_ - out, in_pending - out_pending))
    out, in_, out_pending, in_pending, seq = payee
    in_, in_pending, seq = in_ + posted, in_pending + pending, seq + 1
    credited = _new(Balance, (out, in_, out_pending, in_pending, seq))
    came = _new(Entry, (credit, seq, id_, posted, pending, in_ - out, in_pending - out_pending))
    return debited, credited, left, came


def single(leg: Leg) -> Transfer:
    """The transfer by which a leg moves money at once."""
    id_, debit, credit, currency, amount, code = leg
    return _new(
        Transfer,
        (id_, TransferKind.SINGLE, None, debit, credit, currency, amount, code, None, None),
    )


def check_alone(
    books: Books, leg: Leg, transfer: Transfer, hold: Hold | None = None
) -> Posted | Rejected:
    """Make a leg's transfer between accounts that are in the books: nothing to lay over them."""
    debit, credit = leg.debit, leg.credit
    accounts, balances = books.accounts, books.balances
    payer, payee = balances.get(debit, EMPTY), balances.get(credit, EMPTY)
    refused = refusal(books.ledger, leg, accounts.get(debit), accounts.get(credit), (payer, payee))
    if refused is not None:
        return refused
    return _moved(transfer, payer, payee, hold)


def move_alone(books: Books, transfer: Transfer, hold: Hold) -> Posted:
    """Move what a hold reserves: nothing is checked, it was when the hold was placed."""
    balances = books.balances
    payer, payee = balances.get(transfer.debit, EMPTY), balances.get(transfer.credit, EMPTY)
    return _moved(transfer, payer, payee, hold)


def not_positive(amount: int) -> Rejected:
    """The refusal of an amount that moves nothing, or the wrong way round."""
    return Rejected(
        "amount_not_positive", f"amount: {amount} minor units; ask for an amount above zero"
    )


def _moved(transfer: Transfer, payer: Balance, payee: Balance, hold: Hold | None) -> Posted:
    debited, credited, left, came = move(transfer, payer, payee)
    balances = {transfer.debit: debited, transfer.credit: credited}
    return _new(Posted, ((), (transfer,), (left, came), balances, hold))


def _too_much(
    leg: Leg, debit: Account, credit: Account, balances: tuple[Balance, Balance]
) -> Rejected | None:
    amount = leg.amount
    if amount <= 0:
        return not_positive(amount)
    (paid, available, promised, _, _), (owed, incoming, _, due, _) = balances
    available -= paid + promised
    incoming += due + amount
    if paid + promised + amount > MAX_MINOR or incoming > MAX_MINOR:
        return Rejected(
            "amount_too_large",
            f"amount: a counter of {leg.debit} or {leg.credit} would pass 38 digits",
        )
    if debit.guarded and available < amount:
        return Rejected(
            "insufficient_funds",
            f"debit: account {leg.debit} has {max(available, 0)} minor units of "
            f"{leg.currency} available, {amount} are asked for",
        )
    if credit.no_credit_overdraft and incoming > owed:
        return Rejected(
            "credit_overdraft",
            f"credit: account {leg.credit} owes "
            f"{owed - incoming + amount} minor units of {leg.currency}, "
            f"credits promised counted; {amount} are too many",
        )
    limit = credit.max_balance
    if limit is not None and incoming - owed > limit:
        return Rejected(
            "balance_limit_exceeded",
            f"credit: account {leg.credit} may hold {limit} minor units of {leg.currency} and "
            f"would come to {incoming - owed}, credits promised counted",
        )
    return None


def _unknown(ledger: str, side: str, account_id: str) -> Rejected:
    return Rejected(
        "account_unknown",
        f"{side}: account {account_id} is not in ledger {ledger}; "
        "open it with open_accounts or correct the id",
    )


def _side(leg: Leg, account: Account) -> str:
    return "debit" if account.id == leg.debit else "credit"


def _other_currency(leg: Leg, debit: Account, credit: Account) -> Rejected:
    account = debit if debit.currency != leg.currency else credit
    return Rejected(
        "currency_mismatch",
        f"{_side(leg, account)}: account {account.id} is in {account.currency}, "
        f"the amount in {leg.currency}",
    )
