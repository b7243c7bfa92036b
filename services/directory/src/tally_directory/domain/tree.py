"""Parties and their tree: entering, moving, and finding that two are one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tally_directory.domain.access import Act, need_operator, need_own, reaches
from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import Kind, Membership, Party, PartyState, Reference
from tally_directory.domain.world import World

DEPTH_MAX = 500
"""Ancestors a party may have when it is entered or moved; the tree itself has no bound."""

PARENTS: Mapping[Kind, frozenset[Kind]] = {
    Kind.AGGREGATOR: frozenset({Kind.AGGREGATOR}),
    Kind.COMPANY: frozenset({Kind.AGGREGATOR, Kind.COMPANY}),
    Kind.PARTNER: frozenset({Kind.AGGREGATOR, Kind.COMPANY, Kind.PARTNER}),
    Kind.PAYEE: frozenset({Kind.AGGREGATOR, Kind.COMPANY, Kind.PARTNER}),
    Kind.GROUP: frozenset({Kind.AGGREGATOR, Kind.COMPANY, Kind.PARTNER}),
}
"""Below what each kind may hang."""

_KINDS: Mapping[str, Kind] = {kind.value: kind for kind in Kind}
PAYEES = frozenset({Kind.PAYEE})
GROUPS = frozenset({Kind.GROUP})


@dataclass(frozen=True, slots=True)
class Entry:
    """A party as it is asked to be entered."""

    party_id: str
    kind: str
    parent: str | None
    external_id: str | None
    country: str | None


def alias_of(kind: Kind, party_id: str) -> str:
    """By what name others see a party until it consents to more."""
    return f"{kind}-{hashlib.blake2b(party_id.encode(), digest_size=4).hexdigest()}"


def register(world: World, act: Act, entry: Entry) -> Party:
    """Enter a party, or take over one made for money that came before."""
    kind = _KINDS.get(entry.kind)
    if kind is None:
        known = ", ".join(Kind)
        refuse("unknown_kind", "/kind", f"{entry.kind} is no kind of party", f"use one of {known}")
    if entry.parent is None:
        _check_root(act, entry, kind)
    else:
        parent = world.party(entry.parent, "/parent")
        need_own(world, act, parent, "/parent")
        _check_below(world, act.tenant, kind, parent)
    before = world.parties.get(entry.party_id)
    if before is not None:
        _check_takeover(world, act, before)
    if entry.external_id is not None:
        holder = world.with_external_id(act.tenant, entry.external_id)
        if holder not in {None, entry.party_id}:
            refuse(
                "external_id_taken",
                "/external_id",
                f"{holder} has this external id",
                "use that party, or another external id",
            )
    party = Party(
        party_id=entry.party_id,
        tenant=act.tenant,
        kind=kind,
        parent=entry.parent,
        external_id=entry.external_id,
        country=entry.country,
        alias=alias_of(kind, entry.party_id),
        state=PartyState.REGISTERED,
    )
    world.put_party(party)
    if before is not None and before.tenant != party.tenant:
        world.retenanted[party.party_id] = party.tenant
    return party


def _check_root(act: Act, entry: Entry, kind: Kind) -> None:
    need_operator(act, "plant a tree")
    if kind is not Kind.AGGREGATOR:
        refuse(
            "parent_missing", "/parent", f"a {kind} hangs below another party", "name its parent"
        )
    if act.tenant != entry.party_id:
        refuse(
            "other_tenant", "/tenant", "a root is its own tenant", "give the party's id as tenant"
        )


def _check_below(world: World, tenant: str, kind: Kind, parent: Party) -> None:
    if parent.tenant != tenant:
        refuse(
            "other_tenant",
            "/parent",
            f"{parent.party_id} belongs to another tenant",
            "name a parent of the same tenant",
        )
    if parent.kind not in PARENTS[kind]:
        allowed = ", ".join(sorted(PARENTS[kind]))
        refuse(
            "parent_not_allowed",
            "/parent",
            f"a {kind} cannot hang below a {parent.kind}",
            f"choose a parent that is one of {allowed}",
        )
    if len(world.path(parent)) + 1 >= DEPTH_MAX:
        refuse(
            "tree_too_deep",
            "/parent",
            f"a party has at most {DEPTH_MAX} ancestors",
            "choose a parent nearer to the root",
        )


def _check_takeover(world: World, act: Act, before: Party) -> None:
    """Only what money alone made under this very id is taken over, by the side that paid it first.

    A payee made for a contact is left to whoever shows the contact: to register it would be to
    take what others paid it as well.
    """
    reference = world.references.get(before.party_id)
    free = before.state is PartyState.UNCLAIMED and reference is not None
    paid_by = None if before.made_for is None else world.find_party(before.made_for)
    sides = [party for party in (before, paid_by) if party is not None]
    if not free or not any(reaches(world, act, side) for side in sides):
        refuse(
            "id_taken",
            "/party_id",
            f"{before.party_id} is in use",
            "make a new id, or use the party as it is",
        )


def move(world: World, act: Act, party_id: str, parent_id: str) -> Party:
    """Hang a party under another parent; all below it comes along."""
    party, parent = world.party(party_id, "/party_id"), world.party(parent_id, "/parent")
    need_own(world, act, party, "/party_id")
    need_own(world, act, parent, "/parent")
    if party.parent is None:
        refuse(
            "root_fixed",
            "/party_id",
            "a root and its tenant are one, so it stays",
            "move the parties below it",
        )
    if party.party_id == parent.party_id or party.party_id in world.path(parent):
        refuse(
            "cycle",
            "/parent",
            f"{party.party_id} would be above itself",
            "choose a parent that is not below the party",
        )
    _check_below(world, party.tenant, party.kind, parent)
    moved = replace(party, parent=parent.party_id)
    world.put_party(moved)
    return moved


def check_mergeable(world: World, kept_id: str, merged_id: str) -> tuple[Party, Party]:
    """The two parties, if they are payees and not one already."""
    kept, merged = world.party(kept_id, "/kept"), world.party(merged_id, "/merged")
    world.need_kind(kept, PAYEES, "/kept")
    world.need_kind(merged, PAYEES, "/merged")
    if kept.party_id == merged.party_id:
        refuse("same_party", "/merged", "the two are one already", "there is nothing to merge")
    return kept, merged


def merge(world: World, kept: Party, merged: Party) -> None:
    """From now on `merged` is `kept`: whatever names the one is read as the other."""
    world.put_party(replace(merged, state=PartyState.MERGED, merged_into=kept.party_id))


def arrive(world: World, *, party_id: str, reference: str, company: Party | None) -> Party:
    """Make a payee for money whose payee nobody has registered (F9).

    It hangs below the root of the company's tree, since who paid first has no part in what comes
    later; without a company that is registered, it is a tree of its own.
    """
    assert world.parties.get(party_id) is None, f"{party_id} is known"
    party = Party(
        party_id=party_id,
        tenant=party_id if company is None else company.tenant,
        kind=Kind.PAYEE,
        parent=None if company is None else company.tenant,
        external_id=None,
        country=None,
        alias=alias_of(Kind.PAYEE, party_id),
        state=PartyState.UNCLAIMED,
        made_for=None if company is None else company.party_id,
    )
    world.put_party(party)
    world.references.put(reference, Reference(party.tenant, party_id))
    return party


def set_member(world: World, act: Act, group_id: str, party_id: str, *, member: bool) -> Membership:
    """Take a party into a group or out of it; each change is a version of the group (F19)."""
    group, party = world.party(group_id, "/group"), world.party(party_id, "/party")
    world.need_kind(group, GROUPS, "/group")
    need_own(world, act, group, "/group")
    if party.tenant != group.tenant:
        refuse(
            "other_tenant",
            "/party",
            "a group holds parties of its own tenant",
            "name a party of the group's tenant",
        )
    if party.kind is Kind.GROUP:
        refuse("kind_not_allowed", "/party", "a group holds no groups", "name its members instead")
    key = group.party_id, party.party_id
    before = world.memberships.get(key)
    if before is not None and before.member == member:
        return before
    following = group.group_version + 1
    world.put_party(replace(group, group_version=following))
    membership = Membership(group.tenant, member, following)
    world.memberships.put(key, membership)
    return membership
