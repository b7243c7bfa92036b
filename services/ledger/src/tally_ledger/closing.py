"""The worker that closes each day that is over: its root, signed and published."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from tally_contracts.ledger_log import RootSigned
from tally_ledger import merkle
from tally_ledger.proofs.days import FIRST, DayRoot, end_of
from tally_ledger.proofs.signing import PublicKey, SigningKey
from tally_ledger.store import roots
from tally_messaging import Cause, Transactor, UnitOfWork, WorkerContext
from tally_postgres import Connection
from tally_runtime import get_logger

_LOG = get_logger("tally_ledger.closing")
TOPIC = "ledger.roots.v1"
GRACE = timedelta(minutes=1)
"""How long a day is left open behind midnight: batches of a slow clock are still taken as they are."""


@dataclass(frozen=True, slots=True)
class ClosingWorker:
    """Closes the days of every ledger, the oldest first; one day per ledger and turn."""

    ledgers: Sequence[str]
    key: SigningKey
    poll_s: float
    name: str = "closing"
    within_s: float = 600.0

    async def run(self, context: WorkerContext) -> None:
        await context.take_turns(self.name, self.poll_s, partial(self.turn, context.transactor))

    async def turn(self, transactor: Transactor) -> bool:
        """Close one day of each ledger; true if there may be more."""
        more = False
        for ledger in self.ledgers:
            closed = await close_next_day(transactor, ledger, self.key)
            if closed is not None:
                _LOG.info("day_closed", ledger=ledger, day=closed.isoformat())
                more = True
        return more


async def close_next_day(transactor: Transactor, ledger: str, key: SigningKey) -> date | None:
    """Close the first open day of a ledger, if it is over; which day that was.

    Two units of work: the first sees to it that nothing is recorded into the day any more, so the
    second reads what can only stay as it is.
    """
    if not await transactor.run(lambda uow: _stop_recording(uow, ledger)):
        return None
    return await transactor.run(lambda uow: _close(uow, ledger, key))


@dataclass(frozen=True, slots=True)
class _Open:
    """The first open day: behind which batch it begins, which record it follows."""

    day: date
    after: int
    head: bytes
    previous: bytes


async def _stop_recording(uow: UnitOfWork, ledger: str) -> bool:
    """True if there is a day to close, with nothing to come into it."""
    found = await _first_open(uow.conn, ledger)
    if found is None or uow.now < end_of(found.day) + GRACE:
        return False
    await roots.stop_before(uow.conn, ledger, end_of(found.day))
    return True


async def _close(uow: UnitOfWork, ledger: str, key: SigningKey) -> date | None:
    found = await _first_open(uow.conn, ledger)
    recorded = await roots.recorded_at(uow.conn, ledger)
    # Another replica may have closed that day meanwhile: the next one is for the next turn.
    if found is None or recorded is None or recorded < end_of(found.day):
        return None
    last = await roots.last_before(uow.conn, ledger, found.after, end_of(found.day))
    tree, head = merkle.Tree(), found.head
    async for page in roots.roots(uow.conn, ledger, found.after + 1, last):
        for head in page:
            tree.add(merkle.leaf_hash(head))
    day = DayRoot(
        shard=ledger,
        day=found.day,
        first_log=found.after + 1,
        last_log=last,
        root=tree.root(),
        head=head,
        previous=found.previous,
        signed_at=uow.now,
        key_id=key.public.id,
    )
    signature = key.sign(day.record)
    if not await roots.add_day(uow.conn, day, signature):
        return None
    uow.emit(
        _fact(day, signature),
        topic=TOPIC,
        key=ledger,
        cause=Cause(f"day-{ledger}-{day.day.isoformat()}"),
    )
    return day.day


async def _first_open(conn: Connection, ledger: str) -> _Open | None:
    last = await roots.last_day(conn, ledger)
    if last is not None:
        day = last.of
        return _Open(day.day + timedelta(days=1), day.last_log, day.head, day.record_hash)
    first: datetime | None = await roots.first_recorded(conn, ledger)
    if first is None:
        return None
    return _Open(first.astimezone(UTC).date(), 0, FIRST, FIRST)


def _fact(day: DayRoot, signature: bytes) -> RootSigned:
    return RootSigned(
        ledger=day.shard,
        day=day.day,
        first_log=day.first_log,
        last_log=day.last_log,
        root=day.root.hex(),
        head=day.head.hex(),
        previous=day.previous.hex(),
        signed_at=day.signed_at,
        signed_by=day.key_id,
        signature=signature.hex(),
    )


async def announce_key(uow: UnitOfWork, key: PublicKey) -> None:
    """Enter the public key that roots are signed with from now on."""
    await roots.add_key(uow.conn, key.id, key.raw, uow.now)
