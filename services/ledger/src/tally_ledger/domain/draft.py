"""A decision while it is made: legs are checked and applied one after another on an overlay."""

from collections.abc import Mapping

from tally_ledger.domain.books import Books, Posted, Rejected
from tally_ledger.domain.commands import Leg
from tally_ledger.domain.model import EMPTY, Account, Balance, Entry, Hold, Transfer, TransferKind
from tally_money import MAX_MINOR

# Per kind: what an amount does to posted and to pending, on both sides of the transfer.
_POSTED: Mapping[TransferKind, int] = {
    TransferKind.SINGLE: 1,
    TransferKind.PENDING: 0,
    TransferKind.POST: 1,
    TransferKind.VOID: 0,
    TransferKind.EXPIRE: 0,
    TransferKind.REVERSE: 1,
}
_PENDING: Mapping[TransferKind, int] = {
    TransferKind.SINGLE: 0,
    TransferKind.PENDING: 1,
    TransferKind.POST: -1,
    TransferKind.VOID: -1,
    TransferKind.EXPIRE: -1,
    TransferKind.REVERSE: 0,
}


class Draft:
    """Balances as they would be; the books themselves stay as they are."""

    __slots__ = ("_balances", "_books", "_entries", "_opened", "_transfers")

    def __init__(self, books: Books, opened: Mapping[str, Account]) -> None:
        self._books = books
        self._opened = opened
        self._balances: dict[str, Balance] = {}
        self._transfers: list[Transfer] = []
        self._entries: list[Entry] = []

    def refusal(self, leg: Leg) -> Rejected | None:
        """Why this leg cannot move money now, or None."""
        debit, credit = self._account(leg.debit), self._account(leg.credit)
        if debit is None:
            return self._unknown("debit", leg.debit)
        if credit is None:
            return self._unknown("credit", leg.credit)
        if leg.debit == leg.credit:
            return Rejected("same_account", "credit: is the debit account too; name two accounts")
        if not debit.currency == leg.currency == credit.currency:
            return _other_currency(leg, debit, credit)
        if debit.closed or credit.closed:
            account = debit if debit.closed else credit
            return Rejected(
                "account_closed", f"{_side(leg, account)}: account {account.id} is closed"
            )
        if debit.frozen_out:
            return Rejected("account_frozen", f"debit: account {debit.id} is frozen for debits")
        if credit.frozen_in:
            return Rejected("account_frozen", f"credit: account {credit.id} is frozen for credits")
        return self._too_much(leg, debit, credit)

    def move(self, transfer: Transfer) -> None:
        """Apply a transfer to both accounts, entering the new balances."""
        posted = transfer.amount * _POSTED[transfer.kind]
        pending = transfer.amount * _PENDING[transfer.kind]
        balances = self._balances
        before = self._balance(transfer.debit)
        debit = Balance(
            before[0] + posted, before[1], before[2] + pending, before[3], before[4] + 1
        )
        before = self._balance(transfer.credit)
        credit = Balance(
            before[0], before[1] + posted, before[2], before[3] + pending, before[4] + 1
        )
        balances[transfer.debit] = debit
        balances[transfer.credit] = credit
        self._transfers.append(transfer)
        self._entries.append(_entry(transfer, transfer.debit, debit, -posted, -pending))
        self._entries.append(_entry(transfer, transfer.credit, credit, posted, pending))

    def posted(self, hold: Hold | None = None) -> Posted:
        """The decision: everything moved so far."""
        return Posted(
            tuple(self._opened.values()),
            tuple(self._transfers),
            tuple(self._entries),
            self._balances,
            hold,
        )

    def _too_much(self, leg: Leg, debit: Account, credit: Account) -> Rejected | None:
        if leg.amount <= 0:
            return not_positive(leg.amount)
        payer, payee = self._balance(leg.debit), self._balance(leg.credit)
        incoming = payee.credits_posted + payee.credits_pending + leg.amount
        if (
            payer.debits_posted + payer.debits_pending + leg.amount > MAX_MINOR
            or incoming > MAX_MINOR
        ):
            return Rejected(
                "amount_too_large",
                f"amount: a counter of {leg.debit} or {leg.credit} would pass 38 digits",
            )
        if debit.guarded and payer.available < leg.amount:
            return Rejected(
                "insufficient_funds",
                f"debit: account {leg.debit} has {max(payer.available, 0)} minor units of "
                f"{leg.currency} available, {leg.amount} are asked for",
            )
        if credit.no_credit_overdraft and incoming > payee.debits_posted:
            return Rejected(
                "credit_overdraft",
                f"credit: account {leg.credit} owes "
                f"{payee.debits_posted - incoming + leg.amount} minor units of {leg.currency}, "
                f"credits promised counted; {leg.amount} are too many",
            )
        limit = credit.max_balance
        if limit is not None and incoming - payee.debits_posted > limit:
            return Rejected(
                "balance_limit_exceeded",
                f"credit: account {leg.credit} may hold {limit} minor units of {leg.currency} and "
                f"would come to {incoming - payee.debits_posted}, credits promised counted",
            )
        return None

    def _unknown(self, side: str, account_id: str) -> Rejected:
        return Rejected(
            "account_unknown",
            f"{side}: account {account_id} is not in ledger {self._books.ledger}; "
            "open it with open_accounts or correct the id",
        )

    def _account(self, account_id: str) -> Account | None:
        return self._opened.get(account_id) or self._books.accounts.get(account_id)

    def _balance(self, account_id: str) -> Balance:
        return self._balances.get(account_id) or self._books.balances.get(account_id) or EMPTY


def not_positive(amount: int) -> Rejected:
    """The refusal of an amount that moves nothing, or the wrong way round."""
    return Rejected(
        "amount_not_positive", f"amount: {amount} minor units; ask for an amount above zero"
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


def _entry(transfer: Transfer, account: str, after: Balance, amount: int, pending: int) -> Entry:
    return Entry(
        account,
        after.seq,
        transfer.id,
        amount,
        pending,
        after.credits_posted - after.debits_posted,
        after.credits_pending - after.debits_pending,
    )
