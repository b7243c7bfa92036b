"""Topics made to match their declaration, never changed behind their consumers' backs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError

from tally_embedded.errors import TopicCreationError, TopicMismatchError

REPLICATION_MAX = 3
REQUEST_MS = 30_000
VISIBLE_SECONDS = 30.0
POLL_SECONDS = 0.05
TOPIC_ALREADY_EXISTS = 36  # Kafka protocol error codes


@dataclass(frozen=True)
class TopicSpec:
    """A topic as declared: config holds Kafka's own names and string values."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


async def ensure_topics(bootstrap: str, specs: Sequence[TopicSpec]) -> list[str]:
    """Create the missing topics, wait until they and consumer groups are led, return the names.

    Replication is three or as many brokers as there are. Existing topics are left alone.

    Raises:
        TopicMismatchError: one exists with another partition count; nothing was created.
        TopicCreationError: the broker refused one, or it got no leader in time.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_MS)
    await admin.start()
    try:
        existing = await _partitions(admin)
        _check_partitions(specs, existing)
        missing = [spec for spec in specs if spec.name not in existing]
        if not missing:
            return []
        created = await _create(admin, missing)
        await _wait_for_leaders(admin, specs)
        return created
    finally:
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Return topic name to the number of its partitions that have a leader."""
    names = await admin.list_topics()
    topics = await admin.describe_topics(names) if names else []
    return {
        topic["topic"]: sum(1 for partition in topic["partitions"] if partition["leader"] >= 0)
        for topic in topics
    }


def _check_partitions(specs: Sequence[TopicSpec], existing: Mapping[str, int]) -> None:
    wrong = [spec for spec in specs if existing.get(spec.name, spec.partitions) != spec.partitions]
    if wrong:
        lines = ", ".join(
            f"{spec.name} has {existing[spec.name]} and needs {spec.partitions}" for spec in wrong
        )
        raise TopicMismatchError(
            f"Partition counts differ: {lines}. Adding partitions would break the order per key: "
            "correct the declaration, or drain and recreate the topic."
        )


async def _create(admin: AIOKafkaAdminClient, missing: Sequence[TopicSpec]) -> list[str]:
    cluster = await admin.describe_cluster()
    replication = min(REPLICATION_MAX, len(cluster["brokers"]))
    answer = await admin.create_topics(
        [
            NewTopic(spec.name, spec.partitions, replication, topic_configs=dict(spec.config))
            for spec in missing
        ]
    )
    created: list[str] = []
    refused: list[str] = []
    for name, code, message in (tuple(error)[:3] for error in answer.topic_errors):
        if code == 0:
            created.append(name)
        elif code != TOPIC_ALREADY_EXISTS:  # another process was faster
            refused.append(f"{name} (error {code}: {message})")
    if refused:
        raise TopicCreationError(
            f"Kafka refused to create {', '.join(refused)}; correct the name, the partition count "
            "or the topic's config."
        )
    return created


async def _wait_for_leaders(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    try:
        async with asyncio.timeout(VISIBLE_SECONDS):
            while True:
                seen = await _partitions(admin)
                led = all(seen.get(spec.name, 0) >= spec.partitions for spec in specs)
                if led and await _groups_are_led(admin):
                    break
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise TopicCreationError(
            f"Some topics, or groups, have no leader after {VISIBLE_SECONDS:.0f} s; look at the "
            "broker's log."
        ) from None
    _check_partitions(specs, seen)


async def _groups_are_led(admin: AIOKafkaAdminClient) -> bool:
    """Whether a consumer group finds a coordinator.

    A new cluster makes the topic of offsets when first asked for one: whoever comes first, and that
    was every service of a new installation, logs an error until it is there.
    """
    try:
        await admin.find_coordinator("any")
    except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
        return False
    return True
