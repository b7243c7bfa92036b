"""What comes again, and what the other ledger answered: capture or release what was reserved, once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tally_contracts.base import MoneyEvent
from tally_contracts.ledger import CaptureHold, ReleaseHold
from tally_ledger.transfers.books import carry_out
from tally_ledger.transfers.domain import CrossTransfer, Refusal, Step, decide_outcome, ended
from tally_messaging import Received, UnitOfWork
from tally_runtime import get_logger

_LOG = get_logger("tally_ledger.transfers")


@dataclass(frozen=True, slots=True)
class Reserved:
    """What waits here for the other ledger: where it stands, and the commands that end it."""

    state: CrossTransfer
    capture: Callable[[], CaptureHold]
    release: Callable[[], ReleaseHold]


@dataclass(frozen=True, slots=True)
class OtherSaid:
    """An answer of the other ledger; `refusal` None: it has booked.

    `reserved` is None if these books do not know it; `what` names it in the log.
    """

    message: Received[Any]
    what: str
    id: str
    reserved: Reserved | None
    refusal: Refusal | None


async def take_in(
    uow: UnitOfWork, said: Sequence[OtherSaid]
) -> list[tuple[OtherSaid, CrossTransfer]]:
    """Do what the answers ask for; those that ended something, with its end.

    What is about one id is said once in `said`.
    """
    asked: list[tuple[OtherSaid, CrossTransfer, CaptureHold | ReleaseHold]] = []
    for one in said:
        reserved = one.reserved
        state = None if reserved is None else reserved.state
        step = decide_outcome(state, credited=one.refusal is None)
        if reserved is None or step in {Step.UNKNOWN, Step.CONTRADICTION}:
            _report(one, step)
        elif step is Step.CAPTURE:
            asked.append((one, reserved.state, reserved.capture()))
        elif step is Step.RELEASE:
            asked.append((one, reserved.state, reserved.release()))
    answers = await carry_out(uow, [(one.message, command) for one, _, command in asked])
    done: list[tuple[OtherSaid, CrossTransfer]] = []
    for one, state, command in asked:
        if answers[command.transfer_id] is None:
            done.append((one, ended(state, one.refusal)))
        else:
            # Somebody else ended the reservation: an operator has to look.
            _report(one, Step.CONTRADICTION)
    return done


def waves(
    messages: Sequence[Received[Any]], id_of: Callable[[Any], str]
) -> Iterator[list[Received[Any]]]:
    """Runs without an id occurring twice, so that a repeat finds what the one before left."""
    left = list(messages)
    while left:
        seen: set[str] = set()
        wave: list[Received[Any]] = []
        later: list[Received[Any]] = []
        for message in left:
            (later if id_of(message.event) in seen else wave).append(message)
            seen.add(id_of(message.event))
        yield wave
        left = later


def same_request(one: MoneyEvent, other: MoneyEvent) -> bool:
    """Whether two commands say the same, whenever they were sent."""
    return one.model_copy(update={"occurred_at": other.occurred_at}) == other


def _report(one: OtherSaid, step: Step) -> None:
    event = one.message.event
    _LOG.error(
        f"{one.what}_{step}",
        id=one.id,
        answer=event.TYPE,
        ledger=event.ledger,
        runbook="services/ledger/README.md: transfers between ledgers",
    )
