"""Two ledger processes on two database servers and one broker, sharing nothing but the topics."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tally_contracts.catalogue import catalogue
from tally_embedded import TopicSpec, ensure_topics
from tally_ledger.handlers import COMMANDS
from tally_messaging import encode_headers, outgoing_headers
from tally_messaging.envelope import Cause
from tally_postgres import Pool, create_pool
from tally_reconciliation.checks.books import check_books
from tally_reconciliation.checks.chain import check_chain
from tally_reconciliation.checks.entries import check_entries
from tally_reconciliation.checks.holds import check_holds
from tally_reconciliation.checks.in_transit import Sides, judge_sides
from tally_reconciliation.report import Quiet
from tally_reconciliation.snapshot import session, snapshot
from tally_runtime import Ids
from tally_testkit import ServiceDatabase

PLACEMENT = "core:main;west:us"
TRANSFERS = "ledger.transfers.v1"
FACTS = ("ledger.journals.v1", "ledger.holds.v1", "ledger.accounts.v1", TRANSFERS)
LIVENESS_S = 90.0


@dataclass
class Cluster:
    """Databases by their name in the placement, and the processes on them."""

    kafka: str
    databases: Mapping[str, ServiceDatabase]
    pools: Mapping[str, Pool]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sent: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = field(default_factory=list)

    async def create_topics(self) -> None:
        specs = [
            TopicSpec(topic.name, topic.partitions, topic.config())
            for topic in catalogue().values()
            if topic.owner in {"ledger", "operations"}
        ]
        await ensure_topics(self.kafka, specs)

    def start(self, database: str, dies_at: str = "", **more: str) -> subprocess.Popen[bytes]:
        """Start a process on a database; `dies_at` is "point:turn"."""
        environment = {
            **os.environ,
            "TALLY_ENVIRONMENT": "test",
            "TALLY_KAFKA": self.kafka,
            "TALLY_LEDGER_POSTGRES_DSN": self.databases[database].dsn("ledger"),
            "TALLY_LEDGER_PLACEMENT": PLACEMENT,
            "TALLY_LEDGER_DATABASE": database,
            "TALLY_SESSION_TIMEOUT_MS": "6000",
            "TALLY_INSTANCE": "0",
            "TALLY_RELAY_LEASE_S": "3",
            "TALLY_BATCH_RECORDS_MAX": "40",
            "TALLY_BACK_OFF_MAX_MS": "1000",
            "TALLY_TRANSFER_OVERDUE_S": "5",
            "TALLY_TRANSFER_POLL_MS": "500",
            "LEDGER_DIES_AT": dies_at,
            **more,
        }
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ledger_process.py"))], env=environment
        )
        self.processes.append(process)
        return process

    async def send(self, *events: Any) -> None:
        """Publish commands, keyed by their ledger."""
        records = []
        for event in events:
            headers = outgoing_headers(
                event_id=str(Ids().uuid7()),
                source="/test",
                event_type=event.TYPE,
                at=event.occurred_at,
                subject=event.ledger,
                cause=Cause("corr-1"),
            )
            value = event.model_dump_json().encode()
            records.append((event.ledger.encode(), value, encode_headers(headers)))
        await self.publish(COMMANDS, records)
        self.sent += records

    async def publish(
        self, where: str, records: Sequence[tuple[bytes, bytes, list[tuple[str, bytes]]]]
    ) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, enable_idempotence=True)
        await producer.start()
        try:
            waiting = [
                await producer.send(where, value, key=key, headers=headers)
                for key, value, headers in records
            ]
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()

    async def read(self, *names: str) -> list[Any]:
        """Every record that lies on topics now."""
        consumer = AIOKafkaConsumer(
            *names, bootstrap_servers=self.kafka, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            records: list[Any] = []
            async with asyncio.timeout(LIVENESS_S):
                while any([await consumer.position(p) < end for p, end in ends.items()]):
                    for batch in (await consumer.getmany(timeout_ms=200)).values():
                        records += batch
            return records
        finally:
            await consumer.stop()

    async def answers(self) -> dict[str, set[tuple[str, str]]]:
        """What was told of each command: distinct (source, type) by its id."""
        told: dict[str, set[tuple[str, str]]] = {}
        for record in await self.read(*FACTS[:3]):
            headers = {name: value.decode() for name, value in record.headers}
            body = json.loads(record.value)
            asked = body.get("journal_id") or body.get("command_id") or body.get("hold_id")
            told.setdefault(asked, set()).add((headers["ce_type"], body.get("code", "")))
        return told

    async def wrong(self) -> list[str]:
        """What the oracle's checks of a ledger find wrong, in either database."""
        found: list[str] = []
        sides = Sides()
        for name, database in self.databases.items():
            async with (
                session(database.admin_dsn) as conn,
                snapshot(conn, ("ledger",)) as snap,
            ):
                checks = [*await check_books(snap), *await check_entries(snap)]
                checks += [*await check_chain(snap), await check_holds(snap)]
                await sides.look(snap)
                found += [f"{name}: {check.line()}" for check in checks if check.verdict != "green"]
        pairs = judge_sides(sides, Quiet(()))
        return found if pairs.verdict == "green" else [*found, pairs.line()]

    async def values(self, query: str, *arguments: object) -> dict[str, Any]:
        """One value from each database."""
        return {n: await pool.fetchval(query, *arguments) for n, pool in self.pools.items()}

    async def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for pool in self.pools.values():
            await pool.close()


async def open_cluster(kafka: str, databases: Mapping[str, ServiceDatabase]) -> Cluster:
    """The databases with sessions to look into them, and the topics; no process yet."""
    pools = {
        name: await create_pool(
            database.dsn("ledger"), schema="ledger", application_name="judge", max_size=2
        )
        for name, database in databases.items()
    }
    cluster = Cluster(kafka, databases, pools)
    await cluster.create_topics()
    return cluster


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Poll a condition that the ledgers must reach by themselves."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LIVENESS_S
    while not await condition():
        assert loop.time() < deadline, f"not within {LIVENESS_S} s: {what}"
        await asyncio.sleep(0.2)
