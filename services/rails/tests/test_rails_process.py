"""The service as a process on real Kafka, Postgres and SFTP, killed where it hurts most."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tally_contracts.catalogue import expand
from tally_contracts.rails import AttemptChanged
from tally_embedded import Stack, TopicSpec, ensure_topics, running_stack
from tally_messaging.envelope import CE_TYPE
from tally_testkit import RawRecord, Topics

KILLED = -signal.SIGKILL


@pytest.fixture
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A broker of its own: the service's topics have the names they have everywhere."""
    folder = tmp_path_factory.mktemp("kafka")
    with running_stack(folder, postgres=False, ephemeral=True) as stack:
        yield stack


@pytest.fixture
def start(kafka: Stack, settings: Any, bank: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts the process and waits until it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def run(**more: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "TALLY_ENVIRONMENT": "test",
            "TALLY_KAFKA": kafka.address.kafka,
            "TALLY_RAILS_POSTGRES_DSN": settings.postgres_dsn.get_secret_value(),
            "TALLY_SEALING_KEY": settings.sealing_key.get_secret_value(),
            "TALLY_SESSION_TIMEOUT_MS": "6000",
            "TALLY_RELAY_LEASE_S": "2",
            **bank.environment(),
            **more,
        }
        with (tmp_path / f"rails-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("rails_process.py"))],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def _commands(topics: Topics, world: Any, *events: Any) -> None:
    for event in events:
        record = world.record(event)
        await topics.publish(record.topic, [RawRecord(record.value, record.headers, record.key)])


async def _until(world: Any, query: str) -> None:
    async with asyncio.timeout(40):
        while not await world.pool.fetchval(query):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def _told(topics: Topics, count: int) -> list[AttemptChanged]:
    records = await topics.read("rails.attempts.v1", count, timeout_s=20)
    told: dict[int, AttemptChanged] = {}
    for record in records:
        assert dict(record.headers)[CE_TYPE] == AttemptChanged.TYPE.encode()
        change = AttemptChanged.model_validate_json(record.value)
        told.setdefault(change.sequence, change)
    return [told[number] for number in sorted(told)]


@pytest.mark.timeout(120)
async def test_process_killed_between_the_banks_answer_and_its_record_executes_once_and_tells_all(
    kafka, start, world, make, bank
):
    specs = [TopicSpec(name, topic.partitions) for name, topic in expand(["cards"]).items()]
    await ensure_topics(kafka.address.kafka, [s for s in specs if s.name.startswith("rails.")])
    topics = Topics(kafka.address.kafka, "rails")
    dying = await asyncio.to_thread(start, RAILS_DIES_AT="called:1")
    await _commands(topics, world, make.register())
    # Payouts orders by an instrument only once it has heard that it is registered.
    await _until(world, "SELECT count(*) = 1 FROM instrument")
    await _commands(topics, world, make.submit())
    assert await asyncio.to_thread(dying.wait, 30) == KILLED
    assert await world.pool.fetchval("SELECT state FROM attempt") == "submitting"
    # Gone before it could save: the bank has the file, and nobody here knows.
    assert len(bank.uploads()) == 1
    await asyncio.to_thread(start)
    await _until(world, "SELECT state = 'in_transit' FROM attempt")
    bank.day("2026-11-24")
    await _until(world, "SELECT state = 'paid' FROM attempt")
    assert len(bank.uploads()) == 1
    [entry] = bank.book().values()
    assert (entry["state"], entry["amount_cents"]) == ("settled", 2500)
    states = list(await world.states())
    told = await _told(topics, len(states))
    assert [change.state for change in told] == states
    assert states[:2] == ["scheduled", "submitting"]
    assert states[-2:] == ["in_transit", "paid"]
    assert await world.quarantined() == []
    assert await world.cases() == []
