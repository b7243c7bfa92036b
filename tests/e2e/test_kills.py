"""P2: every service killed -9 in turn while money moves; afterwards the oracle is green."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tally_cli.demo.dataset import Payee
from tally_cli.demo.payees import choose, register
from tally_cli.platform import SERVICES, Installation, passwords, prepare_database, prepare_topics
from tally_cli.publishing import Publication, publish
from tally_embedded import running_stack
from tally_railkit.sealing import SealingKey
from tally_reconciliation import Sources, verify
from tally_runtime import SystemClock

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

KEY = "a2lsbC10ZXN0LXNlYWxpbmcta2V5LTMyLWJ5dGVzISE="
EVENTS = 400


@contextmanager
def running(installation: Installation, log: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Every service a process of its own; `start` in the dict's place restarts one."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with log.open("ab") as errors:
        try:
            for name in SERVICES:
                processes[name] = start(installation, name, errors.fileno())
            yield processes
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait(40)


def start(installation: Installation, name: str, errors: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "TALLY_ENVIRONMENT": "test",
        "TALLY_LOG_LEVEL": "WARNING",
        "TALLY_KAFKA": installation.kafka,
        "TALLY_FUNDING_SOURCES": "cards",
        "TALLY_SEALING_KEY": KEY,
        "TALLY_SESSION_TIMEOUT_MS": "6000",
        "TALLY_RELAY_LEASE_S": "3",
        # Static membership: a service that comes back takes up its partitions at once.
        "TALLY_INSTANCE": "0",
        f"TALLY_{name.upper()}_POSTGRES_DSN": installation.dsn(name),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tally_messaging.launch", name], env=environment, stderr=errors
    )


def money(number: int) -> Publication:
    event = {
        "external_id": f"kill-{number}",
        "amount": {"currency": "EUR", "amount": "20.00"},
        "originator": {"reference": "payer-1"},
        "company": "co_1",
        "beneficiary": {"party": f"pty_kill_{number % 20}"},
        "value_date": "2026-11-24",
        "who": {"actor": "a", "principal": "p"},
        "where": {"channel": "card"},
        "why": {"program": "kills", "event": f"order-{number}", "reason": "A reason"},
        "occurred_at": "2026-11-24T10:00:00Z",
    }
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"kill-{number}".encode()),
        ("ce_source", b"/test"),
        ("ce_type", b"funding.inbound.received.v1"),
    ]
    return Publication(
        "funding.inbound.cards.v1",
        event["external_id"].encode(),
        json.dumps(event).encode(),
        headers,
    )


async def test_p2_every_service_killed_in_turn_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with running_stack(tmp_path, ephemeral=True) as stack:
        address = stack.address
        installation = Installation(address.postgres_dsn, address.kafka, passwords(tmp_path))
        prepare_database(installation)
        await prepare_topics(installation, ["cards"])
        log = tmp_path / "services.log"
        with running(installation, log) as processes, log.open("ab") as errors:
            payees = tuple(Payee(f"pty_kill_{n}", None, chooses_late=False) for n in range(20))
            clock, key = SystemClock(), SealingKey.parse(KEY)
            ways = register(payees, run="kill", tenant="main", key=key, clock=clock)
            await publish(address.kafka, [*ways, *choose(payees, run="kill", clock=clock)])
            feed = asyncio.create_task(offer(address.kafka))
            for name in SERVICES:
                await asyncio.sleep(2)
                processes[name].send_signal(signal.SIGKILL)
                processes[name].wait()
                processes[name] = start(installation, name, errors.fileno())
            await feed
            report = await verify(Sources(address.postgres_dsn, address.kafka), wait_s=120)
            wrong = [check.line() for check in report.checks if check.verdict != "green"]
            assert report.verdict == "green", "\n".join(wrong) + log.read_text()[-2000:]
            assert dict(report.counts["payouts"]) == {"paid": EVENTS}


async def offer(kafka: str) -> None:
    for first in range(0, EVENTS, 20):
        await publish(kafka, [money(number) for number in range(first, first + 20)])
        await asyncio.sleep(0.5)
