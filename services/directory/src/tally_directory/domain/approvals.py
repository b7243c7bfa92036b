"""Acts that take two people: one proposes, another approves or declines."""

from dataclasses import replace

from tally_directory.domain.access import Act, Power, need_own, need_self
from tally_directory.domain.bonds import check_owner_remains
from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import Approval, ApprovalState, Party
from tally_directory.domain.tree import check_mergeable
from tally_directory.domain.world import World

MERGE_PARTIES = "merge_parties"
REMOVE_OWNER = "remove_owner"
OWN_ACTS = frozenset({MERGE_PARTIES, REMOVE_OWNER})
"""Acts the directory carries out itself; all others belong to the service that reads the decision."""


def propose_merge(
    world: World, act: Act, approval_id: str, kept_id: str, merged_id: str
) -> Approval:
    """Propose that two payees are one: the one that gives itself up proposes, or the installation.

    What it has is the kept one's to spend then: from above, whoever owns another payee would take it (F7).
    """
    kept, merged = check_mergeable(world, kept_id, merged_id)
    if not act.by_operator:
        need_self(world, act, merged, "/merged")
    return propose(world, merge_of(act, approval_id, kept, merged))


def merge_of(act: Act, approval_id: str, kept: Party, merged: Party) -> Approval:
    """The approval that `merged` go on as `kept`, for whose side to decide."""
    return Approval(
        approval_id=approval_id,
        tenant=kept.tenant,
        party_id=kept.party_id,
        act=MERGE_PARTIES,
        subject=merged.party_id,
        content_digest=None,
        proposed_by=act.actor,
    )


def removal_of(act: Act, approval_id: str, party: Party, owner: str) -> Approval:
    """The approval that an owner of the party be one no more."""
    return Approval(
        approval_id=approval_id,
        tenant=party.tenant,
        party_id=party.party_id,
        act=REMOVE_OWNER,
        subject=owner,
        content_digest=None,
        proposed_by=act.actor,
    )


def propose_act(world: World, act: Act, asked: Approval) -> Approval:
    """Propose an act of another service; tenant and proposer are filled in here."""
    party = world.party(asked.party_id, "/party_id")
    need_own(world, act, party, "/party_id")
    if asked.act in OWN_ACTS:
        refuse("act_reserved", "/act", f"{asked.act} has a command of its own", "use that command")
    named = replace(asked, tenant=party.tenant, party_id=party.party_id, proposed_by=act.actor)
    return propose(world, named)


def propose(world: World, approval: Approval) -> Approval:
    """Enter an approval, all else being checked."""
    if world.approvals.get(approval.approval_id) is not None:
        refuse("id_taken", "/approval_id", "this approval exists", "make a new id")
    world.approvals.put(approval.approval_id, approval)
    return approval


def decide(world: World, act: Act, approval_id: str, *, approve: bool) -> Approval:
    """Take the second person's word; what follows from a yes is the caller's to carry out."""
    approval = world.approvals.get(approval_id)
    if approval is None:
        refuse("unknown_approval", "/approval_id", "there is no such approval", "propose it first")
    need_own(
        world, act, world.party(approval.party_id, "/approval_id"), "/approval_id", Power.APPROVE
    )
    if approval.state is not ApprovalState.OPEN:
        refuse(
            "approval_closed",
            "/approval_id",
            f"it was {approval.state} by {approval.decided_by}",
            "propose it anew if it is still wanted",
        )
    if act.actor == approval.proposed_by:
        refuse(
            "same_person",
            "/who/actor",
            "who proposes an act does not approve it",
            "ask a second person",
        )
    if approve and approval.act == MERGE_PARTIES:
        check_mergeable(world, approval.party_id, approval.subject)
    if approve and approval.act == REMOVE_OWNER:
        check_owner_remains(world, approval.party_id, approval.subject)
    state = ApprovalState.APPROVED if approve else ApprovalState.DECLINED
    decided = replace(approval, state=state, decided_by=act.actor)
    world.approvals.put(approval_id, decided)
    return decided
