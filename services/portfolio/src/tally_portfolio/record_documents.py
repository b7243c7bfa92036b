"""Records as documents: what their parts tell together, and when they told it last."""

from collections.abc import Sequence

from tally_portfolio.domain.books import minor_of, shown
from tally_portfolio.domain.records import Record, merged
from tally_portfolio.domain.redaction import Document
from tally_portfolio.domain.statement import time, words

_WS = frozenset({"who", "where", "why"})


def record_document(parts: Sequence[Record]) -> Document | None:
    """A thing as its facts tell it; None if its first fact has not come yet."""
    told = merged(parts)
    if told is None:
        return None
    document = {name: value for name, value in told.items() if name not in _WS}
    return document | words(told) | {"changed_at": time(max(record.at for record in parts))}


def budget_document(told: Document, reserved: int, used: int) -> Document:
    """A budget in the words of who spends it; `below` counts it and all that flowed down from it."""
    code, limit = _minor(told["limit"])
    (_, allocated), (_, committed), (_, spent) = (
        _minor(told[name]) for name in ("allocated", "reserved", "used")
    )
    path = told["path"]
    assert isinstance(path, list), "the ids of the budgets above"
    return told | {
        "tier": len(path) + 1,
        "committed": told["reserved"],
        "spent": told["used"],
        "available": shown(limit - allocated - committed - spent, code),
        "below": {
            "committed": shown(reserved, code),
            "spent": shown(used, code),
            "available": shown(limit - reserved - used, code),
        },
    }


def _minor(told: object) -> tuple[str, int]:
    assert isinstance(told, dict), "an amount of a fact"
    return told["currency"], minor_of(told["amount"], told["currency"])
