import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from tally_embedded import ServerState, Stack, TopicSpec, ensure_topics, running_stack
from tally_embedded.errors import (
    NotControllableError,
    ServerStoppedError,
    TopicCreationError,
    TopicMismatchError,
)

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("unused"), ephemeral=True) as started:
        yield started


def _rows(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        return connection.execute(query).fetchall()


async def _send(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", max_request_size=8 * 1024 * 1024
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def _first(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()
    return record.value


def test_the_stack_is_postgres_18_durable_with_a_password_and_loopback_only(stack: Stack):
    address = stack.address
    assert address.origin == "embedded"
    assert address.postgres_dsn.endswith("/tallystick")
    wanted = (
        "server_version_num", "fsync", "synchronous_commit", "data_checksums", "listen_addresses",
        "max_connections", "shared_buffers", "max_wal_size", "password_encryption",
    )  # fmt: skip
    found = {name: _rows(address.postgres_dsn, f"SHOW {name}")[0][0] for name in wanted}
    assert found.pop("server_version_num").startswith("18")
    assert found == {
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "127.0.0.1",
        "max_connections": "200",
        "shared_buffers": "1GB",
        "max_wal_size": "8GB",
        "password_encryption": "scram-sha-256",
    }
    wrong = address.postgres_dsn.replace(address.postgres_dsn.split(":")[2].split("@")[0], "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong, connect_timeout=5)


def test_status_asks_both_servers(stack: Stack):
    status = stack.status()
    assert status.is_running
    assert [server.name for server in status.servers] == ["postgres", "kafka"]
    assert all(Path(server.log).is_file() for server in status.servers)


def test_a_killed_postgres_comes_back_on_its_port_with_committed_rows(stack: Stack):
    dsn = stack.address.postgres_dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    stack.postgres.kill()
    assert stack.postgres.status().state is ServerState.STOPPED
    with pytest.raises(psycopg.OperationalError):
        _rows(dsn, "SELECT 1")
    with pytest.raises(ServerStoppedError):
        stack.postgres.pause()
    stack.postgres.start()
    assert stack.address.postgres_dsn == dsn
    assert _rows(dsn, "SELECT n FROM kept") == [(7,)]


async def test_a_killed_kafka_comes_back_on_its_port_with_its_records(stack: Stack):
    bootstrap = stack.address.kafka
    await ensure_topics(bootstrap, [TopicSpec("kept.v1", 1)])
    await _send(bootstrap, "kept.v1", b"seven")
    await asyncio.to_thread(stack.kafka.kill)
    assert (await asyncio.to_thread(stack.kafka.status)).state is ServerState.STOPPED
    await asyncio.to_thread(stack.kafka.start)
    assert stack.address.kafka == bootstrap
    assert await _first(bootstrap, "kept.v1") == b"seven"


@pytest.mark.parametrize("name", ["postgres", "kafka"])
def test_a_paused_server_keeps_its_process_and_answers_again_after_resume(stack: Stack, name: str):
    server = getattr(stack, name)
    before = server.status().pid
    server.pause()
    try:
        # The system stops the threads of a process one after another.
        stopped_by = time.monotonic() + 10
        while server.status().state is not ServerState.PAUSED:
            assert time.monotonic() < stopped_by, server.status()
    finally:
        server.resume()
    deadline = time.monotonic() + 10
    while server.status().state is not ServerState.RUNNING:
        assert time.monotonic() < deadline, server.status()
    assert server.status().pid == before


def test_starting_a_paused_server_wakes_it(stack: Stack):
    before = stack.postgres.status().pid
    stack.postgres.pause()
    stack.postgres.start()
    assert stack.postgres.status().state is ServerState.RUNNING
    assert stack.postgres.status().pid == before


def test_postgres_starts_although_its_pid_file_names_a_living_stranger(stack: Stack):
    status = stack.postgres.status()
    stack.postgres.kill()
    pid_file = Path(status.data) / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    owner = pid_file.stat()
    pid_file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    stack.postgres.start()
    assert stack.postgres.status().state is ServerState.RUNNING
    assert psutil.pid_exists(os.getpid())


async def test_topics_are_created_once_with_their_config(stack: Stack):
    bootstrap = stack.address.kafka
    specs = [
        TopicSpec("created.v1", 3, {"retention.ms": "7200000"}),
        TopicSpec("created.v2", 1, {"cleanup.policy": "compact"}),
    ]
    assert await ensure_topics(bootstrap, specs) == ["created.v1", "created.v2"]
    assert await ensure_topics(bootstrap, specs) == []
    await _send(bootstrap, "created.v1", b"x")


def test_the_first_group_of_a_new_cluster_finds_its_coordinator_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async def first_group(bootstrap: str) -> None:
        await ensure_topics(bootstrap, [TopicSpec("new.v1", 1)])
        async with AIOKafkaConsumer("new.v1", bootstrap_servers=bootstrap, group_id="first"):
            assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []

    with running_stack(tmp_path, postgres=False, ephemeral=True) as new:
        asyncio.run(first_group(new.address.kafka))


async def test_two_processes_creating_the_same_topics_agree(stack: Stack):
    specs = [TopicSpec(f"raced.v{n}", 2) for n in range(5)]
    both = await asyncio.gather(*(ensure_topics(stack.address.kafka, specs) for _ in range(2)))
    assert sorted(both[0] + both[1]) == [spec.name for spec in specs]


async def test_a_differing_partition_count_names_topic_found_and_expected_and_creates_nothing(
    stack: Stack,
):
    bootstrap = stack.address.kafka
    await ensure_topics(bootstrap, [TopicSpec("fixed.v1", 2)])
    specs = [TopicSpec("fixed.v1", 4), TopicSpec("innocent.v1", 1)]
    with pytest.raises(TopicMismatchError, match=r"fixed\.v1 has 2 and needs 4"):
        await ensure_topics(bootstrap, specs)
    assert await ensure_topics(bootstrap, [TopicSpec("innocent.v1", 1)]) == ["innocent.v1"]


async def test_a_topic_the_broker_refuses_is_named(stack: Stack):
    with pytest.raises(TopicCreationError, match=r"bad\.v1"):
        await ensure_topics(stack.address.kafka, [TopicSpec("bad.v1", 1, {"no.such": "1"})])


async def test_a_record_of_one_mebibyte_passes_and_a_much_larger_one_is_refused(stack: Stack):
    bootstrap = stack.address.kafka
    await ensure_topics(bootstrap, [TopicSpec("large.v1", 1)])
    await _send(bootstrap, "large.v1", b"x" * 1024 * 1024)
    with pytest.raises(MessageSizeTooLargeError):
        await _send(bootstrap, "large.v1", b"x" * 2 * 1024 * 1024)


async def test_an_undeclared_topic_is_not_created_by_asking_for_it(stack: Stack):
    bootstrap = stack.address.kafka
    with contextlib.suppress(asyncio.TimeoutError):
        async with asyncio.timeout(2):
            await _send(bootstrap, "undeclared.v1", b"x")
    assert await ensure_topics(bootstrap, [TopicSpec("undeclared.v1", 1)]) == ["undeclared.v1"]


def test_servers_named_by_the_environment_are_used_and_not_steered(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TALLY_POSTGRES_DSN", stack.address.postgres_dsn)
    monkeypatch.setenv("TALLY_KAFKA", stack.address.kafka)
    with running_stack(tmp_path / "var") as external:
        assert external.address.origin == "external"
        assert external.address.kafka == stack.address.kafka
        assert external.status().is_running
        with pytest.raises(NotControllableError, match="TALLY_KAFKA"):
            external.kafka.kill()
        with pytest.raises(NotControllableError, match="TALLY_POSTGRES_DSN"):
            external.reset()
    assert stack.status().is_running
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("lasting", [True, False])
def test_only_a_lasting_broker_spends_time_on_its_second_compiler(tmp_path: Path, lasting: bool):
    with running_stack(tmp_path, postgres=False, ephemeral=True, lasting=lasting) as stack:
        (kafka,) = stack.status().servers
        assert kafka.pid is not None
        limited = "-XX:TieredStopAtLevel=1" in psutil.Process(kafka.pid).cmdline()
    assert limited is not lasting
