"""Whether a proposed agreement can be entered."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tally_funding.answers.refusal import Refusal
from tally_funding.escrow.domain.agreement import Agreement, Condition, State, Step
from tally_money import Money

EVENTS: Final = frozenset({"pay_in_allocated", "payout_paid"})
"""Facts a condition can name."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An agreement as proposed by the party `by`, in the tree `tenant`."""

    agreement_id: str
    tenant: str
    by: str
    payer: str
    payee: str
    arbiter: str | None
    amount: Money
    condition: Condition
    deadline: datetime
    on_deadline: str
    program: str

    def named(self) -> Iterator[tuple[str, str]]:
        """Every party named, with where (a JSON pointer into the proposal)."""
        yield "/payer", self.payer
        yield "/payee", self.payee
        if self.arbiter is not None:
            yield "/arbiter", self.arbiter
        for place, approver in enumerate(self.condition.approvers):
            yield f"/condition/approvers/{place}", approver
        if self.condition.presenter is not None:
            yield "/condition/presenter", self.condition.presenter


def decide_proposal(
    proposal: Proposal, *, parties: Collection[str], payer_tenant: str | None, now: datetime
) -> Step | Refusal:
    """Enter an agreement, or say why not. `parties`: those among the named that are registered."""
    for field, party in proposal.named():
        if party not in parties:
            return Refusal(
                "party_unknown",
                field,
                f"{party} is not registered",
                "register the party first, or name one that is",
            )
    faults = (
        _parties_fault(proposal, payer_tenant),
        _terms_fault(proposal, now),
        condition_fault(proposal.condition, proposal.deadline, now),
    )
    for fault in faults:
        if fault is not None:
            return fault
    nothing = proposal.amount - proposal.amount
    entered = Agreement(
        agreement_id=proposal.agreement_id,
        tenant=proposal.tenant,
        payer=proposal.payer,
        payee=proposal.payee,
        arbiter=proposal.arbiter,
        amount=proposal.amount,
        condition=proposal.condition,
        deadline=proposal.deadline,
        on_deadline=proposal.on_deadline,
        program=proposal.program,
        state=State.PROPOSED,
        sequence=1,
        funded=False,
        released=nothing,
        refunded=nothing,
    )
    return Step(None, entered, None)


def _parties_fault(proposal: Proposal, payer_tenant: str | None) -> Refusal | None:
    if payer_tenant != proposal.tenant:
        return Refusal(
            "tenant_mismatch",
            "/tenant",
            f"the payer does not belong to {proposal.tenant}",
            "name the root of the payer's tree",
        )
    if proposal.by not in {proposal.payer, proposal.payee, proposal.tenant}:
        return Refusal(
            "not_allowed",
            "/who/principal",
            f"{proposal.by} is neither payer nor payee, nor above the payer",
            "let one of them propose the agreement",
        )
    if proposal.payer == proposal.payee:
        return Refusal(
            "same_party",
            "/payee",
            "payer and payee are the same party",
            "name two parties",
        )
    if proposal.arbiter in {proposal.payer, proposal.payee}:
        return Refusal(
            "arbiter_not_apart",
            "/arbiter",
            "the arbiter is the payer or the payee",
            "name a third party, or none",
        )
    return None


def _terms_fault(proposal: Proposal, now: datetime) -> Refusal | None:
    if proposal.amount.minor <= 0:
        return Refusal(
            "amount_not_positive",
            "/amount/amount",
            f"{proposal.amount} is not above zero",
            "name an amount above zero",
        )
    if proposal.deadline <= now:
        return Refusal(
            "deadline_passed",
            "/deadline",
            f"{proposal.deadline.isoformat()} is not ahead",
            "name a deadline that is still to come",
        )
    if proposal.on_deadline not in {"refund", "release"}:
        return Refusal(
            "condition_invalid",
            "/on_deadline",
            f"{proposal.on_deadline} says not where the money goes",
            "say refund or release",
        )
    return None


def condition_fault(condition: Condition, deadline: datetime, now: datetime) -> Refusal | None:
    """What is wrong with a condition, or None: its kind says which fields it must have."""
    match condition.kind:
        case "approval":
            return _approval_fault(condition)
        case "date":
            if condition.at is None or not now < condition.at < deadline:
                return _invalid("at", "a time ahead and before the deadline")
        case "document":
            if condition.document is None:
                return _invalid("document", "the SHA-256 digest of the document")
            if condition.presenter is None:
                return _invalid("presenter", "the party that presents the document")
        case "event":
            if condition.event not in EVENTS:
                return _invalid("event", " or ".join(sorted(EVENTS)))
            if condition.event_reference is None:
                return _invalid("event_reference", "the event's reference, or the id it is about")
        case _:
            return _invalid("kind", "approval, date, document or event")
    return None


def _approval_fault(condition: Condition) -> Refusal | None:
    approvers = condition.approvers
    if not approvers or len(set(approvers)) != len(approvers):
        return _invalid("approvers", "one party or more, each once")
    if condition.needed is None or not 1 <= condition.needed <= len(approvers):
        return _invalid("needed", f"how many approve, 1 to {len(approvers)}")
    return None


def _invalid(name: str, wanted: str) -> Refusal:
    return Refusal(
        "condition_invalid",
        f"/condition/{name}",
        "the condition does not say what its kind needs",
        f"give {wanted}",
    )
