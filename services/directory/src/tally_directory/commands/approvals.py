"""What takes two people, and what follows from their word; roles, since an owner's is such an act."""

from tally_contracts import directory as asked
from tally_contracts import directory_facts as facts
from tally_directory.desk import PARTIES, Desk
from tally_directory.domain import approvals, bonds, tree
from tally_directory.domain.access import is_self
from tally_directory.domain.rows import Approval, ApprovalState, Party, Role


def assign_role(desk: Desk, command: asked.AssignRole) -> None:
    party, role = bonds.assign_role(
        desk.world, desk.act, command.party_id, command.person, command.role
    )
    fact = facts.RoleAssigned(
        **desk.said(party.tenant), party_id=party.party_id, person=command.person, role=role.value
    )
    desk.tell(PARTIES, party.party_id, fact)


def remove_role(desk: Desk, command: asked.RemoveRole) -> None:
    party, role, takes_two = bonds.remove_role(
        desk.world, desk.act, command.party_id, command.person, command.role
    )
    if takes_two:
        removal = approvals.removal_of(desk.act, command.approval_id, party, command.person)
        tell_proposed(desk, approvals.propose(desk.world, removal))
    else:
        _tell_removed(desk, party, command.person, role)


def merge(desk: Desk, command: asked.MergeParties) -> None:
    tell_proposed(
        desk,
        approvals.propose_merge(
            desk.world, desk.act, command.approval_id, command.kept, command.merged
        ),
    )


def propose(desk: Desk, command: asked.ProposeAct) -> None:
    wanted = Approval(
        approval_id=command.approval_id,
        tenant=desk.act.tenant,
        party_id=command.party_id,
        act=command.act,
        subject=command.subject,
        content_digest=command.content_digest,
        proposed_by=desk.act.actor,
    )
    tell_proposed(desk, approvals.propose_act(desk.world, desk.act, wanted))


def tell_proposed(desk: Desk, approval: Approval) -> None:
    """Say that an act waits for a second person."""
    fact = facts.ApprovalProposed(
        **desk.said(approval.tenant),
        approval_id=approval.approval_id,
        party_id=approval.party_id,
        act=approval.act,
        subject=approval.subject,
        content_digest=approval.content_digest,
    )
    desk.tell(PARTIES, approval.party_id, fact)


def decide(desk: Desk, command: asked.DecideApproval) -> None:
    approval = approvals.decide(desk.world, desk.act, command.approval_id, approve=command.approve)
    approved = approval.state is ApprovalState.APPROVED
    fact = facts.ApprovalDecided(
        **desk.said(approval.tenant),
        approval_id=approval.approval_id,
        party_id=approval.party_id,
        act=approval.act,
        subject=approval.subject,
        content_digest=approval.content_digest,
        approved=approved,
        proposed_by=approval.proposed_by,
    )
    desk.tell(PARTIES, approval.party_id, fact)
    if not approved:
        return
    party = desk.world.party(approval.party_id, "/approval_id")
    if approval.act == approvals.MERGE_PARTIES:
        merge_now(desk, party, desk.world.party(approval.subject, "/approval_id"), by="approval")
    elif approval.act == approvals.REMOVE_OWNER:
        bonds.drop_role(desk.world, party, approval.subject, Role.OWNER)
        _tell_removed(desk, party, approval.subject, Role.OWNER)


def merge_now(desk: Desk, kept: Party, merged: Party, *, by: str) -> None:
    """Make two parties one, all being checked, and say so, and of each consent that is carried over."""
    world = desk.world
    # Whoever is above the kept one may approve: that alone must open nothing of it to anybody.
    one_person = is_self(world, desk.act, kept) or bonds.have_shown_the_same(world, kept, merged)
    companies = bonds.carry_consents(world, kept, merged) if one_person else ()
    tree.merge(desk.world, kept, merged)
    fact = facts.PartiesMerged(
        **desk.said(kept.tenant),
        party_id=kept.party_id,
        merged=merged.party_id,
        merged_tenant=merged.tenant,
        by=by,
    )
    desk.tell(PARTIES, kept.party_id, fact)
    for company in companies:
        given = facts.ConsentGiven(
            **desk.said(kept.tenant), party_id=kept.party_id, company=company
        )
        desk.tell(PARTIES, kept.party_id, given)


def _tell_removed(desk: Desk, party: Party, person: str, role: Role) -> None:
    fact = facts.RoleRemoved(
        **desk.said(party.tenant), party_id=party.party_id, person=person, role=role.value
    )
    desk.tell(PARTIES, party.party_id, fact)
