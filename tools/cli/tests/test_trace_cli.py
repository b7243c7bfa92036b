import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tally_cli.trace import trace
from tally_money import Money
from tally_portfolio import store
from tally_portfolio.app import SCHEMA
from tally_portfolio.domain.projection import Account, Hop, PayIn, Payout, Projection
from tally_postgres import Schema, create_pool, in_transaction
from tally_testkit import ServiceDatabase

pytestmark = pytest.mark.stack

AT = datetime(2026, 9, 21, 8, tzinfo=UTC)
USD_100 = Money.parse("100.00", "USD")
WS = {
    "who": ["svc:feed", "co_1"],
    "where": ["api", "DE"],
    "why": ["rebates", "order:7", "Rebate for order 7"],
}


def _hop(subject: str, number: int, event_type: str, **summary: Any) -> Hop:
    at = AT + timedelta(milliseconds=250 * number)
    service = event_type.partition(".")[0]
    event_id = f"event-{subject}-{number}"
    return Hop(
        event_id,
        subject,
        "corr",
        None,
        event_type,
        f"{service}.x.v1",
        service,
        at,
        at,
        WS | summary,
    )


def _projection() -> Projection:
    """One payment that waits for its payee, and two that share a wallet."""
    projection = Projection()
    for hop in (
        _hop("pin_1", 0, "funding.pay_in.received.v1", amount="100.00", currency="USD"),
        _hop(
            "pin_1",
            1,
            "ledger.journal.posted.v1",
            legs=[["acc_clearing", "acc_ann", "100.00", "USD", "pay_in"]],
            legs_total=1,
        ),
        _hop(
            "pin_1",
            2,
            "funding.pay_in.allocated.v1",
            amount="100.00",
            currency="USD",
            allocations=[["acc_ann", "ann", "beneficiary", "100.00", True]],
        ),
        _hop(
            "po_1",
            3,
            "payouts.payout.changed.v1",
            sequence=1,
            state="claimable",
            reason_code="no_method",
            must_act="payee",
        ),
        _hop("pin_2", 0, "funding.pay_in.received.v1"),
        _hop("pin_3", 0, "funding.pay_in.received.v1"),
    ):
        projection.add_hop(hop)
    for number in (1, 2, 3):
        pay_in_id = f"pin_{number}"
        # A source's own id is the only text of others that comes this far; it is told as it is.
        external_id = f"invoice-{number}" if number == 1 else f"\u202e\x9b31m-{number}"
        projection.add_pay_in(
            PayIn(
                pay_in_id=pay_in_id,
                correlation_id=f"corr-{number}",
                source="cards",
                external_id=external_id,
                amount=USD_100,
                state="allocated",
                state_rank=3,
                changed_at=AT,
                company="co_1",
                owner="ann",
                received_at=AT + timedelta(minutes=number),
                payouts_expected=1 if number == 1 else 0,
            )
        )
        projection.add_key(external_id, pay_in_id, AT, shared=True)
        if number > 1:
            projection.add_key("acc_shared", pay_in_id, AT, shared=True)
    projection.add_payout(
        Payout(
            payout_id="po_1",
            pay_in_id="pin_1",
            correlation_id="corr-1",
            owner="ann",
            company="co_1",
            account="acc_ann",
            amount=USD_100,
            sequence=1,
            state="claimable",
            changed_at=AT,
            rail=None,
            reason_code="no_method",
            must_act="payee",
        )
    )
    projection.add_account(Account("acc_ann", "main", "wallet/ann/USD", "ann", "wallet", "USD", AT))
    return projection


async def _fill(dsn: str) -> None:
    pool = await create_pool(dsn, schema="portfolio", application_name="test", max_size=1)
    await in_transaction(pool, lambda conn: store.save(conn, _projection()))
    await pool.close()


@pytest.fixture
def database(
    fresh_database: Callable[[Schema], ServiceDatabase], monkeypatch: pytest.MonkeyPatch
) -> ServiceDatabase:
    made = fresh_database(SCHEMA)
    asyncio.run(_fill(made.dsn("portfolio")))
    monkeypatch.setenv("TALLY_POSTGRES_DSN", made.admin_dsn)
    return made


def _trace(*arguments: str):
    app = typer.Typer()
    app.command()(trace)
    return CliRunner().invoke(app, arguments)


@pytest.mark.usefixtures("database")
def test_json_is_all_there_is_on_stdout_and_tells_the_whole_payment():
    result = _trace("po_1", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert [payment["payment_id"] for payment in told["payments"]] == ["pin_1"]
    line = told["time_line"]
    assert [hop["since_first_ms"] for hop in line["hops"]] == [0, 250, 500, 750]
    assert line["hops"][0]["who"] == {"actor": "svc:feed", "principal": "co_1"}
    assert line["hops"][0]["why"]["reason"] == "Rebate for order 7"
    assert line["hops"][3]["what"]["must_act"] == "payee"
    assert (line["allocated"], line["payouts_ended"], line["complete"]) == (True, False, False)
    assert line["money"] == [
        {
            "currency": "USD",
            "received": "100.00",
            "paid_out": "0.00",
            "under_way": "100.00",
            "resting": "0.00",
            "returned": "0.00",
        }
    ]
    assert line["accounts"]["acc_ann"]["path"] == "wallet/ann/USD"
    assert told["more_payments"] is False


@pytest.mark.usefixtures("database")
def test_the_text_shows_each_hop_with_its_time_and_who_must_act():
    result = _trace("invoice-1")
    assert result.exit_code == 0, result.stderr
    assert "pay-in    100.00 USD  allocated  cards invoice-1  co_1 for ann" in result.stdout
    assert "why       rebates · order:7 · Rebate for order 7" in result.stdout
    hops = [line.split() for line in result.stdout.splitlines() if line.startswith("+")]
    assert [hop[:3] for hop in hops] == [
        ["+0.000s", "funding", "funding.pay_in.received"],
        ["+0.250s", "ledger", "ledger.journal.posted"],
        ["+0.500s", "funding", "funding.pay_in.allocated"],
        ["+0.750s", "payouts", "payouts.payout.changed"],
    ]
    assert "acc_clearing → wallet/ann/USD 100.00 USD" in result.stdout
    assert "waiting   po_1 claimable since 2026-09-21 08:00:00 UTC: no_method; payee must act" in (
        result.stdout
    )


@pytest.mark.usefixtures("database")
def test_several_payments_are_listed_newest_first_without_anything_that_moves_a_terminal():
    result = _trace("acc_shared")
    assert result.exit_code == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split()[0] == "payment"
    assert [row.split()[0] for row in rows] == ["pin_3", "pin_2"]
    assert all(character.isprintable() for character in "".join(rows))
    assert "tally trace PAYMENT" in result.stderr
    told = json.loads(_trace("acc_shared", "--json").stdout)
    assert [payment["payment_id"] for payment in told["payments"]] == ["pin_3", "pin_2"]
    assert told["time_line"] is None


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_an_unknown_id_exits_3_with_a_remedy_and_an_empty_stdout(flags: tuple[str, ...]):
    result = _trace("po_unknown", *flags)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "error [payment_not_found]" in result.stderr
    assert "tally lag" in result.stderr


def test_a_database_without_the_schema_is_named_with_its_remedy(
    fresh_database: Callable[..., ServiceDatabase], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TALLY_POSTGRES_DSN", fresh_database().admin_dsn)
    result = _trace("po_1")
    assert result.exit_code == 1
    assert "tally migrate" in result.stderr


@pytest.mark.usefixtures("database")
def test_a_terminal_gets_the_same_hops_as_a_table():
    script = "import typer; from tally_cli.trace import trace; typer.run(trace)"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script, "pin_1"],
        stdout=theirs,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # how Linux says that the other side was closed
                break
            shown += part
        assert process.wait() == 0
    os.close(ours)
    text = shown.decode()
    assert "\x1b[1m" in text, "the headers are bold"
    for moment in ("+0.000s", "+0.250s", "+0.500s", "+0.750s"):
        assert moment in text
