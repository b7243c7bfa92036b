"""The rules of transfers between ledgers: pure, no I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class CrossState(StrEnum):
    """A transfer as the ledger it leaves sees it; `started`: the money is reserved there."""

    STARTED = "started"
    COMPLETED = "completed"
    REFUSED = "refused"


ALLOWED: Mapping[CrossState | None, frozenset[CrossState]] = {
    None: frozenset({CrossState.STARTED, CrossState.REFUSED}),
    CrossState.STARTED: frozenset({CrossState.COMPLETED, CrossState.REFUSED}),
    CrossState.COMPLETED: frozenset(),
    CrossState.REFUSED: frozenset(),
}
"""States and their successors; None stands before the first."""


class Side(StrEnum):
    """Which of the two ledgers refused."""

    SOURCE = "source"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a ledger does not take part; `detail` names the field and the remedy."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What a ledger decided about something another one began; `refusal` None: it has booked.

    `about` is what it was: who asked whom for how much. None in it: an earlier release did not note
    that.
    """

    about: tuple[str | None, ...]
    refusal: Refusal | None

    def is_about(self, asked: tuple[str, ...]) -> bool:
        """Whether what is asked now is what was decided, and not something else under its id."""
        pairs = zip(self.about, asked, strict=True)
        return all(was is None or was == now for was, now in pairs)

    def answer(self, asked: tuple[str, ...], conflict: Refusal) -> Refusal | None:
        """The answer to one who asks (again): what was decided stands for nothing but itself."""
        return self.refusal if self.is_about(asked) else conflict


@dataclass(frozen=True, slots=True)
class CrossTransfer:
    """A transfer in the books it leaves. `refusal` and `side` only where it was refused."""

    id: str
    state: CrossState
    side: Side | None = None
    refusal: Refusal | None = None


class Step(StrEnum):
    """What an answer of the other ledger asks for."""

    CAPTURE = "capture"
    RELEASE = "release"
    NOTHING = "nothing"
    UNKNOWN = "unknown"
    CONTRADICTION = "contradiction"


class CreditStep(StrEnum):
    """What a started transfer asks of the ledger it goes to."""

    POST = "post"
    DECLINE_EXPIRED = "decline_expired"
    ANSWER_AGAIN = "answer_again"


_STEPS: Mapping[tuple[CrossState, bool], Step] = {
    (CrossState.STARTED, True): Step.CAPTURE,
    (CrossState.STARTED, False): Step.RELEASE,
    (CrossState.COMPLETED, True): Step.NOTHING,
    (CrossState.COMPLETED, False): Step.CONTRADICTION,
    (CrossState.REFUSED, True): Step.CONTRADICTION,
    (CrossState.REFUSED, False): Step.NOTHING,
}


def decide_outcome(transfer: CrossTransfer | None, *, credited: bool) -> Step:
    """Take in one answer of the other ledger, which may come twice, late or out of nowhere."""
    return Step.UNKNOWN if transfer is None else _STEPS[transfer.state, credited]


def decide_credit(
    decided: Refusal | None, expires_at: datetime | None, now: datetime, *, known: bool
) -> CreditStep:
    """Decide what to do about a started transfer; what was decided once stands, whatever the clock says."""
    assert known or decided is None, "a refusal is known"
    if known:
        return CreditStep.ANSWER_AGAIN
    if expires_at is not None and expires_at <= now:
        return CreditStep.DECLINE_EXPIRED
    return CreditStep.POST


def begun(transfer_id: str, refusal: Refusal | None) -> CrossTransfer:
    """The first state: by what the ledger the money leaves said to the reservation."""
    if refusal is None:
        return _moved(CrossTransfer(transfer_id, CrossState.STARTED), None)
    refused = CrossTransfer(transfer_id, CrossState.REFUSED, Side.SOURCE, refusal)
    return _moved(refused, None)


def ended(transfer: CrossTransfer, refusal: Refusal | None) -> CrossTransfer:
    """The last state: by what the ledger the money goes to said."""
    if refusal is None:
        return _moved(replace(transfer, state=CrossState.COMPLETED), transfer.state)
    changed = replace(transfer, state=CrossState.REFUSED, side=Side.DESTINATION, refusal=refusal)
    return _moved(changed, transfer.state)


def _moved(transfer: CrossTransfer, before: CrossState | None) -> CrossTransfer:
    assert transfer.state in ALLOWED[before], f"{before} is not followed by {transfer.state}"
    assert (transfer.state is CrossState.REFUSED) == (transfer.refusal is not None)
    return transfer
