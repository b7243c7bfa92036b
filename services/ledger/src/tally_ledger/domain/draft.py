"""A decision of several legs while it is made: each is checked and applied on an overlay."""

from collections.abc import Mapping

from tally_ledger.domain import legs
from tally_ledger.domain.books import Books, Posted, Rejected
from tally_ledger.domain.commands import Leg
from tally_ledger.domain.model import EMPTY, Account, Balance, Entry, Hold, Transfer


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
        return legs.refusal(
            self._books.ledger,
            leg,
            self._account(leg.debit),
            self._account(leg.credit),
            (self._balance(leg.debit), self._balance(leg.credit)),
        )

    def move(self, transfer: Transfer) -> None:
        """Apply a transfer to both accounts, entering the new balances."""
        debit, credit = transfer.debit, transfer.credit
        debited, credited, left, came = legs.move(
            transfer, self._balance(debit), self._balance(credit)
        )
        self._balances[debit] = debited
        self._balances[credit] = credited
        self._transfers.append(transfer)
        self._entries += (left, came)

    def posted(self, hold: Hold | None = None) -> Posted:
        """The decision: everything moved so far."""
        return Posted(
            tuple(self._opened.values()),
            tuple(self._transfers),
            tuple(self._entries),
            self._balances,
            hold,
        )

    def _account(self, account_id: str) -> Account | None:
        return self._opened.get(account_id) or self._books.accounts.get(account_id)

    def _balance(self, account_id: str) -> Balance:
        return self._balances.get(account_id) or self._books.balances.get(account_id) or EMPTY
