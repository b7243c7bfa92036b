"""Kafka as the platform relies on it: partitioned logs, groups, at-least-once delivery.

Kept: order within a partition and a producer's session, offsets committed by members of the current
generation only, eager rebalances with a revocation callback, members evicted after their session.
Left to chance: which partitions a fetch brings and how much of each, lost acknowledgements, a page of
which only the first records arrive, groups whose offsets are reset, records published again.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError, RequestTimedOutError

from .world import CURRENT, Process, World

PARTITIONS = 3
SESSION_S = 6.0
REBALANCE_S = 5.0
_TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class SimRecord:
    """A record as a consumer gets it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class SimBroker:
    """All topics and groups."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.logs: dict[TopicPartition, list[SimRecord]] = {}
        self.groups: dict[str, Group] = {}

    def partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(PARTITIONS)]

    def append(self, topic, key, value, headers) -> SimRecord:
        place = TopicPartition(topic, zlib.crc32(key or b"") % PARTITIONS)
        log = self.logs.setdefault(place, [])
        record = SimRecord(topic, place.partition, len(log), key, value, tuple(headers))
        log.append(record)
        self.world.trace("broker", f"{topic}/{place.partition}@{record.offset} {_id_of(record)}")
        return record

    def publish_again(self) -> None:
        """A duplicate of some record, at the end of its partition."""
        logs = [log for place, log in sorted(self.logs.items()) if log]
        if logs:
            old = self.world.rng.choice(self.world.rng.choice(logs))
            self.append(old.topic, old.key, old.value, old.headers)
            self.world.count("published_again")

    def reset_offsets(self) -> None:
        """Some group's position in some partition goes back to an earlier one."""
        group = self.groups[self.world.rng.choice(sorted(self.groups))]
        if group.committed:
            place = self.world.rng.choice(sorted(group.committed))
            group.committed[place] = self.world.rng.randrange(group.committed[place] + 1)
            group.rebalance()
            self.world.count("offsets_reset")

    def lag(self) -> int:
        """Records some group has not confirmed."""
        return sum(
            len(self.logs.get(place, ())) - group.committed.get(place, 0)
            for group in self.groups.values()
            for place in group.places
        )


def _id_of(record: SimRecord) -> str:
    for name, value in record.headers:
        if name == "ce_id" and value is not None:
            return value.decode()
    return "-"


@dataclass(eq=False)
class Member:
    """One subscriber in its group."""

    label: str
    seen_at: float
    ready: bool = False
    evicted: bool = False
    generation: int = 0
    given: tuple[TopicPartition, ...] = ()


@dataclass(eq=False)
class Group:
    """A consumer group and its coordinator."""

    world: World
    name: str
    places: tuple[TopicPartition, ...]
    members: list[Member] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    generation: int = 0
    rebalancing_since: float | None = None

    def start(self) -> None:
        self.world.loop.call_later(_TICK_S, self._tick)

    def rebalance(self) -> None:
        if self.rebalancing_since is None:
            self.rebalancing_since = self.world.loop.time()
            for member in self.members:
                member.ready = False

    def join(self, label: str) -> Member:
        member = Member(label, self.world.loop.time())
        self.members.append(member)
        self.rebalance()
        member.ready = True
        return member

    def _tick(self) -> None:
        now = self.world.loop.time()
        late = [m for m in self.members if now - m.seen_at > SESSION_S]
        since = self.rebalancing_since
        if since is not None and now - since > REBALANCE_S:
            late += [m for m in self.members if not m.ready and m not in late]
        for member in late:
            member.evicted = True
            self.members.remove(member)
            self.world.trace(self.name, f"evicts {member.label}")
            self.rebalance()
        if self.rebalancing_since is not None and all(m.ready for m in self.members):
            self._assign()
        self.world.loop.call_later(_TICK_S, self._tick)

    def _assign(self) -> None:
        if not self.members:
            return
        self.generation += 1
        self.rebalancing_since = None
        for number, member in enumerate(self.members):
            member.generation = self.generation
            member.given = self.places[number :: len(self.members)]
        self.world.trace(self.name, f"generation {self.generation} of {len(self.members)}")


class SimBatch:
    """Records for one partition, handed over at once."""

    def __init__(self) -> None:
        self.records: list[dict] = []

    def append(self, *, timestamp, key, value, headers):
        self.records.append({"key": key, "value": value, "headers": headers})
        return True

    def close(self) -> None:
        return None


class SimProducer:
    """What the relay knows as its idempotent producer."""

    def __init__(self, broker: SimBroker, process: Process) -> None:
        self._broker = broker
        self._process = process
        self._queue: list[tuple[tuple, asyncio.Future]] = []
        self._broken = False

    async def start(self) -> None:
        await self._process.step("producer.start")
        if self._process.world.likely(self._process.world.odds.broker):
            raise KafkaConnectionError("broker away")

    async def stop(self) -> None:
        return None

    async def send(self, topic, *, value, key, headers):
        if self._broken:
            raise KafkaConnectionError("fatal producer error")
        await self._process.step("produce")
        world = self._process.world
        sent = world.loop.create_future()
        if not self._queue:
            world.loop.call_later(world.rng.random() * world.odds.latency_s, self._arrive)
        self._queue.append(((topic, key, value, headers), sent))
        return sent

    async def send_and_wait(self, topic, *, value, key, headers):
        await (await self.send(topic, value=value, key=key, headers=headers))

    async def partitions_for(self, topic):
        return {place.partition for place in self._broker.partitions(topic)}

    def create_batch(self):
        return SimBatch()

    async def send_batch(self, batch, topic, *, partition):
        return asyncio.gather(*[await self.send(topic, **record) for record in batch.records])

    def _arrive(self) -> None:
        """What was handed over reaches the broker, or its first part does, or no word comes back."""
        queue, self._queue = self._queue, []
        world = self._process.world
        arriving = len(queue)
        if self._broken:
            # The broker refuses what does not follow on the last sequence number it has.
            arriving = 0
        lost = self._broken or not self._process.alive or world.likely(world.odds.producer)
        if lost:
            arriving = world.rng.randrange(arriving + 1)
            self._broken = True
            world.count("producer")
        for message, _ in queue[:arriving]:
            self._broker.append(*message)
        for _, sent in queue:
            if sent.done():
                continue
            if lost:
                sent.set_exception(RequestTimedOutError("no acknowledgement"))
                sent.exception()  # read here: the relay may have gone by the time it is set
            else:
                sent.set_result(None)


def producers(broker: SimBroker) -> Callable[..., SimProducer]:
    """Stands where the relay makes its producer."""
    return lambda **_: SimProducer(broker, CURRENT.get())


class SimKafka:
    """What `Consumer` knows as FastStream's broker: one per process."""

    def __init__(self, broker: SimBroker, process: Process) -> None:
        self._broker = broker
        self._process = process

    def subscriber(self, *topics, group_id, listener, max_records, **_):
        places = tuple(place for topic in topics for place in self._broker.partitions(topic))
        group = self._broker.groups.get(group_id)
        if group is None:
            group = Group(self._broker.world, group_id, places)
            self._broker.groups[group_id] = group
            group.start()
        return SimSubscriber(self._broker, self._process, group, listener, max_records)


class SimSubscriber:
    """Fetches for one member and keeps it in its group."""

    def __init__(self, broker, process, group, listener, max_records) -> None:
        self._broker = broker
        self._process = process
        self._group: Group = group
        self._listener = listener
        self._max_records: int = max_records
        self._handler: Callable[[list[SimRecord]], Awaitable[None]] | None = None
        self._tasks: list[asyncio.Task] = []
        self.consumer: SimConsumer | None = None

    def __call__(self, handler):
        self._handler = handler

    async def start(self) -> None:
        await self._process.step("join")
        world = self._process.world
        if world.likely(world.odds.broker):
            raise KafkaConnectionError("broker away")
        member = self._group.join(self._process.label)
        self.consumer = SimConsumer(self._broker, self._process, self._group, member)
        self._tasks = [
            asyncio.create_task(self._stay(self.consumer)),
            asyncio.create_task(self._poll(self.consumer)),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.consumer = None

    async def _stay(self, consumer: "SimConsumer") -> None:
        """Heartbeats, and the part of a rebalance that is this member's."""
        while True:
            await asyncio.sleep(0.3)
            await self._process.step("heartbeat", counted=False)
            member = consumer.member
            member.seen_at = self._process.world.loop.time()
            fresh = member.ready and member.generation > consumer.generation
            if fresh:
                consumer.take_up()
                await self._listener.on_partitions_assigned(consumer.assignment())
            elif member.evicted or (self._group.rebalancing_since is not None and not member.ready):
                await self._process.step("revoked")
                await self._listener.on_partitions_revoked(consumer.assignment())
                consumer.places = {}
                if member.evicted:
                    consumer.member = self._group.join(self._process.label)
                member.seen_at = self._process.world.loop.time()
                member.ready = True

    async def _poll(self, consumer: "SimConsumer") -> None:
        assert self._handler is not None, "the consumer has said who takes the records"
        while True:
            await asyncio.sleep(0.04)
            await self._process.step("poll", counted=False)
            records = consumer.fetch(self._max_records)
            if records:
                await self._process.step(f"{self._group.name} takes {len(records)}")
                await self._handler(records)


class SimConsumer:
    """The part of aiokafka's consumer that `Consumer` uses."""

    def __init__(self, broker: SimBroker, process: Process, group: Group, member: Member) -> None:
        self._broker = broker
        self._process = process
        self._group = group
        self._paused: set[TopicPartition] = set()
        self.member = member
        self.generation = 0
        self.places: dict[TopicPartition, int] = {}
        self._polled_at = 0.0

    @property
    def _coordinator(self) -> Member:
        return self.member

    def take_up(self) -> None:
        self.generation = self.member.generation
        self._paused = set()
        self.places = {tp: self._group.committed.get(tp, 0) for tp in self.member.given}

    def fetch(self, limit: int) -> list[SimRecord]:
        """Some of what lies ready, in order within each partition, partitions in any order."""
        world = self._process.world
        self._polled_at = world.loop.time()
        ready = [
            place
            for place in sorted(self.places)
            if place not in self._paused
            and self.places[place] < len(self._broker.logs.get(place, ()))
        ]
        if not ready:
            return []
        world.rng.shuffle(ready)
        if world.faulty:
            ready = ready[: world.rng.randint(1, len(ready))]
        records: list[SimRecord] = []
        for place in ready:
            at = self.places[place]
            most = world.rng.randint(1, limit)
            taken = self._broker.logs[place][at : at + min(most, limit - len(records))]
            self.places[place] = at + len(taken)
            records += taken
        return records

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.places[place] = offset

    def pause(self, *places: TopicPartition) -> None:
        self._paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused.difference_update(places)

    def highwater(self, place: TopicPartition) -> int:
        return len(self._broker.logs.get(place, ()))

    async def position(self, place: TopicPartition) -> int:
        return self.places.get(place, 0)

    def last_poll_timestamp(self, place: TopicPartition) -> float:
        return self._process.clock.now().timestamp() * 1000

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        await self._process.step("offsets.commit")
        world = self._process.world
        if world.likely(world.odds.broker):
            raise KafkaConnectionError("broker away")
        if self.member.evicted or self.generation != self._group.generation:
            raise CommitFailedError("the group has moved on")
        self._group.committed.update(offsets)
        await self._process.step("offsets.committed")
