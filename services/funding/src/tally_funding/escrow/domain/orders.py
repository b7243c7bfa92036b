"""What parties order about an agreement, and what it leads to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from tally_funding.answers.refusal import Refusal
from tally_funding.escrow.domain.agreement import (
    AT_REST,
    FINAL,
    MOVING,
    Agreement,
    State,
    Steps,
    ask,
    met,
    step,
)
from tally_money import Money


@dataclass(frozen=True, slots=True)
class Fund:
    """The payer pays the whole amount in."""

    by: str


@dataclass(frozen=True, slots=True)
class Approve:
    """An approver approves."""

    by: str


@dataclass(frozen=True, slots=True)
class Present:
    """A party presents a document by its digest."""

    by: str
    document: str


@dataclass(frozen=True, slots=True)
class Release:
    """Pay to the payee; `amount` None is all that is held."""

    by: str
    amount: Money | None


@dataclass(frozen=True, slots=True)
class Refund:
    """The payee gives all that is held back."""

    by: str


@dataclass(frozen=True, slots=True)
class Dispute:
    """The payer or the payee disputes."""

    by: str


@dataclass(frozen=True, slots=True)
class Arbitrate:
    """The arbiter divides what is held."""

    by: str
    to_payee: Money
    to_payer: Money


Order = Fund | Approve | Present | Release | Refund | Dispute | Arbitrate


def decide(agreement: Agreement, order: Order, now: datetime) -> Steps | Refusal:
    """What an order of a party leads to; a refusal changes nothing."""
    if not isinstance(order, Arbitrate) and now >= agreement.deadline:
        return Refusal(
            "deadline_passed",
            "/agreement_id",
            f"the deadline was {agreement.deadline.isoformat()}",
            "wait for the expiry to be booked, or make a new agreement",
        )
    match order:
        case Fund():
            return _fund(agreement, order)
        case Approve():
            return _approve(agreement, order)
        case Present():
            return _present(agreement, order)
        case Release():
            return _release(agreement, order)
        case Refund():
            return _refund(agreement, order)
        case Dispute():
            return _dispute(agreement, order)
        case Arbitrate():
            return _arbitrate(agreement, order)
        case _:
            assert_never(order)


def decide_by(
    agreement: Agreement, order: Order, ids: Collection[str], now: datetime
) -> Steps | Refusal:
    """What an order leads to whose giver is several parties, as those that were merged are one.

    It is given in the name of the one that may give it. Approvals count people: whoever has approved in
    any name has approved.
    """
    if isinstance(order, Arbitrate) and _is_own_cause(agreement, order, ids):
        return Refusal(
            "arbiter_not_apart",
            "/who/principal",
            f"{order.by} is the arbiter, and the payer or the payee too",
            "give the other one all that is held",
        )
    names = (one for one in _givers(agreement, order) if one is not None and one in ids)
    return decide(agreement, replace(order, by=next(names, order.by)), now)


def _givers(agreement: Agreement, order: Order) -> Sequence[str | None]:
    """Who may give such an order, whose right goes furthest first."""
    match order:
        case Fund():
            return (agreement.payer,)
        case Approve():
            return (*agreement.approvals, *agreement.condition.approvers)
        case Present():
            return (agreement.condition.presenter,)
        case Release() | Dispute():
            return (agreement.payer, agreement.payee)
        case Refund():
            return (agreement.payee,)
        case Arbitrate():
            return (agreement.arbiter,)
        case _:
            assert_never(order)


def _is_own_cause(agreement: Agreement, order: Arbitrate, ids: Collection[str]) -> bool:
    """Whether the arbiter is a side by now, and would keep something for it; one that is both may."""
    sides = ((agreement.payer, order.to_payer), (agreement.payee, order.to_payee))
    own = [part for party, part in sides if party in ids]
    return agreement.arbiter in ids and len(own) == 1 and own[0].minor > 0


def _fund(agreement: Agreement, order: Fund) -> Steps | Refusal:
    if order.by != agreement.payer:
        return not_allowed(order.by, "the payer", "funds an agreement")
    if agreement.state is not State.PROPOSED:
        return _state_forbids(agreement)
    return (ask(agreement, State.FUNDING, "payer_funded"),)


def _approve(agreement: Agreement, order: Approve) -> Steps | Refusal:
    condition = agreement.condition
    if condition.kind != "approval" or order.by not in condition.approvers:
        return not_allowed(order.by, "a named approver", "approves")
    if agreement.state in FINAL or agreement.state is State.DISPUTED or agreement.condition_met:
        return _state_forbids(agreement)
    if order.by in agreement.approvals:
        return Refusal(
            "approved_already",
            "/who/principal",
            f"{order.by} has approved this agreement",
            "nothing is left to do; the others have to approve",
        )
    approved = replace(agreement, approvals=(*agreement.approvals, order.by))
    if len(approved.approvals) == condition.needed:
        return met(agreement, "approved", approved)
    return (step(agreement, agreement.state, "approval", approved),)


def _present(agreement: Agreement, order: Present) -> Steps | Refusal:
    condition = agreement.condition
    if condition.kind != "document" or order.by != condition.presenter:
        return not_allowed(order.by, "the named presenter", "presents the document")
    if order.document != condition.document:
        return Refusal(
            "document_unknown",
            "/document",
            "its digest is not the one the agreement names",
            "present the document that was agreed, byte for byte",
        )
    if agreement.state in FINAL or agreement.state is State.DISPUTED or agreement.condition_met:
        return _state_forbids(agreement)
    return met(agreement, "document_presented")


def _release(agreement: Agreement, order: Release) -> Steps | Refusal:
    if order.by not in {agreement.payer, agreement.payee}:
        return not_allowed(
            order.by, "the payer, or the payee once the condition is met", "releases"
        )
    if agreement.state not in AT_REST:
        return _state_forbids(agreement)
    if order.by == agreement.payee and not agreement.condition_met:
        return Refusal(
            "condition_not_met",
            "/who/principal",
            "the payee releases once the condition is met, and it is not",
            "see that it is met, or ask the payer to release",
        )
    amount = agreement.held if order.amount is None else order.amount
    if amount.currency != agreement.amount.currency:
        return _wrong_currency(agreement, "/amount/currency")
    if amount.minor <= 0:
        return Refusal(
            "amount_not_positive",
            "/amount/amount",
            f"{amount} is not above zero",
            "ask for an amount above zero, or leave it out to release all",
        )
    if amount > agreement.held:
        return Refusal(
            "exceeds_held",
            "/amount/amount",
            f"{amount} asked, {agreement.held} held",
            "ask for at most what is held",
        )
    reason = "payer_released" if order.by == agreement.payer else "condition_met"
    return (ask(agreement, State.RELEASING, reason, to_payee=amount),)


def _refund(agreement: Agreement, order: Refund) -> Steps | Refusal:
    if order.by != agreement.payee:
        return not_allowed(order.by, "the payee", "refunds; the payer may dispute")
    if agreement.state not in AT_REST:
        return _state_forbids(agreement)
    return (ask(agreement, State.REFUNDING, "payee_refunded", to_payer=agreement.held),)


def _dispute(agreement: Agreement, order: Dispute) -> Steps | Refusal:
    if order.by not in {agreement.payer, agreement.payee}:
        return not_allowed(order.by, "the payer or the payee", "disputes")
    if agreement.arbiter is None:
        return Refusal(
            "no_arbiter",
            "/agreement_id",
            "the agreement names nobody to decide a dispute",
            "settle it by a release or a refund; the deadline ends it otherwise",
        )
    if agreement.state not in AT_REST:
        return _state_forbids(agreement)
    by = "payer" if order.by == agreement.payer else "payee"
    return (step(agreement, State.DISPUTED, f"{by}_disputed"),)


def _arbitrate(agreement: Agreement, order: Arbitrate) -> Steps | Refusal:
    if agreement.arbiter is None or order.by != agreement.arbiter:
        return not_allowed(order.by, "the arbiter", "decides a dispute")
    if agreement.state is not State.DISPUTED:
        return _state_forbids(agreement)
    held = agreement.held
    for name, part in (("to_payee", order.to_payee), ("to_payer", order.to_payer)):
        if part.currency != held.currency:
            return _wrong_currency(agreement, f"/{name}/currency")
    if (
        order.to_payee.minor < 0
        or order.to_payer.minor < 0
        or order.to_payee + order.to_payer != held
    ):
        return Refusal(
            "split_mismatch",
            "/to_payee/amount",
            f"{order.to_payee} and {order.to_payer} are not {held}, which is held",
            "give two amounts that sum to what is held; either may be zero",
        )
    asked = ask(
        agreement,
        State.ARBITRATING,
        "arbitrated",
        to_payee=order.to_payee,
        to_payer=order.to_payer,
    )
    return (asked,)


def _wrong_currency(agreement: Agreement, field: str) -> Refusal:
    return Refusal(
        "currency_mismatch",
        field,
        f"the agreement is in {agreement.amount.currency.code}",
        f"give the amount in {agreement.amount.currency.code}",
    )


def _state_forbids(agreement: Agreement) -> Refusal:
    if agreement.state in MOVING:
        return Refusal(
            "movement_under_way",
            "/agreement_id",
            f"the agreement is {agreement.state}: the ledger has not answered yet",
            "wait for its next change, then order again under a new id",
        )
    return Refusal(
        "state_forbids",
        "/agreement_id",
        f"the agreement is {agreement.state}",
        "see what it allows in this state",
    )


def not_allowed(by: str, allowed: str, does: str) -> Refusal:
    """The refusal of a principal that has not the right."""
    return Refusal(
        "not_allowed",
        "/who/principal",
        f"{by} is not allowed: {allowed} {does}",
        f"let {allowed} do it",
    )
