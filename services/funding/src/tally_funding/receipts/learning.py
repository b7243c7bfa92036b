"""What kyc tells: levels of parties and gate tables, each of which may release money that is restricted."""

from collections.abc import Sequence

from tally_contracts.catalogue import topic
from tally_contracts.kyc import GateTablePublished, LevelChanged
from tally_funding.answers.store import for_every_tenant
from tally_funding.receipts import store
from tally_gates import GATES, Party, StoredTable
from tally_messaging import Received, Router, Subscription, UnitOfWork

IDENTITY = "kyc.identity.v1"
SUBSCRIPTION = Subscription(IDENTITY, types=topic(IDENTITY).types)
Word = LevelChanged | GateTablePublished


def register(router: Router) -> None:
    """Let the router learn of levels and gate tables."""

    @router.fold(LevelChanged, GateTablePublished)
    async def told(uow: UnitOfWork, messages: Sequence[Received[Word]]) -> None:
        await learn(uow, messages)


async def learn(uow: UnitOfWork, messages: Sequence[Received[Word]]) -> None:
    """Keep what is new, and have the money that it may release asked about; older words change nothing.

    Locks: the tables, alone where one is published, then parties by id, then restricted money by owner.
    """
    conn = uow.conn
    events = [message.event for message in messages]
    tables = [StoredTable.of(GATES, e) for e in events if isinstance(e, GateTablePublished)]
    newest: dict[str, LevelChanged] = {}
    for event in events:
        if isinstance(event, LevelChanged):
            known = newest.get(event.party_id)
            if known is None or known.sequence < event.sequence:
                newest[event.party_id] = event
    await for_every_tenant(conn)
    if tables:
        await store.lock_tables(conn, alone=True)
        await store.save_tables(conn, tables)
    if newest:
        await store.lock_levels(conn, newest)
        before = await store.sequences(conn, newest)
        told = [Party.told(event) for event in newest.values()]
        changed = [party for party in told if party.sequence > before[party.owner]]
        if changed:
            await store.save_levels(conn, changed)
            await store.ask_parties_again(conn, {party.owner for party in changed}, uow.now)
    if tables:
        await store.ask_all_again(conn, uow.now)


async def merged(uow: UnitOfWork, kept: str, former: str) -> None:
    """Money that waits for a party that was merged waits for the level of the one that is kept.

    `kept` was not merged itself: `store.kept_of`.
    """
    await store.lock_levels(uow.conn, {kept, former})
    await store.merge(uow.conn, kept, former)
    await store.ask_parties_again(uow.conn, {kept}, uow.now)
