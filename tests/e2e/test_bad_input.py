"""Bad input: a clear answer with code, place and remedy; nothing changed, nothing lost."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tally_cli.demo.dataset import PARTIES, Payee
from tally_cli.demo.statement import make_statement
from tally_cli.publishing import Publication, publish

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

EVENT = {
    "amount": {"currency": "USD", "amount": "10.00"},
    "originator": {"reference": "payer-1"},
    "company": "co_1",
    "beneficiary": {"party": "pty_1"},
    "value_date": "2026-11-24",
    "who": {"actor": "a", "principal": "p"},
    "where": {"channel": "invoice"},
    "why": {"program": "bad-input", "event": "e", "reason": "A reason"},
    "occurred_at": "2026-11-24T10:00:00Z",
}


def test_a_record_nobody_can_read_is_listed_with_reason_bytes_and_place(
    up: Any, wait_for: Callable[..., None]
) -> None:
    body = json.dumps(
        {**EVENT, "external_id": "bad-1", "amount": {"currency": "JPY", "amount": "1.5"}}
    ).encode()
    record = Publication(
        "funding.inbound.invoices.v1",
        b"bad-1",
        body,
        [
            ("ce_specversion", b"1.0"),
            ("ce_id", b"bad-1"),
            ("ce_source", b"/test"),
            ("ce_type", b"funding.inbound.received.v1"),
        ],
    )
    asyncio.run(publish(up.environment["TALLY_KAFKA"], [record]))

    def listed() -> list[Any]:
        told = up.tally("dlq", "ls", "--json", "--code", "too_many_decimals")
        assert told.returncode == 0, told.stderr
        found: list[Any] = json.loads(told.stdout)
        return found

    wait_for("the record is in tally dlq ls", lambda: bool(listed()))
    row = listed()[0]
    assert (row["consumer"], row["topic"]) == ("funding", "funding.inbound.invoices.v1")
    assert row["partition"] >= 0
    assert row["offset"] >= 0
    shown = json.loads(up.tally("dlq", "show", row["id"]).stdout)
    assert base64.b64decode(shown["value_base64"]) == body
    assert "JPY has 0" in shown["detail"]
    refused = up.tally("dlq", "replay", row["id"], "--actor", "tester")
    assert refused.returncode == 1
    assert "still refused: too_many_decimals" in refused.stderr
    assert up.tally("dlq", "drop", row["id"], "--actor", "tester").returncode == 2
    assert up.tally("dlq", "drop", row["id"], "--actor", "tester", "--yes").returncode == 0
    assert listed() == []
    assert up.tally("dlq", "show", "no-such-id").returncode == 3


def test_a_line_that_is_wrong_publishes_nothing_and_names_line_and_field(
    up: Any, tmp_path: Path
) -> None:
    good = json.dumps({**EVENT, "external_id": "file-1"})
    bad = json.dumps({**EVENT, "external_id": "file-2", "why": {"program": "p", "event": "e"}})
    file = tmp_path / "events.jsonl"
    file.write_text(f"{good}\n{bad}\n")
    told = up.tally("fund", str(file))
    assert told.returncode == 2
    assert f"{file}:2: why.reason" in told.stderr
    assert "nothing was published" in told.stderr
    assert up.tally("trace", "file-1").returncode == 3


def test_f12_a_statement_is_imported_once_and_a_broken_one_names_its_line(
    up: Any, tmp_path: Path
) -> None:
    payees = tuple(Payee(f"pty_statement_{n}", None, chooses_late=False) for n in range(PARTIES))
    content, _ = make_statement("stmt-test", payees, date(2026, 11, 24))
    broken = tmp_path / "broken.xml"
    broken.write_bytes(content.replace(b"100.00", b"100.01", 1))
    told = up.tally("fund", str(broken))
    assert told.returncode == 2
    assert "statement_totals" in told.stderr
    assert f"{broken}:" in told.stderr
    assert "nothing was imported" in told.stderr
    good = tmp_path / "good.xml"
    good.write_bytes(content)
    first = up.tally("fund", str(good))
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["pay_ins"] == 12
    again = json.loads(up.tally("fund", str(good)).stdout)
    assert (again["pay_ins"], again["already_known"]) == (0, 12)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TALLY_RELAY_LEASE_S", "soon", "integer"),
        ("TALLY_BATCH_RECORDS_MAX", "0", "greater than or equal to 1"),
        ("TALLY_KAFKA", "nowhere", "host:port"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    variable: str, value: str, expected: str
) -> None:
    environment = {
        **os.environ,
        "TALLY_ENVIRONMENT": "test",
        "TALLY_KAFKA": "127.0.0.1:9092",
        "TALLY_LEDGER_POSTGRES_DSN": "postgresql://u:for-tests-only@127.0.0.1:1/nowhere",
        variable: value,
    }
    told = subprocess.run(
        [sys.executable, "-m", "tally_cli", "run", "ledger"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 1
    assert variable in told.stderr
    assert expected in told.stderr
    assert value in told.stderr


def test_zz_the_books_agree_after_all_of_it(up: Any) -> None:
    told = up.tally("verify", "--wait", "30", "--json")
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr
    assert json.loads(told.stdout)["verdict"] != "red"
