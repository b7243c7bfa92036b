"""The gates of everybody that the money of some estates may come to, while a batch works on them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from tally_funding.claims.domain.estate import Estate, is_claimable, is_restricted, receiver
from tally_funding.postings import Books
from tally_funding.receipts import store
from tally_funding.receipts.asking import lock_gate
from tally_funding.receipts.domain import Closing, Gate
from tally_money import Money
from tally_postgres import Connection


@dataclass(slots=True)
class Weighing:
    """What is asked of the gates; without anybody to ask about, nothing is read.

    `tries`: when to ask about restricted money again, where that is another time than was noted.
    """

    books: Books
    now: datetime
    tries: dict[str, datetime | None] = field(default_factory=dict)
    _gate: Gate | None = None
    _heirs: dict[str, frozenset[str]] = field(default_factory=dict)

    async def load(
        self, conn: Connection, estates: Collection[Estate], heirs: Collection[str]
    ) -> Mapping[str, Estate]:
        """The estates as their gates stand, by owner; the gates stay so until the unit ends.

        Restricted money goes to its payee, not before what was noted of it.
        """
        found = {
            estate.owner: replace(estate, to_owner=receiver(estate.owner))
            if is_restricted(estate.owner)
            else estate
            for estate in estates
        }
        self._heirs = {owner: _heirs_of(estate) for owner, estate in found.items()}
        asked = frozenset(one for one in heirs if not is_claimable(one)).union(
            *self._heirs.values()
        )
        if asked:
            self._gate = await lock_gate(conn, self.books, asked, self.now)
        # After the gates, as what kyc tells: by its rows the two wait for each other in one order.
        if restricted := [owner for owner in found if is_restricted(owner)]:
            due = await store.lock_due(conn, restricted)
            for owner in restricted:
                found[owner] = replace(found[owner], not_before=due.get(owner))
        return {owner: self.weigh(estate) for owner, estate in found.items()}

    def closing(self, owner: str, amount: Money) -> Closing | None:
        """What keeps whom an owner reference means from receiving an amount."""
        return None if self._gate is None else self._gate.closing(receiver(owner), amount)

    def weigh(self, estate: Estate, heir: str | None = None) -> Estate:
        """The estate by its gates; by another balance, or for another `heir`, answers may be others.

        Where all is held back, nothing but a word about it, or the date of a table, can release any.
        """
        if self._gate is None:
            return estate
        heirs = self._heirs[estate.owner]
        if heir is not None and not is_restricted(estate.owner):
            heirs |= {heir}
        closed = {
            (one, amount.currency.code)
            for one in heirs
            for amount in estate.held
            if self.closing(one, amount) is not None
        }
        if not is_restricted(estate.owner):
            return replace(estate, closed_to=frozenset(one for one, _ in closed))
        weighed = replace(estate, held_back=frozenset(code for _, code in closed))
        if not closed or weighed.amounts:
            return weighed
        not_before = self._gate.book.next_change(self.now)
        if not_before != estate.not_before:
            self.tries[estate.owner] = not_before
        return replace(weighed, not_before=not_before)


def _heirs_of(estate: Estate) -> frozenset[str]:
    """Whom the money of an estate may come to without a command that names somebody."""
    expires_to = None if estate.claim is None else estate.claim.expires_to
    named = (estate.to_owner, expires_to)
    return frozenset(one for one in named if one is not None and not is_claimable(one))
