"""What companies and claimants order about money of an unknown payee, and what time does."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tally_contracts.owners import OF_CONTACT
from tally_funding.answers.refusal import Refusal
from tally_funding.claims.domain.estate import (
    Change,
    Claim,
    ClaimState,
    Estate,
    Movement,
    Reason,
    is_claimable,
    is_restricted,
    start,
    step_claim,
)

ALARMING: Final = frozenset({"claim_used", "code_wrong", "wrong_person"})
"""Refusals of a redemption that a person should look at."""


@dataclass(frozen=True, slots=True)
class Issue:
    """A company, or a party above it, asks for a claim code."""

    by: str
    program: str
    claim_id: str
    contact: str | None
    expires_at: datetime
    expires_to: str | None
    expires_to_known: bool


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: `contacts` are verified; a party that is not registered has none."""

    party: str
    registered: bool
    contacts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Redesignation:
    """A company, or a party above it, names another owner; `known` if there is such a party."""

    by: str
    program: str
    to_owner: str
    known: bool
    movement_id: str


def decide_issue(estate: Estate, issue: Issue, now: datetime) -> Change | Refusal:
    """A claim code for the estate; an earlier one that is open ends."""
    refusal = _not_free(estate, issue.by, issue.program)
    if refusal is not None:
        return refusal
    bound_to = (
        estate.owner.removeprefix(OF_CONTACT)
        if estate.owner.startswith(OF_CONTACT)
        else issue.contact
    )
    if issue.contact not in {None, bound_to}:
        return Refusal(
            "wrong_person",
            "/contact",
            "the money is for another contact",
            "leave the contact out: the code is bound to the one the money is for",
        )
    if issue.expires_at <= now:
        return Refusal(
            "expiry_passed",
            "/expires_at",
            f"{issue.expires_at.isoformat()} is not ahead",
            "name a time that is still to come",
        )
    if issue.expires_to is not None and not issue.expires_to_known:
        return party_unknown("/expires_to", issue.expires_to)
    claim = Claim(issue.claim_id, bound_to, issue.expires_at, issue.expires_to, ClaimState.ISSUED)
    before = estate.claim
    effects = () if before is None else (step_claim(before, ClaimState.REPLACED),)
    return Change(replace(estate, claim=claim), effects)


def decide_redeem(
    estate: Estate,
    claim: Claim,
    claimant: Claimant,
    *,
    code_right: bool,
    movement_id: str,
    now: datetime,
) -> Change | Refusal:
    """Bind the estate to the claimant, once (F28)."""
    refusal = (
        _claim_over(claim, now)
        or _code_wrong(code_right=code_right)
        or _wrong_person(claim, claimant)
        or _under_way(estate)
    )
    if refusal is not None:
        return refusal
    movement = Movement(movement_id, claimant.party, Reason.CLAIMED, estate.amounts, claim.claim_id)
    redeeming = step_claim(claim, ClaimState.REDEEMING, claimant=claimant.party)
    return start(estate, movement, redeeming)


def decide_redesignation(estate: Estate, asked: Redesignation) -> Change | Refusal:
    """Name another owner for money nobody has claimed, now and for what still comes."""
    refusal = _not_free(estate, asked.by, asked.program)
    if refusal is not None:
        return refusal
    if estate.shown:
        return Refusal(
            "owner_claimed",
            "/owner",
            "a party has shown that this contact is its own, and so is the money",
            "settle it with the payee",
        )
    if asked.to_owner == estate.owner:
        return Refusal(
            "same_owner",
            "/to_owner",
            "the money is this owner's",
            "name another owner",
        )
    if not asked.known and not is_claimable(asked.to_owner):
        return party_unknown("/to_owner", asked.to_owner)
    claim_id = None if estate.claim is None else estate.claim.claim_id
    movement = Movement(
        asked.movement_id, asked.to_owner, Reason.REDESIGNATED, estate.amounts, claim_id
    )
    return start(estate, movement, None)


def decide_expiry(estate: Estate, movement_id: str, now: datetime) -> Change | None:
    """The time of a claim is over: the money goes to the stated party, or the code alone ends.

    Money for a contact that somebody has shown to be his own stays. None while something else is
    under way.
    """
    claim = estate.claim
    if claim is None or claim.state is not ClaimState.ISSUED or now < claim.expires_at:
        return None
    if estate.movement is not None:
        return None
    if claim.expires_to is None or estate.shown:
        ended = step_claim(claim, ClaimState.EXPIRED)
        return Change(replace(estate, claim=None), (ended,))
    movement = Movement(
        movement_id, claim.expires_to, Reason.EXPIRED, estate.amounts, claim.claim_id
    )
    return start(estate, movement, step_claim(claim, ClaimState.EXPIRING))


def _not_free(estate: Estate, by: str, program: str) -> Refusal | None:
    """Why nobody may name an owner now: it is not theirs, not there, or somebody has it."""
    if not is_claimable(estate.owner) or is_restricted(estate.owner):
        return Refusal(
            "owner_not_claimable",
            "/owner",
            "this owner is known: its money is its own",
            "name an owner event:<reference> or contact:<token>",
        )
    if not estate.companies or not all(by in above for above in estate.companies.values()):
        # The same answer whether there is nothing or it is another's: neither is told.
        return Refusal(
            "owner_unknown",
            "/owner",
            f"{by} has no money for {estate.owner}",
            "see that the money came in, and that the company is the one responsible for it",
        )
    if program not in estate.programs:
        return Refusal(
            "why_mismatch",
            "/why/program",
            f"no money for {estate.owner} is of the program {program}",
            "give the program the money came under",
        )
    if estate.to_owner is not None:
        return Refusal(
            "owner_claimed",
            "/owner",
            f"{estate.owner} has an owner since",
            "what still comes follows by itself; settle the rest with the owner",
        )
    return _under_way(estate)


def _under_way(estate: Estate) -> Refusal | None:
    if estate.movement is None:
        return None
    return Refusal(
        "movement_under_way",
        "/owner",
        "the ledger was asked to move this money and has not answered yet",
        "wait for its next change, then order again under a new id",
    )


def _claim_over(claim: Claim, now: datetime) -> Refusal | None:
    if claim.state in {ClaimState.REDEEMING, ClaimState.REDEEMED}:
        return Refusal(
            "claim_used",
            "/claim_id",
            "this claim was used; it counts once",
            "if it was not you, tell the company that issued it",
        )
    if claim.state in {ClaimState.REPLACED, ClaimState.WITHDRAWN}:
        return Refusal(
            "claim_ended",
            "/claim_id",
            f"this claim was {claim.state}",
            "use the newest code, or ask the company that issued it",
        )
    if claim.state is not ClaimState.ISSUED or now >= claim.expires_at:
        return Refusal(
            "claim_expired",
            "/claim_id",
            f"this claim ended at {claim.expires_at.isoformat()}",
            "ask the company that issued it",
        )
    return None


def _code_wrong(*, code_right: bool) -> Refusal | None:
    if code_right:
        return None
    return Refusal(
        "code_wrong",
        "/code_hash",
        "the code is not the one of this claim",
        "give the code as it was delivered",
    )


def _wrong_person(claim: Claim, claimant: Claimant) -> Refusal | None:
    if not claimant.registered:
        return party_unknown("/who/principal", claimant.party)
    if not claimant.contacts:
        return Refusal(
            "wrong_person",
            "/who/principal",
            "the claimant has no verified contact",
            "verify a contact, then claim again under a new id",
        )
    if claim.contact is not None and claim.contact not in claimant.contacts:
        return Refusal(
            "wrong_person",
            "/who/principal",
            "the claim is bound to a contact that the claimant has not verified",
            "verify the contact the code was sent to, then claim again under a new id",
        )
    return None


def party_unknown(field: str, party: str) -> Refusal:
    """Nobody of this name is registered."""
    return Refusal(
        "party_unknown",
        field,
        f"{party} is not registered",
        "register the party first, or name one that is",
    )
