"""The rows gate and limit tables consist of."""

from dataclasses import dataclass
from enum import StrEnum

from tally_money import Money


class PartyKind(StrEnum):
    """Who is asked about."""

    PERSON = "person"
    COMPANY = "company"


class Level(StrEnum):
    """How well a party is known; each level includes those below it."""

    NONE = "none"
    BASIC = "basic"
    STANDARD = "standard"
    ADVANCED = "advanced"

    @property
    def rank(self) -> int:
        """0 for `none`, and higher for each level above it."""
        return _RANK[self]


_RANK = {level: rank for rank, level in enumerate(Level)}


def _rank(level: Level | None) -> int:
    return len(_RANK) if level is None else level.rank


class Act(StrEnum):
    """What is to be done with money."""

    RECEIVE = "receive"
    HOLD = "hold"
    CONVERT = "convert"
    EXIT = "exit"


class EndpointClass(StrEnum):
    """What money becomes where it ends up; ANY in a row is every class."""

    CASH = "cash"
    CASH_LIKE = "cash_like"
    CLOSED_LOOP = "closed_loop"
    ANY = "any"


class Answer(StrEnum):
    """What a gate row says."""

    OPEN = "open"
    OPEN_TO = "open_to"
    CLOSED = "closed"


class MustAct(StrEnum):
    """Who can open what is closed."""

    PAYEE = "payee"
    COMPANY = "company"
    OPERATOR = "operator"


class Window(StrEnum):
    """What a limit counts over: one item, or a day, month or year of the calendar in UTC, or ever."""

    ITEM = "item"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    LIFETIME = "lifetime"


@dataclass(frozen=True, slots=True)
class GateRow:
    """What one act is for parties of one kind and level; `limit` goes with OPEN_TO, per item.

    Without a level it is for one above all that are known here: listed, and reached by nobody.
    """

    party_kind: PartyKind
    level: Level | None
    act: Act
    endpoint_class: EndpointClass
    answer: Answer
    limit: Money | None = None
    code: str | None = None
    remedy: str | None = None
    who_must_act: MustAct | None = None

    def __post_init__(self) -> None:
        if (self.limit is not None) != (self.answer is Answer.OPEN_TO):
            raise ValueError(f"a row that is {self.answer} and has the limit {self.limit}")

    @property
    def rank(self) -> int:
        """The rank of its level; above all of them where it has none."""
        return _rank(self.level)


@dataclass(frozen=True, slots=True)
class LimitRow:
    """How much a party of this level may do of one act within a window.

    Without a level it is for one above all that are known here.
    """

    level: Level | None
    act: Act
    endpoint_class: EndpointClass
    window: Window
    limit: Money

    @property
    def rank(self) -> int:
        """The rank of its level; above all of them where it has none."""
        return _rank(self.level)
