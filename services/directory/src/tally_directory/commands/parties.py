"""Parties, their tree, their groups, and what ties them together."""

from tally_contracts import directory as asked
from tally_contracts import directory_facts as facts
from tally_directory.desk import PARTIES, Desk
from tally_directory.domain import bonds, tree
from tally_directory.domain.rows import Connection, Party


def register(desk: Desk, command: asked.RegisterParty) -> None:
    entry = tree.Entry(
        command.party_id, command.kind, command.parent, command.external_id, command.country
    )
    tell_registered(desk, tree.register(desk.world, desk.act, entry))


def tell_registered(desk: Desk, party: Party) -> None:
    """Say that the party is known, and where in the tree."""
    fact = facts.PartyRegistered(
        **desk.said(party.tenant),
        party_id=party.party_id,
        kind=party.kind.value,
        parent=party.parent,
        path=desk.world.path(party),
        external_id=party.external_id,
        country=party.country,
        alias=party.alias,
        state=party.state.value,
    )
    desk.tell(PARTIES, party.party_id, fact)


def set_external_id(desk: Desk, command: asked.SetExternalId) -> None:
    party, names = bonds.name_party(
        desk.world, desk.act, command.party_id, command.known_to, command.external_id
    )
    fact = facts.ExternalIdsChanged(
        **desk.said(party.tenant),
        party_id=party.party_id,
        alias=party.alias,
        country=party.country,
        external_ids=tuple(
            asked.ExternalId(known_to=by, external_id=names[by]) for by in sorted(names)
        ),
    )
    desk.tell(PARTIES, party.party_id, fact)


def move(desk: Desk, command: asked.MoveParty) -> None:
    before = desk.world.party(command.party_id, "/party_id")
    previous_path = desk.world.path(before)
    party = tree.move(desk.world, desk.act, command.party_id, command.parent)
    fact = facts.PartyMoved(
        **desk.said(party.tenant),
        party_id=party.party_id,
        parent=command.parent,
        path=desk.world.path(party),
        previous_path=previous_path,
    )
    desk.tell(PARTIES, party.party_id, fact)


def set_member(desk: Desk, command: asked.SetGroupMember) -> None:
    membership = tree.set_member(
        desk.world, desk.act, command.group, command.party, member=command.member
    )
    fact = facts.GroupMembershipChanged(
        **desk.said(membership.tenant),
        group=command.group,
        party=command.party,
        member=membership.member,
        version=membership.version,
    )
    desk.tell(PARTIES, command.group, fact)


def define_relation(desk: Desk, command: asked.DefineRelationType) -> None:
    label = bonds.define_relation(desk.world, desk.act, command.relation, command.label)
    fact = facts.RelationTypeDefined(
        **desk.said(command.tenant), relation=command.relation, label=label
    )
    desk.tell(PARTIES, command.tenant, fact)


def relate(desk: Desk, command: asked.SetRelation) -> None:
    relation = bonds.relate(
        desk.world,
        desk.act,
        (command.party, command.other),
        command.relation,
        company=command.company,
        ended=command.ended,
    )
    fact = facts.RelationSet(
        **desk.said(relation.tenant),
        party=command.party,
        other=command.other,
        relation=command.relation,
        company=relation.company,
        ended=relation.ended,
    )
    desk.tell(PARTIES, command.party, fact)


def invite(desk: Desk, command: asked.InviteConnection) -> None:
    pair = command.from_party, command.to_party
    _tell_connection(
        desk, bonds.invite(desk.world, desk.act, command.connection_id, pair, command.access)
    )


def accept(desk: Desk, command: asked.AcceptConnection) -> None:
    _tell_connection(desk, bonds.accept(desk.world, desk.act, command.connection_id))


def revoke(desk: Desk, command: asked.RevokeConnection) -> None:
    _tell_connection(desk, bonds.revoke(desk.world, desk.act, command.connection_id))


def _tell_connection(desk: Desk, connection: Connection) -> None:
    fact = facts.ConnectionChanged(
        **desk.said(connection.tenant),
        connection_id=connection.connection_id,
        from_party=connection.from_party,
        to_party=connection.to_party,
        access=bonds.level_name(connection.access),
        state=connection.state.value,
    )
    desk.tell(PARTIES, connection.to_party, fact)


def give_consent(desk: Desk, command: asked.GiveConsent) -> None:
    party, company = bonds.consent(
        desk.world, desk.act, command.party_id, command.company, given=True
    )
    fact = facts.ConsentGiven(
        **desk.said(party.tenant), party_id=party.party_id, company=company.party_id
    )
    desk.tell(PARTIES, party.party_id, fact)


def withdraw_consent(desk: Desk, command: asked.WithdrawConsent) -> None:
    party, company = bonds.consent(
        desk.world, desk.act, command.party_id, command.company, given=False
    )
    fact = facts.ConsentWithdrawn(
        **desk.said(party.tenant), party_id=party.party_id, company=company.party_id
    )
    desk.tell(PARTIES, party.party_id, fact)
