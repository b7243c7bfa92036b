"""Who, where and why money of an attempt moves, and what caused it: kept beside the attempt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tally_contracts.base import MoneyEvent, Where, Who, Why
from tally_messaging import Cause, Received


@dataclass(frozen=True, slots=True)
class Context:
    """What every event about the attempt repeats of the order it began with."""

    who: Who
    where: Where
    why: Why
    cause: Cause

    @classmethod
    def of(cls, message: Received[MoneyEvent]) -> "Context":
        """The context of an order that has just come."""
        event = message.event
        return cls(event.who, event.where, event.why, message.cause)

    @classmethod
    def stored(cls, circumstances: Mapping[str, Any], cause: str) -> "Context":
        """The context read back from a row, whose parts were checked when they were written."""
        return cls(
            Who.model_construct(**circumstances["who"]),
            Where.model_construct(**circumstances["where"]),
            Why.model_construct(**circumstances["why"]),
            Cause.from_text(cause),
        )

    @property
    def circumstances(self) -> Mapping[str, Any]:
        """The part of a row that says who, where and why."""
        return {
            "who": self.who.model_dump(),
            "where": self.where.model_dump(),
            "why": self.why.model_dump(),
        }
