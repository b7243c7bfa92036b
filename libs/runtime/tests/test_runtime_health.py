import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tally_runtime import FixedClock, Health, HealthServer, Metrics


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def health(clock: FixedClock) -> Health:
    return Health(clock)


@pytest.fixture
async def server(health: Health) -> AsyncIterator[HealthServer]:
    metrics = Metrics("ledger")
    metrics.counter("holds_total", "Holds placed")().inc(3)
    server = HealthServer(health, metrics.registry, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.stop()


async def ask(server: HealthServer, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(raw)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def get(server: HealthServer, path: str) -> tuple[int, str]:
    answer = await ask(server, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def test_a_loop_that_stops_progressing_ends_liveness(health: Health, clock: FixedClock) -> None:
    health.expect("consume", within_s=30)
    clock.advance(timedelta(seconds=30))
    assert health.is_live()
    clock.advance(timedelta(seconds=1))
    assert not health.is_live()
    assert health.late() == ("consume",)
    health.progress("consume")
    assert health.is_live()


def test_one_busy_loop_does_not_cover_for_another(health: Health, clock: FixedClock) -> None:
    health.expect("consume", within_s=10)
    health.expect("relay", within_s=10)
    clock.advance(timedelta(seconds=11))
    health.progress("relay")
    assert health.late() == ("consume",)


def test_a_loop_that_ended_on_purpose_is_no_longer_expected(
    health: Health, clock: FixedClock
) -> None:
    health.expect("consume", within_s=10)
    health.forget("consume")
    clock.advance(timedelta(days=1))
    assert health.is_live()


def test_expecting_progress_within_no_time_is_refused(health: Health) -> None:
    with pytest.raises(ValueError, match="positive"):
        health.expect("consume", within_s=0)


async def test_live_answers_503_and_names_the_late_loop(
    health: Health, clock: FixedClock, server: HealthServer
) -> None:
    health.expect("consume", within_s=5)
    assert await get(server, "/live") == (200, '{"ok": true, "late": []}\n')
    clock.advance(timedelta(seconds=6))
    status, body = await get(server, "/live")
    assert status == 503
    assert json.loads(body) == {"ok": False, "late": ["consume"]}


async def test_a_dependency_that_is_down_ends_readiness_and_not_liveness(
    health: Health, server: HealthServer
) -> None:
    async def refused() -> None:
        raise ConnectionRefusedError("postgresql://tally:s3cret@db")

    async def fine() -> None:
        return None

    health.require("kafka", fine)
    assert (await get(server, "/ready"))[0] == 200
    health.require("postgres", refused)
    status, body = await get(server, "/ready")
    assert status == 503
    assert json.loads(body)["unready"] == {"postgres": "ConnectionRefusedError"}
    assert "s3cret" not in body
    assert (await get(server, "/live"))[0] == 200


async def test_a_readiness_check_that_hangs_counts_as_failed(clock: FixedClock) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    health = Health(clock, check_timeout_s=0.05)
    health.require("kafka", hangs)
    assert await health.unready() == {"kafka": "timed out"}


async def test_metrics_carry_the_service(server: HealthServer) -> None:
    status, body = await get(server, "/metrics")
    assert status == 200
    assert 'tally_holds_total{service="ledger"} 3.0' in body
    assert "process_cpu_seconds_total" in body


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /live HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /live?verbose=1 HTTP/1.1\r\n\r\n", b"200"),
        (b"HEAD /live HTTP/1.1\r\n\r\n", b"200"),
        (b"\r\n\r\n", b"405"),
    ],
)
async def test_other_requests_get_a_plain_answer(
    server: HealthServer, raw: bytes, status: bytes
) -> None:
    answer = await ask(server, raw)
    assert answer.split()[1] == status
    assert raw.startswith(b"HEAD") == answer.endswith(b"\r\n\r\n")


async def test_an_endless_request_is_dropped_and_the_next_is_answered(
    server: HealthServer,
) -> None:
    with contextlib.suppress(ConnectionError):
        assert await ask(server, b"GET /live HTTP/1.1\r\nX: " + b"a" * 1_000_000) == b""
    assert (await get(server, "/live"))[0] == 200
