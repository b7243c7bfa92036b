"""Claims of a budget: its holder claims, the company approves."""

from dataclasses import dataclass, replace
from enum import StrEnum

from tally_money import Money
from tally_programs.domain.refusal import Refusal


class ClaimState(StrEnum):
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim and what of it was granted; its amount is set aside until it is decided."""

    id: str
    tenant: str
    program_id: str
    budget_id: str
    reservation_id: str
    holder: str
    amount: Money
    kind: str
    evidence: str
    submitted_by: str
    state: ClaimState = ClaimState.SUBMITTED
    granted: Money | None = None
    reason: str | None = None
    sequence: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody decides; without an amount, all of the claim."""

    approve: bool
    amount: Money | None
    reason: str
    actor: str


def decide_claim(claim: Claim, verdict: Verdict) -> Claim | Refusal:
    """Approve a claim in whole or in part, or reject it; once, and not by who submitted it."""
    if claim.state is not ClaimState.SUBMITTED:
        return Refusal(
            "claim_decided", "/claim_id", f"the claim is {claim.state}", "submit another claim"
        )
    if verdict.actor == claim.submitted_by:
        return Refusal(
            "same_person",
            "/who/actor",
            "who submitted a claim does not decide it",
            "have somebody else decide it",
        )
    granted = (verdict.amount or claim.amount) if verdict.approve else None
    if granted is not None and granted.currency != claim.amount.currency:
        code = claim.amount.currency.code
        detail = f"the claim is in {code}"
        return Refusal("currency_mismatch", "/amount/currency", detail, f"grant it in {code}")
    if granted is not None and granted > claim.amount:
        return Refusal(
            "claim_exceeded",
            "/amount",
            f"{claim.amount} was claimed",
            "grant at most that",
        )
    return replace(
        claim,
        state=ClaimState.APPROVED if verdict.approve else ClaimState.REJECTED,
        granted=granted,
        reason=verdict.reason,
        sequence=claim.sequence + 1,
    )
