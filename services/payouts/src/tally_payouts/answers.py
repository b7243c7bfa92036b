"""What those who send commands are told: each command leads to at least one fact."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tally_contracts.base import Who
from tally_contracts.payouts import (
    CancelPayout,
    ChooseMethod,
    MethodChosen,
    PayoutCommandRefused,
    PayoutCommandTaken,
    RequestPayout,
)
from tally_messaging import Received, UnitOfWork
from tally_payouts.context import Context
from tally_payouts.domain.methods import Method
from tally_payouts.domain.payout import Payout

PAYOUT_FACTS = "payouts.payout.v1"
_ACTOR: Final = "svc:payouts"

PayoutCommand = RequestPayout | CancelPayout


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What is said of a code: the field that is wrong, why, and what to do."""

    field: str
    detail: str
    remedy: str


_REFUSALS: Final[Mapping[str, _Refusal]] = {
    "payout_unknown": _Refusal(
        "/payout_id", "there is no payout of this id", "name a payout that has begun"
    ),
    "cancel_too_late": _Refusal(
        "/payout_id",
        "the payout has been handed to the rail for good, or has ended",
        "wait for its end; money that fails to arrive comes back to the wallet",
    ),
    "id_conflict": _Refusal(
        "/payout_id",
        "a payout of this id was asked for with other content; the first order stands",
        "use a new id for another payout",
    ),
    "rail_unknown": _Refusal(
        "/rail", "this installation has no rail of this name", "choose a rail it has"
    ),
    "instrument_mismatch": _Refusal(
        "/instrument",
        "the instrument is of another owner, rail or currency; the method in force stays",
        "register an instrument of this owner for this rail and currency, and choose that",
    ),
}


@dataclass(frozen=True, slots=True)
class Answers:
    """Emits answers into one unit of work."""

    uow: UnitOfWork

    def chosen(self, method: Method, message: Received[ChooseMethod]) -> None:
        """Tell that a choice of method holds."""
        self._method(method, message.event.who, message)

    def judged(self, method: Method, message: Received[Any]) -> None:
        """Tell what became of a choice by a word about its instrument."""
        self._method(method, Who(actor=_ACTOR, principal=method.owner), message)

    def _method(self, method: Method, who: Who, message: Received[Any]) -> None:
        fact = MethodChosen(
            owner=method.owner,
            currency=method.currency,
            version=method.version,
            rail=method.rail,
            instrument=method.instrument,
            state=method.state,
            reason_code=method.reason_code,
            who=who,
            occurred_at=self.uow.now,
        )
        self.uow.emit(fact, topic=PAYOUT_FACTS, key=method.owner, cause=message.cause)

    def taken(self, payout: Payout, context: Context, message: Received[PayoutCommand]) -> None:
        """Tell that a command about a payout holds, and how the payout stands."""
        command = message.event
        fact = PayoutCommandTaken(
            command_type=command.TYPE,
            payout_id=payout.id,
            owner=payout.order.owner,
            company=payout.order.company,
            state=payout.state,
            reason_code=payout.standing.reason_code,
            must_act=payout.standing.must_act,
            who=command.who,
            occurred_at=self.uow.now,
        )
        cause = context.following(message)
        self.uow.emit(fact, topic=PAYOUT_FACTS, key=payout.id, cause=cause)

    def refused(self, code: str, message: Received[PayoutCommand | ChooseMethod]) -> None:
        """Tell that a command changed nothing, and why."""
        command, refusal = message.event, _REFUSALS[code]
        subject = command.owner if isinstance(command, ChooseMethod) else command.payout_id
        fact = PayoutCommandRefused(
            command_type=command.TYPE,
            subject=subject,
            code=code,
            field=refusal.field,
            detail=refusal.detail,
            remedy=refusal.remedy,
            who=command.who,
            occurred_at=self.uow.now,
        )
        self.uow.emit(fact, topic=PAYOUT_FACTS, key=subject, cause=message.cause)
