"""Who, where and why money of a payout moves, and what caused it: kept beside the payout."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_contracts.base import MoneyEvent, Where, Who, Why
from tally_messaging import Cause, Received


@dataclass(frozen=True, slots=True)
class Context:
    """What every event about the payout repeats of the event it began with.

    `came_at`: when its money came, as that event says; payouts of before do not know it.
    """

    who: Who
    where: Where
    why: Why
    cause: Cause
    came_at: datetime | None = None

    @classmethod
    def of(cls, message: Received[MoneyEvent]) -> "Context":
        """The context of the event that begins a payout."""
        event = message.event
        return cls(event.who, event.where, event.why, message.cause, event.occurred_at)

    @classmethod
    def stored(cls, circumstances: Mapping[str, Any], cause: str) -> "Context":
        """The context read back from a row."""
        came_at = circumstances.get("came_at")
        return cls(
            Who(**circumstances["who"]),
            Where(**circumstances["where"]),
            Why(**circumstances["why"]),
            Cause.from_text(cause),
            None if came_at is None else datetime.fromisoformat(came_at),
        )

    @property
    def circumstances(self) -> Mapping[str, Any]:
        """The part of a row that says who, where and why, and when the money came."""
        return {
            "who": self.who.model_dump(),
            "where": self.where.model_dump(),
            "why": self.why.model_dump(),
            "came_at": None if self.came_at is None else self.came_at.isoformat(),
        }

    def following(self, message: Received[Any]) -> Cause:
        """The cause of what follows from `message`: it stays with the payment the payout is part of.

        A choice of method or a return file has a correlation of its own; the payout keeps its own.
        """
        came = message.cause
        if came.correlation_id == self.cause.correlation_id:
            return came
        return Cause(
            self.cause.correlation_id,
            came.causation_id,
            self.cause.tenant,
            came.actor,
            self.cause.traceparent,
        )
