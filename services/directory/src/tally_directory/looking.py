"""Contacts read back: who may see which, and the fact that says they were seen."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tally_contracts.base import Who
from tally_contracts.directory_facts import ContactsViewed
from tally_directory.desk import PARTIES
from tally_directory.domain.access import Act
from tally_directory.domain.sharing import sight_of
from tally_directory.store import looking as store
from tally_directory.store import reading
from tally_directory.store.looking import ContactView, KeptContact
from tally_directory.store.reading import Asked
from tally_directory.vault import Vault
from tally_messaging import UnitOfWork
from tally_messaging.envelope import Cause
from tally_reads import AskedTooOften, NotFound
from tally_security.internal import Viewer

Document = dict[str, Any]
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at, by whom and for what."""

    viewer: Viewer
    party_id: str
    purpose: str

    @property
    def actor(self) -> str:
        """The key or person that looks."""
        return self.viewer.actor or self.viewer.party


async def look(uow: UnitOfWork, vault: Vault, per_minute: int, asked: Look) -> Document:
    """A party's contacts as the viewer may see them; what cannot be logged is not shown.

    Raises NotFound, AskedTooOften.
    """
    viewer, conn = asked.viewer, uow.conn
    await store.see_all_tenants(conn)
    act = Act(viewer.tenant, asked.actor, viewer.party, uow.now)
    named = {asked.party_id, viewer.party}
    world = await reading.read(conn, Asked(ids=named, persons={asked.actor}))
    party = world.find_party(asked.party_id)
    if party is None:
        raise NotFound
    sight = sight_of(world, act, party, await store.opened(conn, party.party_id, viewer.party))
    if sight is None:
        raise NotFound
    # Last, since it is held until the look is kept: whoever sees nothing waits for nobody.
    await store.take_turn_of(conn, viewer.party)
    first = await store.nth_last_view(conn, viewer.party, uow.now - _MINUTE, per_minute)
    if first is not None:
        raise AskedTooOften(
            "contacts were looked at as often as may be in a minute",
            -((uow.now - first - _MINUTE) // timedelta(seconds=1)),
        )
    known = await store.contacts_of(conn, party.party_id)
    contacts = [contact for contact in known if sight.lists(contact.party_id)]
    view = ContactView(
        uow.ids.new("view"),
        party.tenant,
        party.party_id,
        viewer.party,
        asked.actor,
        sight.basis.value,
        asked.purpose,
        [contact.token for contact in contacts],
        uow.now,
    )
    await store.log_view(conn, view)
    uow.emit(
        _viewed(view),
        topic=PARTIES,
        key=party.party_id,
        cause=Cause(correlation_id=str(uow.ids.uuid7()), actor=asked.actor),
    )
    return {
        "party_id": party.party_id,
        "alias": party.alias,
        "basis": sight.basis.value,
        "contacts": [
            _document(contact, vault if sight.opens(contact.party_id) else None)
            for contact in contacts
        ],
    }


def _viewed(view: ContactView) -> ContactsViewed:
    return ContactsViewed(
        tenant=view.tenant,
        who=Who(actor=view.actor, principal=view.viewer),
        reason=view.purpose,
        occurred_at=view.viewed_at,
        view_id=view.view_id,
        party_id=view.party_id,
        viewer=view.viewer,
        basis=view.basis,
        tokens=tuple(view.tokens),
    )


def _document(contact: KeptContact, vault: Vault | None) -> Document:
    at = contact.verified_at
    document = {
        "contact_id": contact.contact_id,
        "channel": contact.channel,
        "contact": contact.token,
        "verified_at": None if at is None else at.isoformat().replace("+00:00", "Z"),
    }
    if vault is None:
        return document
    value = vault.show_contact(contact.tenant, contact.contact_id, contact.sealed)
    return {**document, "value": value}
