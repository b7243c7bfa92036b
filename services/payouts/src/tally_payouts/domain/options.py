"""The ways out a payee may choose among: program, class, level and amount, each with what closes it (F39)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from tally_gates import Answer as GateAnswer
from tally_gates import Closed, GateBook, Open, Question, Ruling, ask
from tally_money import Money
from tally_payouts.domain.exits import HoldSource, Used, class_of, hold_by, holds_of
from tally_payouts.domain.payout import ExitHold, Route
from tally_payouts.domain.policy import Policy, Request, permitted
from tally_payouts.domain.states import MustAct

PROGRAM: Final = "program"
_ANOTHER: Final = "choose another method"


@dataclass(frozen=True, slots=True)
class Option:
    """A rail, and whether it is open; `closed_by` says what narrows or closes it.

    `limit` is there where it is open to items of at most that. `ruling` is what decided, where it is
    open and a table says so.
    """

    rail: str
    endpoint_class: str
    answer: str
    limit: Money | None = None
    closed_by: ExitHold | None = None
    ruling: Ruling | None = None


def options_of(
    book: GateBook,
    question: Question,
    used: Used,
    *,
    rails: Iterable[str],
    policy: Policy | None,
    request: Request,
) -> tuple[Option, ...]:
    """Every rail for a payout like this; `question` is asked for the class of each."""
    return tuple(
        _by_program(rail, policy, request) or _by_level(book, question, used, rail)
        for rail in sorted(rails)
    )


def _by_program(rail: str, policy: Policy | None, request: Request) -> Option | None:
    """The option as the program closes it; None where it does not."""
    way = permitted(policy, request, Route(0, rail, "", None))
    if policy is None or isinstance(way, Route):
        return None
    remedy = way.remedy or _ANOTHER
    by = ExitHold(PROGRAM, way.reason_code, remedy, MustAct.PAYEE, policy.program, policy.version)
    return Option(rail, class_of(rail), GateAnswer.CLOSED, closed_by=by)


def _by_level(book: GateBook, question: Question, used: Used, rail: str) -> Option:
    found = class_of(rail)
    asked = replace(question, endpoint_class=found)
    holds, _ = holds_of(book, asked, used)
    if holds:
        return Option(rail, found, GateAnswer.CLOSED, closed_by=holds[0])
    answer = ask(book, asked)
    assert not isinstance(answer, Closed), "what is closed holds"
    if isinstance(answer, Open):
        return Option(rail, found, GateAnswer.OPEN, ruling=answer.ruling)
    by = hold_by(HoldSource.KYC, answer, asked)
    return Option(rail, found, GateAnswer.OPEN_TO, answer.limit, by)
