"""Whether a payout may leave: the gates and limits of its party's level, asked before it is submitted.

A payout that may not is held, never refused: its money stays reserved, and it goes on by itself once
nothing holds it any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from tally_gates import (
    Act,
    Closed,
    EndpointClass,
    GateBook,
    OpenTo,
    Party,
    PartyKind,
    Question,
    Window,
    ask,
    binding,
    exceeded,
    window_ends,
)
from tally_gates import MustAct as GateMustAct
from tally_money import Money
from tally_payouts.domain.payout import (
    Asked,
    Command,
    Decision,
    ExitHold,
    HoldsChanged,
    Payout,
    Standing,
    followed_by,
    moved,
)
from tally_payouts.domain.states import AttemptState, HoldState, MustAct, PayoutState

HANDED_TO_RAIL: Final = Standing("handed_to_rail", MustAct.RAIL)

Used = Mapping[tuple[Window, EndpointClass], Money]


class HoldSource(StrEnum):
    """Who holds a payout; these two are asked about here, and each clears what is its own alone."""

    KYC = "kyc"
    LIMIT = "limit"


_ASKED_HERE: Final = frozenset(HoldSource)
_MUST_ACT: Final[Mapping[GateMustAct, MustAct]] = MappingProxyType(
    {
        GateMustAct.PAYEE: MustAct.PAYEE,
        GateMustAct.COMPANY: MustAct.PAYER,
        GateMustAct.OPERATOR: MustAct.OPERATOR,
    }
)
_CLASS_OF: Final[Mapping[str, EndpointClass]] = MappingProxyType(
    {
        "crypto": EndpointClass.CASH_LIKE,
        "prepaid": EndpointClass.CASH_LIKE,
        "wallet": EndpointClass.CASH_LIKE,
        "giftcard": EndpointClass.CLOSED_LOOP,
        "store_credit": EndpointClass.CLOSED_LOOP,
    }
)


def class_of(rail: str) -> EndpointClass:
    """The class of endpoint a rail reaches; of a rail nobody has classed, the one that closes first."""
    return _CLASS_OF.get(rail, EndpointClass.CASH)


@dataclass(frozen=True, slots=True)
class Ruled:
    """What was asked, and what holds the payout; `again_at` is when time alone may change that."""

    asked: Asked
    holds: tuple[ExitHold, ...] = ()
    again_at: datetime | None = None


def question_of(
    party: Party, amount: Money, found: EndpointClass, places: frozenset[str], now: datetime
) -> Question:
    """What is asked of an exit; `places` are the countries it touches but its party's."""
    own = frozenset[str]() if party.jurisdiction is None else frozenset({party.jurisdiction})
    return Question(places | own, party.kind, party.level_at(now), Act.EXIT, found, amount, now)


def rule(book: GateBook, question: Question, used: Used) -> Ruled:
    """Put a payout's exit to the book."""
    if book.empty:
        return Ruled(Asked(question.at, question.endpoint_class))
    holds, ends = holds_of(book, question, used)
    moments = [ends, book.next_change(question.at)] if holds else []
    places = tuple(sorted(question.jurisdictions))
    return Ruled(
        Asked(question.at, question.endpoint_class, question.party_kind, question.level, places),
        holds,
        min((moment for moment in moments if moment is not None), default=None),
    )


def holds_of(
    book: GateBook, question: Question, used: Used
) -> tuple[tuple[ExitHold, ...], datetime | None]:
    """What holds an exit, and when the window of the limit it exceeds is over."""
    holds: list[ExitHold] = []
    answer = ask(book, question)
    if isinstance(answer, Closed):
        holds.append(hold_by(HoldSource.KYC, answer, question))
    elif isinstance(answer, OpenTo) and not answer.covers(question.amount):
        holds.append(hold_by(HoldSource.LIMIT, answer, question))
    over = exceeded(binding(book, question), question, used)
    if over is None:
        return tuple(holds), None
    limit, closed = over
    holds.append(hold_by(HoldSource.LIMIT, closed, question))
    return tuple(holds), window_ends(limit.window, question.at)


def hold_by(source: HoldSource, said: Closed | OpenTo, question: Question) -> ExitHold:
    """An answer as what it holds by; a company that has to act is the payee where it is paid itself."""
    ruling = said.ruling
    must_act = _MUST_ACT[said.who_must_act]
    if must_act is MustAct.PAYER and question.party_kind is PartyKind.COMPANY:
        must_act = MustAct.PAYEE
    return ExitHold(source, said.code, said.remedy, must_act, ruling.table, ruling.version)


def decide_exit(payout: Payout, ruled: Ruled) -> Decision:
    """The money is reserved: hand the payout to its rail, or hold it."""
    if not ruled.holds:
        return _submitted(payout, hold=HoldState.PLACED, asked=ruled.asked)
    return moved(
        payout,
        PayoutState.HELD,
        ruled.holds[0].standing,
        hold=HoldState.PLACED,
        asked=ruled.asked,
        holds=ruled.holds,
    )


def decide_again(payout: Payout, ruled: Ruled) -> Decision:
    """Ask a held payout anew: gates and limits put their holds in place of their own, and no other's.

    One that is being called off stays so.
    """
    held = payout.state is PayoutState.HELD and payout.hold is HoldState.PLACED
    if not held or payout.ending is not None:
        return Decision(payout)
    others = tuple(hold for hold in payout.holds if hold.source not in _ASKED_HERE)
    holds = (*ruled.holds, *others)
    if holds == payout.holds:
        return Decision(payout)
    if not holds:
        return _submitted(payout, holds=holds, asked=ruled.asked)
    after = replace(payout, holds=holds, asked=ruled.asked, standing=holds[0].standing)
    return Decision(after, (HoldsChanged(after),))


def _submitted(payout: Payout, **changes: Any) -> Decision:
    decision = moved(
        payout, PayoutState.SUBMITTING, HANDED_TO_RAIL, attempt=AttemptState.HANDED_OVER, **changes
    )
    return followed_by(decision, Command.SUBMIT)
