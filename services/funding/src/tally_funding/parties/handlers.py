"""The directory's facts that escrow and claims need."""

from collections.abc import Sequence

from tally_contracts.directory_facts import (
    ContactAdded,
    ContactRemoved,
    ContactVerified,
    PartiesMerged,
    PartyMoved,
    PartyRegistered,
)
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import clocks, holders
from tally_funding.claims.holders import Newcomer
from tally_funding.parties import store, tenants
from tally_funding.parties.store import Contact, Place
from tally_funding.receipts import learning
from tally_funding.receipts import store as receipts
from tally_messaging import Received, Router, UnitOfWork

PARTIES = "directory.parties.v1"


def register(router: Router) -> None:
    """Let the router keep parties and contacts up to date."""

    @router.fold(PartyRegistered)
    async def registered(uow: UnitOfWork, messages: Sequence[Received[PartyRegistered]]) -> None:
        await for_every_tenant(uow.conn)
        places = {
            e.party_id: Place(
                e.party_id,
                e.tenant,
                e.path,
                e.country,
                registered=e.state == "registered",
                kind=e.kind,
            )
            for e in (message.event for message in messages)
        }
        known = await store.places(uow.conn, places)
        awaited = await store.place(uow.conn, list(places.values()), uow.now)
        if awaited:
            await tenants.adopt(uow.conn, awaited)
        causes = {message.event.party_id: message.cause for message in messages}
        new = {
            one: Newcomer(place, causes[one])
            for one, place in places.items()
            if place.registered and one not in known
        }
        awaited_new = {one: newcomer for one, newcomer in new.items() if one in awaited}
        await holders.registered(uow, new, awaited_new)

    @router.each(PartyMoved)
    async def moved(uow: UnitOfWork, message: Received[PartyMoved]) -> None:
        event = message.event
        await for_every_tenant(uow.conn)
        await store.move(
            uow.conn, event.party_id, path=event.path, previous=event.previous_path, now=uow.now
        )

    @router.each(PartiesMerged)
    async def merged(uow: UnitOfWork, message: Received[PartiesMerged]) -> None:
        await for_every_tenant(uow.conn)
        await receipts.lock_merges(uow.conn, alone=True)
        # The merge of the kept one into another may have been told before.
        kept = await receipts.kept_of(uow.conn, message.event.party_id)
        former = message.event.merged
        await store.merge(uow.conn, kept, former, uow.now)
        await holders.merged(uow, kept, former, message.cause)
        await learning.merged(uow, kept, former)

    @router.fold(ContactAdded, ContactVerified)
    async def contacts(
        uow: UnitOfWork, messages: Sequence[Received[ContactAdded | ContactVerified]]
    ) -> None:
        await for_every_tenant(uow.conn)
        said = [
            Contact(
                e.contact_id,
                e.party_id,
                e.contact,
                e.tenant,
                verified=isinstance(e, ContactVerified) or e.verified,
            )
            for e in (message.event for message in messages)
        ]
        await receipts.lock_merges(uow.conn, alone=False)
        await store.set_contacts(uow.conn, said, uow.now)
        signs = {
            clocks.of_contact(contact.contact): message.cause
            for contact, message in zip(said, messages, strict=True)
            if contact.verified
        }
        # What others enter for a party, or take away from it, is no sign of its own.
        signs |= {
            m.event.party_id: m.cause for m in messages if m.event.who.principal == m.event.party_id
        }
        if signs:
            await clocks.sign_of_life(uow, await clocks.signs_of(uow, signs))

    @router.each(ContactRemoved)
    async def removed(uow: UnitOfWork, message: Received[ContactRemoved]) -> None:
        await for_every_tenant(uow.conn)
        await store.forget_contact(uow.conn, message.event.contact_id)
