"""A reclaim: money that a filing gave away comes back to its owner, by two people."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from tally_funding.answers.refusal import Refusal
from tally_funding.claims.domain.filing import Line, same_person


class ReclaimState(StrEnum):
    """Where a reclaim stands. MOVING: the ledger was asked and has not answered."""

    PROPOSED = "proposed"
    MOVING = "moving"
    MOVED = "moved"
    REFUSED = "refused"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Reclaim:
    """One line of a filing on its way back; `code` says why the ledger refused it."""

    reclaim_id: str
    filing_id: str
    holder: str
    jurisdiction: str
    line: Line
    claimant: str
    reference: str
    state: ReclaimState
    proposed_by: str
    note: str | None = None
    code: str | None = None


def refuse_proposal(
    line: Line | None, *, account: str, claimant: str, owners: Collection[str]
) -> Refusal | None:
    """Why a line may not be reclaimed for this claimant, if so.

    `owners` are the parties whose the money is: who claimed it since, or whose it always was.
    """
    if line is None:
        return Refusal(
            "line_unknown",
            "/account",
            f"no money of {account} is with the jurisdiction by this filing and not reclaimed yet",
            "name an account of the report whose money has not come back",
        )
    if claimant not in owners:
        return Refusal(
            "not_the_claimant",
            "/claimant",
            f"{claimant} has not shown that this money is its own",
            "have the owner claim the wallet first",
        )
    return None


def refuse_decision(
    reclaim: Reclaim | None, *, reclaim_id: str, actor: str, principal: str, operator: str
) -> Refusal | None:
    """Why this actor may not decide this reclaim, if so."""
    if reclaim is None or principal not in {reclaim.holder, operator}:
        return Refusal(
            "reclaim_unknown",
            "/reclaim_id",
            f"there is no reclaim {reclaim_id} of {principal}",
            "name a reclaim that the principal proposed",
        )
    if reclaim.state is not ReclaimState.PROPOSED:
        return Refusal(
            "reclaim_decided",
            "/reclaim_id",
            f"the reclaim is {reclaim.state}",
            "propose it again where it was declined or refused",
        )
    return same_person(actor, reclaim.proposed_by)


def decide(reclaim: Reclaim, *, approve: bool, note: str) -> Reclaim:
    """The reclaim once a second person has decided."""
    assert reclaim.state is ReclaimState.PROPOSED, "only a proposal is decided"
    state = ReclaimState.MOVING if approve else ReclaimState.DECLINED
    return replace(reclaim, state=state, note=note)


def answer(reclaim: Reclaim, code: str | None) -> Reclaim | None:
    """The reclaim once the ledger has answered, with `code` where it refused; None if none was due."""
    if reclaim.state is not ReclaimState.MOVING:
        return None
    state = ReclaimState.MOVED if code is None else ReclaimState.REFUSED
    return replace(reclaim, state=state, code=code)
