"""Money of a payee that may not receive yet: whose it is, what restricts it, and when it is released."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tally_funding.claims.domain.estate import RESTRICTED, Change, Estate, Movement, Reason, start
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

NOBODY_TOLD: Final = frozenset[str]()


def restricted(owner: str) -> str:
    """The owner reference of money that waits until `owner` may receive it."""
    return f"{RESTRICTED}{owner}"


def receiver(owner: str) -> str:
    """Whose money it is: who is meant by an owner reference, restricted or not."""
    return owner.removeprefix(RESTRICTED)


def fits(owner: str) -> bool:
    """Whether an owner's reference leaves room for the mark of restricted money."""
    return len(restricted(owner)) <= OWNER_CHARS_MAX


@dataclass(frozen=True, slots=True)
class Gate:
    """What is known of gates, levels (by party id) and parties (ids by owner) at a moment."""

    book: GateBook
    levels: Mapping[str, Party]
    party_id: Callable[[str], str]
    now: datetime

    def closing(self, owner: str, amount: Money) -> Closing | None:
        """What keeps an owner from receiving this amount; None where nothing does.

        Of a party nobody told of, the tables of no country in particular decide, at level `none`.
        """
        party = self.levels.get(self.party_id(owner)) or Party(owner)
        places = NOBODY_TOLD if party.jurisdiction is None else frozenset({party.jurisdiction})
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


def decide_release(estate: Estate, gate: Gate, movement_id: str) -> Change | None:
    """Move what its payee may receive by now to its wallet; None while nothing is, or under way."""
    if estate.movement is not None:
        return None
    owner = receiver(estate.owner)
    free = tuple(one for one in estate.amounts if gate.closing(owner, one) is None)
    if not free:
        return None
    return start(estate, Movement(movement_id, owner, Reason.RELEASED, free), None)
