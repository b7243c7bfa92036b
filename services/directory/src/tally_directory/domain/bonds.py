"""What ties parties together: relations, connections, roles of persons, consents."""

from collections.abc import Mapping
from dataclasses import replace

from tally_directory.domain.access import PERSON, Act, Power, need_access, need_own, need_self
from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import (
    Access,
    Connection,
    ConnectionState,
    Consent,
    Holding,
    Kind,
    Naming,
    Party,
    Relation,
    Role,
)
from tally_directory.domain.world import World

EVERY_TENANT = "*"
"""Tenant of the relation types that all tenants know."""
PAYERS = frozenset({Kind.AGGREGATOR, Kind.COMPANY, Kind.PARTNER})
_LEVELS: Mapping[str, Access] = {"pay": Access.PAY, "view": Access.VIEW, "manage": Access.MANAGE}
_ROLES: Mapping[str, Role] = {role.value: role for role in Role}


def define_relation(world: World, act: Act, relation: str, label: str) -> str:
    """Let a tenant relate parties in a way of its own; the label under which it is known."""
    if not act.by_operator:
        root = world.party(act.tenant, "/tenant")
        need_own(world, act, root, "/tenant")
    shared = world.relation_types.get((EVERY_TENANT, relation))
    if shared is not None:
        return shared
    world.relation_types.put((act.tenant, relation), label)
    return label


def relate(
    world: World,
    act: Act,
    pair: tuple[str, str],
    relation: str,
    *,
    company: str | None,
    ended: bool,
) -> Relation:
    """Say what one party is to another, and which company is responsible (F21)."""
    party, other = world.party(pair[0], "/party"), world.party(pair[1], "/other")
    need_own(world, act, other, "/other")
    if party.party_id == other.party_id:
        refuse("same_party", "/other", "a party is nothing to itself", "name two parties")
    types = world.relation_types
    if types.get((other.tenant, relation)) is None and types.get((EVERY_TENANT, relation)) is None:
        refuse(
            "unknown_relation",
            "/relation",
            f"this tenant knows no relation {relation}",
            "define it first, or use a known one",
        )
    responsible = other if company is None else world.party(company, "/company")
    if company is not None:
        need_own(world, act, responsible, "/company")
    row = Relation(other.tenant, responsible.party_id, ended)
    world.relations.put((party.party_id, other.party_id, relation), row)
    return row


def invite(
    world: World, act: Act, connection_id: str, pair: tuple[str, str], access: str
) -> Connection:
    """Ask a party for access to its account (F18)."""
    asking, asked = world.party(pair[0], "/from_party"), world.party(pair[1], "/to_party")
    need_own(world, act, asking, "/from_party")
    level = _LEVELS.get(access)
    if level is None:
        refuse(
            "unknown_access", "/access", f"{access} is no level", f"use one of {', '.join(_LEVELS)}"
        )
    if asking.party_id == asked.party_id:
        refuse("same_party", "/to_party", "a party needs no connection to itself", "name another")
    if world.connections.get(connection_id) is not None:
        refuse("id_taken", "/connection_id", "this connection exists", "make a new id")
    connection = Connection(
        connection_id=connection_id,
        tenant=asked.tenant,
        other_tenant=asking.tenant,
        from_party=asking.party_id,
        to_party=asked.party_id,
        access=level,
        state=ConnectionState.INVITED,
    )
    world.put_connection(connection)
    return connection


def accept(world: World, act: Act, connection_id: str) -> Connection:
    """Agree to a connection: the word of the party whose account it is, and of nobody for it (F7).

    It may let another party spend: given from above, whoever invites from there would let itself in.
    """
    connection = _connection(world, connection_id)
    need_self(world, act, world.party(connection.to_party, "/connection_id"), "/connection_id")
    if connection.state is ConnectionState.REVOKED:
        refuse("connection_revoked", "/connection_id", "it was revoked", "ask for a new invitation")
    accepted = replace(connection, state=ConnectionState.ACCEPTED)
    world.put_connection(accepted)
    return accepted


def revoke(world: World, act: Act, connection_id: str) -> Connection:
    """End a connection, whichever side asks; for good."""
    connection = _connection(world, connection_id)
    side = connection.to_party
    asking = world.find_party(connection.from_party)
    assert asking is not None, "both sides were read"
    principal = world.find_party(act.principal)
    if principal is not None and principal.party_id in {asking.party_id, *world.path(asking)}:
        side = connection.from_party
    need_own(world, act, world.party(side, "/connection_id"), "/connection_id")
    revoked = replace(connection, state=ConnectionState.REVOKED)
    world.put_connection(revoked)
    return revoked


def _connection(world: World, connection_id: str) -> Connection:
    connection = world.connections.get(connection_id)
    if connection is None:
        refuse(
            "unknown_connection", "/connection_id", "there is no such connection", "invite first"
        )
    return connection


def level_name(access: Access) -> str:
    """The level as it is written."""
    return access.name.lower()


def assign_role(
    world: World, act: Act, party_id: str, person: str, role: str
) -> tuple[Party, Role]:
    """Give a person a role at a party."""
    party, given = _role(world, act, party_id, role)
    if not person.startswith(PERSON):
        refuse("not_a_person", "/person", f"{person} is no person", f"a person's id is {PERSON}…")
    world.roles.put((party.party_id, person, given), Holding(party.tenant, held=True))
    return party, given


def remove_role(
    world: World, act: Act, party_id: str, person: str, role: str
) -> tuple[Party, Role, bool]:
    """Take a role away; the last value tells that it is an owner's, which needs a second person."""
    party, given = _role(world, act, party_id, role)
    if not _holds(world, party.party_id, person, given):
        refuse(
            "role_not_held", "/person", f"{person} is not {given} there", "see who holds the role"
        )
    if given is Role.OWNER:
        check_owner_remains(world, party.party_id, person)
        return party, given, True
    drop_role(world, party, person, given)
    return party, given, False


def drop_role(world: World, party: Party, person: str, role: Role) -> None:
    """Take the role away, all being checked."""
    world.roles.put((party.party_id, person, role), Holding(party.tenant, held=False))


def check_owner_remains(world: World, party_id: str, leaving: str) -> None:
    """Refuse to leave a party without an owner."""
    others = (
        person
        for (at, person, role), holding in world.roles.items()
        if at == party_id and role is Role.OWNER and holding.held and person != leaving
    )
    if next(others, None) is None:
        refuse(
            "last_owner",
            "/person",
            f"{leaving} is the last owner of {party_id}",
            "make another person owner first",
        )


def _role(world: World, act: Act, party_id: str, role: str) -> tuple[Party, Role]:
    party = world.party(party_id, "/party_id")
    given = _ROLES.get(role)
    if given is None:
        refuse("unknown_role", "/role", f"{role} is no role", f"use one of {', '.join(Role)}")
    power = Power.OWN if given in {Role.OWNER, Role.ADMIN} else Power.STAFF
    need_own(world, act, party, "/party_id", power)
    return party, given


def _holds(world: World, party_id: str, person: str, role: Role) -> bool:
    holding = world.roles.get((party_id, person, role))
    return holding is not None and holding.held


def name_party(
    world: World, act: Act, party_id: str, known_to: str, external_id: str
) -> tuple[Party, Mapping[str, str]]:
    """Note how a party is called in another's systems; all its names, by whose they are (F32)."""
    party, knowing = world.party(party_id, "/party_id"), world.party(known_to, "/known_to")
    need_access(world, act, party, "/party_id")
    need_own(world, act, knowing, "/known_to")
    for (by, other), naming in world.namings.items():
        holder = world.find_party(other)
        theirs = by == knowing.party_id and naming.external_id == external_id
        if theirs and (holder is None or holder.party_id != party.party_id):
            refuse(
                "external_id_taken",
                "/external_id",
                f"{other} has this external id",
                "use that party, or another external id",
            )
    inherited = {
        (by, of): naming
        for (by, of), naming in world.namings.items()
        if of != party.party_id and _becomes(world, of, party)
    }
    for (by, of), naming in inherited.items():
        if by == knowing.party_id:
            world.namings.put((by, of), replace(naming, external_id=None))
    row = Naming(party.tenant, external_id)
    world.namings.put((knowing.party_id, party.party_id), row)
    own = {(by, of): n for (by, of), n in world.namings.items() if of == party.party_id}
    # A name of its own goes before one it has from whom it was merged with.
    names = {
        by: naming.external_id
        for (by, _), naming in (*inherited.items(), *own.items())
        if naming.external_id is not None
    }
    return party, names


def _becomes(world: World, party_id: str, party: Party) -> bool:
    """Whether this id stands for the party."""
    found = world.find_party(party_id)
    return found is not None and found.party_id == party.party_id


def consent(
    world: World, act: Act, party_id: str, company_id: str, *, given: bool
) -> tuple[Party, Party]:
    """Take a payee's own word on a company (F26)."""
    party, company = world.party(party_id, "/party_id"), world.party(company_id, "/company")
    need_self(world, act, party, "/party_id")
    world.need_kind(company, PAYERS, "/company")
    row = Consent(party.tenant, company.tenant, given)
    world.consents.put((party.party_id, company.party_id), row)
    return party, company


def carry_consents(world: World, kept: Party, merged: Party) -> tuple[str, ...]:
    """Let a payee that is kept take the consents over which the merged one has given; the companies.

    Not of those the kept one has spoken of: its own word goes before. What became of the merged one
    earlier counts where the merged one took it over in turn.
    """
    said = _words_of(world, kept)
    given = {company: row for company, row in _words_of(world, merged).items() if row.given}
    carried = tuple(sorted(given.keys() - said.keys()))
    for company in carried:
        row = Consent(kept.tenant, given[company].other_tenant, given=True, carried=True)
        world.consents.put((kept.party_id, company), row)
    return carried


def _words_of(world: World, party: Party) -> Mapping[str, Consent]:
    """What a payee has said or taken over, by company."""
    return {
        company: row
        for (party_id, company), row in world.consents.items()
        if party_id == party.party_id
    }


def have_shown_the_same(world: World, party: Party, other: Party) -> bool:
    """Whether both have shown that one and the same contact is theirs: then they are one person."""
    return not _shown_by(world, party).isdisjoint(_shown_by(world, other))


def _shown_by(world: World, party: Party) -> frozenset[str]:
    return frozenset(
        contact.token
        for contact in world.contacts.values()
        if contact.verified_at is not None
        and contact.sealed is not None
        and _becomes(world, contact.party_id, party)
    )
