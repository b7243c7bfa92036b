"""The toy service as processes of their own, on the real broker and database, under load."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tally_embedded import Stack
from tally_messaging.envelope import CE_ID
from tally_postgres import Pool, Schema, create_pool
from tally_testkit import RawRecord, ServiceDatabase, Topics, event_headers
from tally_testkit.toy import SCHEMA, StepAdded, applied

KEYS = 8
LIVENESS_S = 60.0
SESSION_TIMEOUT_MS = 6_000


@dataclass
class ToyCluster:
    """Toy processes over one database and one pair of topics, and what they must have done."""

    stack: Stack
    database: ServiceDatabase
    pool: Pool
    topics: Topics
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    published: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _next: int = 0

    @property
    def input(self) -> str:
        return self.topics.name("in")

    @property
    def output(self) -> str:
        return self.topics.name("out")

    @property
    def group(self) -> str:
        return self.topics.name("group")

    def start(self, *, dies_at: str | None = None, **more: str) -> subprocess.Popen[bytes]:
        """Start one more process; `dies_at` is "point:turn"."""
        environment = {
            **os.environ,
            "TALLY_ENVIRONMENT": "test",
            "TALLY_KAFKA": self.topics.kafka,
            "TALLY_TOY_POSTGRES_DSN": self.database.dsn("toy"),
            "TALLY_TOY_INPUT": self.input,
            "TALLY_TOY_OUTPUT": self.output,
            "TALLY_TOY_CONSUMER": self.group,
            "TALLY_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
            "TALLY_RELAY_LEASE_S": "4",
            "TALLY_STALL_LIMIT_S": "8",
            "TALLY_BATCH_RECORDS_MAX": "50",
            "TALLY_BACK_OFF_MAX_MS": "1000",
            **more,
        }
        if dies_at is not None:
            environment["TOY_DIES_AT"] = dies_at
        process = subprocess.Popen(
            [sys.executable, "-m", "tally_testkit.toy"], env=environment, stdout=subprocess.PIPE
        )
        self.processes.append(process)
        return process

    async def ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a process has started, so that it handles its signals."""
        assert process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), LIVENESS_S)
        assert line == b"ready\n"

    async def publish(self, count: int, *, gap_s: float = 0.0, chunk: int = 50) -> None:
        """Publish `count` steps over eight keys, in chunks with a pause between them."""
        left = count
        while left:
            records = [self._step() for _ in range(min(chunk, left))]
            await self.topics.publish(self.input, records)
            left -= len(records)
            await asyncio.sleep(gap_s)

    def _step(self) -> RawRecord:
        n = self._next
        self._next += 1
        name = f"k{n % KEYS}"
        self.published[name].append(n)
        return raw_step(name, n)

    async def wait_until_applied(self, timeout_s: float = LIVENESS_S) -> None:
        """Wait for as many applications as there are steps; then see that it stays so."""
        total = sum(len(steps) for steps in self.published.values())
        await until(lambda: self._applied_count(total), timeout_s, f"{total} steps applied")

    async def _applied_count(self, total: int) -> bool:
        return bool(await self.pool.fetchval("SELECT count(*) >= $1 FROM step", total))

    async def judge(self, within_s: float = LIVENESS_S) -> None:
        """Every step once and in order, in the books and on the output topic."""
        await self.wait_until_applied(within_s)
        total = sum(len(steps) for steps in self.published.values())
        await until(self._outbox_empty, within_s, "the outbox is published")
        assert await applied(self.pool) == dict(self.published)
        told: dict[str, list[int]] = defaultdict(list)
        seen: set[str] = set()
        for record in await self.topics.read(self.output, total, timeout_s=within_s):
            headers = dict(record.headers)
            event_id = headers[CE_ID].decode()
            if event_id not in seen:
                seen.add(event_id)
                step = json.loads(record.value)
                told[step["name"]].append(step["n"])
        assert told == self.published
        rows = await self.pool.fetch("SELECT seq FROM outbox WHERE topic = $1", self.output)
        assert len(rows) == total, "one event per step"

    async def _outbox_empty(self) -> bool:
        return bool(
            await self.pool.fetchval(
                "SELECT bool_and(l.head = r.position) FROM outbox_lane l JOIN relay r USING (lane)"
            )
        )

    async def rewind(self) -> None:
        """Set the group's offsets back to the beginning; the group must have no members."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.topics.kafka, group_id=self.group)
        await consumer.start()
        try:
            partitions = [TopicPartition(self.input, n) for n in range(3)]
            consumer.assign(partitions)
            await consumer.commit(dict.fromkeys(partitions, 0))
        finally:
            await consumer.stop()

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def raw_step(name: str, n: int, **more: Any) -> RawRecord:
    """A step as an upstream system would publish it."""
    return RawRecord(
        json.dumps({"name": name, "n": n, **more}).encode(),
        event_headers(f"{name}-{n}", StepAdded.TYPE),
        name.encode(),
    )


async def until(condition: Callable[[], Any], timeout_s: float, what: str) -> None:
    """Poll a condition that the platform must reach by itself."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not await condition():
        assert loop.time() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.1)


@pytest.fixture
async def toys(
    kafka_stack: Stack, topics: Topics, fresh_database: Callable[[Schema], ServiceDatabase]
) -> AsyncIterator[ToyCluster]:
    database = fresh_database(SCHEMA)
    pool = await create_pool(database.dsn("toy"), schema="toy", application_name="judge")
    cluster = ToyCluster(kafka_stack, database, pool, topics)
    await topics.create(cluster.input, cluster.output)
    await topics.create("operations.quarantine.v1")
    yield cluster
    cluster.end()
    await pool.close()
