"""The read models made again from the topics, beside the live ones, and put in their place."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from tally_messaging import MessagingError, Received
from tally_messaging.parser import Expected, parse
from tally_messaging.records import Record
from tally_portfolio import store
from tally_portfolio.app import SCHEMA
from tally_portfolio.domain.projection import Projection
from tally_portfolio.handlers import TOPICS, build_router
from tally_portfolio.store import shadow
from tally_portfolio.store.shadow import Difference
from tally_portfolio.wire import project
from tally_postgres import Pool, create_pool, in_transaction
from tally_runtime import get_logger

_LOG = get_logger("tally_portfolio.rebuild")
_BATCH_RECORDS = 500
_CLOSE_ENOUGH = 2_000
_ROUNDS_MAX = 50
Partition = tuple[str, int]


class Extent(Protocol):
    """A partition's first kept offset and the one behind its last."""

    @property
    def first(self) -> int: ...
    @property
    def end(self) -> int: ...


class Topics(Protocol):
    """The broker as a rebuild needs it: where topics begin and end, and what lies between."""

    async def extents(self, topics: Collection[str]) -> Mapping[Partition, Any]: ...
    def records(self, extents: Mapping[Partition, Any]) -> AsyncIterator[Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class Span:
    """Records of a partition from `first` up to, not including, `end`."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild read, and what it found otherwise than it was."""

    records: int
    applied: int
    left_aside: int
    differences: tuple[Difference, ...]


class HistoryIncomplete(MessagingError):  # noqa: N818 - named for what it says
    """The topics no longer hold all that the read models were made of."""

    code: ClassVar[str] = "history_incomplete"

    def __init__(self, partitions: Sequence[Partition]) -> None:
        topics = ", ".join(sorted({topic for topic, _ in partitions}))
        super().__init__(
            f"the beginning of {topics} is gone, so a rebuild would forget what is older; restore a "
            "backup instead, or accept it with --forget-older"
        )


class TooFast(MessagingError):  # noqa: N818 - named for what it says
    """Facts come faster than the shadow takes them in."""

    code: ClassVar[str] = "cannot_catch_up"

    def __init__(self) -> None:
        super().__init__("the shadow falls behind the topics; rebuild when there is less traffic")


async def rebuild(
    topics: Topics, admin_dsn: str, service_dsn: str, *, forget_older: bool = False
) -> Rebuilt:
    """Make the read models again from the topics' beginning and put them in place.

    Readers see the old tables until the moment they see the new ones; batches wait while the last
    records are taken in. Raises HistoryIncomplete, TooFast.
    """
    extents = await topics.extents(TOPICS)
    shortened = [where for where, extent in extents.items() if extent.first > 0]
    if shortened and not forget_older:
        raise HistoryIncomplete(shortened)
    admin = await create_pool(
        admin_dsn, schema=shadow.LIVE, application_name="tally_rebuild", max_size=1
    )
    pool = await create_pool(
        service_dsn, schema=shadow.SHADOW, application_name="tally_rebuild", max_size=1
    )
    try:
        return await _rebuild(topics, extents, admin, pool)
    finally:
        await pool.close()
        await admin.close()


async def _rebuild(
    topics: Topics, extents: Mapping[Partition, Extent], admin: Pool, pool: Pool
) -> Rebuilt:
    router = build_router()
    async with admin.acquire() as conn:
        await shadow.create(conn, SCHEMA.migrations[-1])
        filler = _Filler(topics, pool, router.expected(), {w: e.first for w, e in extents.items()})
        await filler.catch_up(await shadow.set_aside(conn, router.consumer), _CLOSE_ENOUGH)
        await shadow.analyze(conn)
        async with conn.transaction():
            await shadow.stop_folding(conn)
            # Whatever the live tables hold was published before this moment.
            await filler.fill(await shadow.set_aside(conn, router.consumer))
            await shadow.swap(conn)
        found = await shadow.differences(conn)
        await shadow.drop(conn)
    return Rebuilt(filler.records, filler.applied, filler.left_aside, tuple(found))


class _Filler:
    """Fills the shadow with what the topics hold, as the service fills the live tables."""

    def __init__(
        self,
        topics: Topics,
        pool: Pool,
        expected: Mapping[str, Expected],
        positions: dict[Partition, int],
    ) -> None:
        self._topics = topics
        self._pool = pool
        self._expected = expected
        self._positions = positions
        self.records = self.applied = self.left_aside = 0

    async def catch_up(self, set_aside: frozenset[tuple[str, int, int]], close: int) -> None:
        """Read on until little is left; raises TooFast if it never is."""
        for _ in range(_ROUNDS_MAX):
            if await self.fill(set_aside) <= close:
                return
        raise TooFast

    async def fill(self, set_aside: frozenset[tuple[str, int, int]]) -> int:
        """Take in what the topics hold now; returns how many records that were."""
        extents = await self._topics.extents(TOPICS)
        spans = {
            where: Span(self._positions.get(where, extent.first), extent.end)
            for where, extent in extents.items()
        }
        taken = 0
        async for fetched in self._topics.records(spans):
            for start in range(0, len(fetched), _BATCH_RECORDS):
                batch = fetched[start : start + _BATCH_RECORDS]
                await self._take(
                    [r for r in batch if (r.topic, r.partition, r.offset) not in set_aside]
                )
                taken += len(batch)
        self._positions = {where: span.end for where, span in spans.items()}
        self.records += taken
        return taken

    async def _take(self, records: Sequence[Record]) -> None:
        """Apply what can be read; what cannot was set aside by the service as well."""
        facts = [
            item
            for record in records
            if isinstance(item := parse(record, self._expected[record.topic]), Received)
        ]
        try:
            await self._save(facts)
        except (ValueError, ArithmeticError):
            # One that cannot be told from the rest beforehand: the service applies it alone, too.
            for fact in facts:
                await self._take_alone(fact)

    async def _take_alone(self, fact: Received[Any]) -> None:
        try:
            await self._save([fact])
        except (ValueError, ArithmeticError) as error:
            self.left_aside += 1
            _LOG.warning("record_left_aside", event_id=fact.envelope.id, error=str(error))

    async def _save(self, facts: Sequence[Received[Any]]) -> None:
        projection = Projection()
        for fact in facts:
            project(fact, projection)
        await in_transaction(self._pool, lambda conn: store.save(conn, projection))
        self.applied += len(facts)
