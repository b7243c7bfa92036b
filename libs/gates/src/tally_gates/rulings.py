"""Questions, and what they are answered."""

from dataclasses import dataclass
from datetime import datetime

from tally_gates.rows import Act, EndpointClass, Level, MustAct, PartyKind, Window
from tally_money import Money


@dataclass(frozen=True, slots=True)
class Question:
    """May this party do this with that much, on that date?

    `jurisdictions`: the countries of the party's residence, of the entity that books its wallet and
    of the endpoint, as far as they are known.
    """

    jurisdictions: frozenset[str]
    party_kind: PartyKind
    level: Level
    act: Act
    endpoint_class: EndpointClass
    amount: Money
    at: datetime


@dataclass(frozen=True, slots=True)
class Ruling:
    """The table version that decided."""

    table: str
    version: int


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing is in the way; `ruling` is None where no table is published, and `detail` says so."""

    ruling: Ruling | None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class OpenTo:
    """Open to items of at most `limit`; the rest tells what it takes to do more."""

    limit: Money
    ruling: Ruling
    code: str
    remedy: str
    who_must_act: MustAct

    def covers(self, amount: Money) -> bool:
        """Whether an item of this amount, which is in the limit's currency, may pass."""
        return amount <= self.limit


@dataclass(frozen=True, slots=True)
class Closed:
    """Not open: why, by which table version, what opens it, and who can do that."""

    code: str
    ruling: Ruling
    remedy: str
    who_must_act: MustAct


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that binds a question."""

    ruling: Ruling
    window: Window
    endpoint_class: EndpointClass
    limit: Money
