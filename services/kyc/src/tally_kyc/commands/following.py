"""What the directory tells: who there is, who became whom, who lets whom know and manage it."""

from dataclasses import replace
from typing import Final

from tally_contracts.directory_facts import (
    ConnectionChanged,
    ConsentGiven,
    ConsentWithdrawn,
    PartiesMerged,
    PartyRegistered,
)
from tally_kyc.commands.levels import (
    ask_anew,
    asked_again,
    end,
    open_new,
    refresh,
    resting_on,
)
from tally_kyc.desk import TASK_PREFIX, Desk
from tally_kyc.domain.policy import PartyKind
from tally_kyc.domain.tasks import COUNTING, WAITING
from tally_kyc.domain.world import Connection, Consent, Party

REGISTERED: Final = "registered"
_KINDS: Final = {
    "aggregator": PartyKind.COMPANY,
    "company": PartyKind.COMPANY,
    "partner": PartyKind.COMPANY,
    "payee": PartyKind.PERSON,
}
_MANAGE: Final = "manage"
_ACCEPTED: Final = "accepted"


def heeds(event: object) -> bool:
    """Whether a fact says anything of identity.

    A group has none, and a payee that only money has reached is asked for nothing: it is nobody's
    to answer yet.
    """
    if isinstance(event, PartyRegistered):
        return event.kind in _KINDS and event.state == REGISTERED
    return True


def registered(desk: Desk, event: PartyRegistered) -> None:
    """A party is known: level none, and its first tasks. Told again, its country may be another."""
    before = desk.world.parties.get(event.party_id)
    if before is None:
        before = Party(event.party_id, event.tenant, _KINDS[event.kind], event.country)
    moved = before.country is not None and event.country not in {before.country, None}
    party = replace(
        before,
        tenant=event.tenant,
        country=event.country or before.country,
        is_registered=True,
    )
    desk.world.parties.put(party.party_id, party)
    for task in desk.world.tasks_of(party):
        desk.world.tasks.put(task.task_id, replace(task, tenant=party.tenant))
    if party.merged_into is not None:
        return
    if not before.is_registered:
        for kind in desk.policy.tracks[party.kind].first:
            if desk.world.waiting(party, kind) is None:
                open_new(desk, party, kind, code="registered", reason="the party was registered")
    if moved:
        tasks = resting_on(desk, party, ("country",))
        ids = [desk.new_id(TASK_PREFIX) for _ in asked_again(desk, party, tasks)]
        ask_anew(desk, party, tasks, "the country of residence is another", ids)
    refresh(desk, party, always=before.country != party.country)


def merged(desk: Desk, event: PartiesMerged) -> None:
    """Two parties are one: the tasks of the one that is kept stand, the other's are over."""
    kept = desk.world.party(event.party_id)
    if kept is None:
        kept = Party(event.party_id, event.tenant, PartyKind.PERSON, None)
        desk.world.parties.put(kept.party_id, kept)
    gone = desk.world.parties.get(event.merged)
    if gone is None:
        gone = Party(event.merged, event.merged_tenant, PartyKind.PERSON, None)
    if gone.merged_into is not None or gone.party_id == kept.party_id:
        return
    for task in desk.world.tasks_of(gone):
        if task.state in COUNTING | WAITING:
            end(desk, gone, task, code="party_merged", reason="the party became another")
    desk.world.parties.put(gone.party_id, replace(gone, merged_into=kept.party_id))
    refresh(desk, kept)


def consented(desk: Desk, event: ConsentGiven | ConsentWithdrawn) -> None:
    """A company may know the party beyond its alias, or no longer."""
    given = isinstance(event, ConsentGiven)
    desk.world.consents.put((event.party_id, event.company), Consent(event.tenant, given))


def connected(desk: Desk, event: ConnectionChanged) -> None:
    """A party lets another manage it, or no longer."""
    connection = Connection(
        event.connection_id,
        event.from_party,
        event.to_party,
        event.tenant,
        manages=event.access == _MANAGE and event.state == _ACCEPTED,
    )
    desk.world.connections.put(connection.connection_id, connection)
