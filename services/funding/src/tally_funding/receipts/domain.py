"""Whether a payee may receive money that is here: asked of the gates by its level, and pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tally_funding.claims.domain.estate import restricted
from tally_funding.domain import OWNER_CHARS_MAX
from tally_gates import (
    Act,
    Closed,
    EndpointClass,
    GateBook,
    OpenTo,
    Party,
    Question,
    ask,
)
from tally_money import Money

Closing = Closed | OpenTo
"""What keeps a payee from receiving an amount: by which table and version, and who can open it."""

_ANYWHERE: Final = frozenset[str]()


def fits(owner: str) -> bool:
    """Whether an owner's reference leaves room for the mark of restricted money."""
    return len(restricted(owner)) <= OWNER_CHARS_MAX


def asks(book: GateBook) -> bool:
    """Whether any table says anything of receiving."""
    return any(row.act is Act.RECEIVE for table in book.gates for row in table.rows)


@dataclass(frozen=True, slots=True)
class Gate:
    """The gates there are, and what was told of owners, by their references, at a moment."""

    book: GateBook
    parties: Mapping[str, Party]
    now: datetime

    def closing(self, owner: str, amount: Money) -> Closing | None:
        """What keeps an owner from receiving this amount; None where nothing does.

        Of a party nobody told of, the tables of no country in particular decide, at level `none`.
        """
        party = self.parties.get(owner) or Party(owner)
        places = _ANYWHERE if party.jurisdiction is None else frozenset({party.jurisdiction})
        answer = ask(
            self.book,
            Question(
                places,
                party.kind,
                party.level_at(self.now),
                Act.RECEIVE,
                EndpointClass.ANY,
                amount,
                self.now,
            ),
        )
        if isinstance(answer, Closed):
            return answer
        return answer if isinstance(answer, OpenTo) and not answer.covers(amount) else None
