"""F62: a tenant leaves with everything, and is at home in another installation to the minor unit."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tally_cli.moving.archive import Manifest, write_rows
from tally_cli.publishing import Publication, publication, publish
from tally_contracts.base import Amount, Event, PositiveAmount, Where, Who, Why
from tally_contracts.directory import DirectoryCommand, OpenWallet, RegisterParty, SetRelation
from tally_contracts.funding import Beneficiary, FundingReceived, Originator
from tally_contracts.programs import (
    CreateProgram,
    FundingWallet,
    OpenBudget,
    PolicyDocument,
    PublishPolicy,
    RegisterPayable,
    ReserveBudget,
    SetFundingOrder,
    UseBudget,
)
from tally_runtime import Ids, SystemClock, derived_id

from .conftest import Up, _exports

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

TENANT = derived_id("party", "export", "aggregator")
COMPANY = derived_id("party", "export", "company")
PAYEE = derived_id("party", "export", "payee")
PROGRAM = derived_id("prg", "export", "program")
WALLET = derived_id("wallet", "export", "bonus")
FUNDS = derived_id("wallet", "export", "funds")
BUDGET, PART = derived_id("bud", "export", "all"), derived_id("bud", "export", "part")
RESERVED = derived_id("rsv", "export", "order")
PAYABLE = derived_id("pbl", "export", "invoice")
AT = datetime(2026, 9, 21, 8, tzinfo=UTC)
OPERATOR = Who(actor="cli", principal="operator")
ASKED = {"tenant": TENANT, "who": OPERATOR, "occurred_at": AT}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Up]:
    """Another installation, empty."""
    log = (tmp_path / "up.log").open("wb")
    var = tmp_path / "var"
    process = subprocess.Popen(
        [sys.executable, "-m", "tally_cli", "up", "--var", str(var)],
        stdout=subprocess.PIPE,
        stderr=log,
    )
    try:
        yield Up(var, _exports(process, tmp_path / "up.log"))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "up.log").read_text()[-3000:]
        assert process.stdout is not None
        process.stdout.close()
        log.close()


def _command(model: type[DirectoryCommand], name: str, /, **fields: object) -> DirectoryCommand:
    return model.model_validate(
        {**ASKED, "command_id": derived_id("cmd", "export", name), "reason": "Test", **fields}
    )


def _story() -> list[tuple[Event, str, str]]:
    """Commands and money of one tenant: event, topic, key."""
    directory = [
        _command(RegisterParty, "t", party_id=TENANT, kind="aggregator"),
        _command(RegisterParty, "c", party_id=COMPANY, kind="company", parent=TENANT, country="DE"),
        _command(RegisterParty, "p", party_id=PAYEE, kind="payee", parent=COMPANY),
        _command(SetRelation, "r", party=PAYEE, other=COMPANY, relation="supplier"),
        _command(
            OpenWallet,
            "w",
            wallet_id=WALLET,
            owner=PAYEE,
            currency="EUR",
            purpose="bonus",
            reference="2026",
        ),
        _command(
            OpenWallet, "f", wallet_id=FUNDS, owner=COMPANY, currency="EUR", purpose="default"
        ),
    ]
    program = CreateProgram(
        **ASKED, program_id=PROGRAM, program="export-bonus", company=COMPANY, title="Bonus"
    )
    policy = PublishPolicy(
        **ASKED,
        program_id=PROGRAM,
        version=1,
        effective_from=None,
        effective_until=None,
        policy=PolicyDocument(rails=("ach",)),
    )
    return [
        *((command, "directory.commands.v1", TENANT) for command in directory),
        (program, "programs.commands.v1", TENANT),
        (policy, "programs.commands.v1", TENANT),
    ]


def _money(external_id: str, currency: str, amount: str, event: str = "") -> tuple[Event, str, str]:
    received = FundingReceived(
        external_id=external_id,
        amount=PositiveAmount(currency=currency, amount=amount),
        originator=Originator(reference="payer-1"),
        company=COMPANY,
        beneficiary=Beneficiary(party=PAYEE),
        value_date=AT.date(),
        who=Who(actor="upstream", principal=COMPANY),
        where=Where(channel="api"),
        why=Why(program="export-bonus", event=event or f"bonus:{external_id}", reason="Bonus"),
        occurred_at=AT,
    )
    return received, "funding.inbound.invoices.v1", external_id


def _owed(account: str) -> list[tuple[Event, str, str]]:
    """Budgets in two tiers, one of them part used, and an invoice that a pay-in is to settle."""
    common = {
        "tenant": TENANT,
        "program_id": PROGRAM,
        "who": OPERATOR,
        "where": Where(channel="api"),
        "why": Why(program="export-bonus", event="2026", reason="Agreed"),
        "occurred_at": AT,
    }

    def euro(amount: str) -> dict[str, str]:
        return {"currency": "EUR", "amount": amount}

    used = {**common, "budget_id": PART, "reservation_id": RESERVED}
    events: list[Event] = [
        SetFundingOrder(
            **ASKED,
            program_id=PROGRAM,
            version=1,
            wallets=(FundingWallet(account=account, currency="EUR"),),
        ),
        OpenBudget(
            **common,
            budget_id=BUDGET,
            parent=None,
            holder=COMPANY,
            amount=Amount(**euro("90.00")),
            wallet=account,
        ),
        OpenBudget(
            **common,
            budget_id=PART,
            parent=BUDGET,
            holder=PAYEE,
            amount=Amount(**euro("40.00")),
            wallet=None,
        ),
        ReserveBudget(**used, amount=PositiveAmount(**euro("25.00")), reference="order-17"),
        UseBudget(
            **used, use_id=derived_id("use", "export", "1"), amount=PositiveAmount(**euro("5.00"))
        ),
        RegisterPayable(
            **common,
            payable_id=PAYABLE,
            document="invoice",
            number="INV-1",
            payer=PAYEE,
            payee=COMPANY,
            amount=PositiveAmount(**euro("150.00")),
            due=AT.date(),
            kind="receivables",
            settled_by="pay_in",
        ),
    ]
    return [(event, "programs.commands.v1", TENANT) for event in events]


def _send(up: Up, events: list[tuple[Event, str, str]]) -> None:
    ids, clock = Ids(), SystemClock()
    records: list[Publication] = [
        publication(
            event, topic=topic, key=key, event_id=str(ids.uuid7()), source="/test", clock=clock
        )
        for event, topic, key in events
    ]
    asyncio.run(publish(up.environment["TALLY_KAFKA"], records))


def _balances(up: Up) -> dict[str, int]:
    """Wallets of the payee and company, by path."""
    with psycopg.connect(up.environment["TALLY_POSTGRES_DSN"]) as conn:
        rows = conn.execute(
            "SELECT path, (credits_posted - debits_posted)::bigint FROM ledger.account"
            " WHERE owner = ANY(%s) ORDER BY path",
            ([TENANT, COMPANY, PAYEE],),
        ).fetchall()
    return {path: balance for path, balance in rows if balance}


def _rows(up: Up, query: str) -> list[tuple[Any, ...]]:
    """What an operator's session reads."""
    with psycopg.connect(up.environment["TALLY_POSTGRES_DSN"]) as conn:
        conn.execute("SELECT set_config('tally.tenant', '*', false)")
        return conn.execute(query.encode()).fetchall()


def _count(up: Up, query: str) -> int:
    ((number,),) = _rows(up, query)
    return int(number)


def _owing(up: Up) -> list[list[tuple[Any, ...]]]:
    """Budgets, reservations, payables and what settled them, as they stand."""
    of_tenant = f"WHERE tenant = '{TENANT}' ORDER BY 1"
    return [
        _rows(up, f"SELECT {columns} FROM programs.{table} {of_tenant}")
        for table, columns in (
            ("budget", "id, parent, path, holder, wallet, amount, allocated, reserved, used"),
            ("reservation", "id, budget_id, amount, used, reference, open"),
            ("payable", "id, number, payer, payee, amount, due, paid, cancelled"),
            ("settlement", "payable_id, reference, amount"),
        )
    ]


def _history(up: Up) -> list[list[tuple[Any, ...]]]:
    """What the portfolio shows of the payee's movements and of the pay-ins, to the last field."""
    movement = (
        "account, at, log_seq, transfer_id, kind, ledger, currency, posted, held, flow, counter,"
        " journal, reference, code, effective_at, five_ws, event_id"
    )
    pay_in = (
        "pay_in_id, correlation_id, source, external_id, currency, amount, company, owner, state,"
        " received_at, changed_at, payouts_expected"
    )
    hop = "event_id, subject, correlation_id, event_type, service, occurred_at, recorded_at"
    of_tenant = f"WHERE company = '{COMPANY}'"
    return [
        _rows(
            up,
            f"SELECT {movement} FROM portfolio.movement WHERE account IN"
            f" (SELECT account_id FROM portfolio.account WHERE owner = '{PAYEE}') ORDER BY at, 4",
        ),
        _rows(up, f"SELECT {pay_in} FROM portfolio.pay_in {of_tenant} ORDER BY 1"),
        _rows(
            up,
            f"SELECT {hop}, summary - 'brought' FROM portfolio.hop WHERE subject IN"
            f" (SELECT pay_in_id FROM portfolio.pay_in {of_tenant}) ORDER BY 1",
        ),
    ]


def test_f62_a_tenant_moves_to_an_empty_installation_that_verifies_green(
    up: Up, elsewhere: Up, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    _send(up, _story())
    of_tenant = f"FROM directory.party WHERE tenant = '{TENANT}'"
    wait_for("parties", lambda: _count(up, f"SELECT count(*) {of_tenant}") >= 3)
    wait_for("a policy", lambda: _count(up, "SELECT count(*) FROM programs.document") >= 1)
    ((account,),) = _rows(up, f"SELECT account FROM directory.wallet WHERE wallet_id = '{FUNDS}'")
    owned = f"SELECT count(*) FROM programs.wallet WHERE account = '{account}'"
    wait_for("the wallet known to programs", lambda: _count(up, owned) == 1)
    _send(up, _owed(account))
    used = f"SELECT count(*) FROM programs.reservation WHERE id = '{RESERVED}' AND used > 0"
    wait_for("a budget used", lambda: _count(up, used) == 1)
    _send(
        up,
        [
            _money("export-1", "EUR", "100.01", event="INV-1"),
            _money("export-2", "JPY", "500"),
            _money("export-3", "EUR", "20.00"),
        ],
    )
    wait_for("money in the wallets", lambda: len(_balances(up)) >= 2)
    paid = f"SELECT count(*) FROM programs.payable WHERE id = '{PAYABLE}' AND paid > 0"
    wait_for("an invoice part paid", lambda: _count(up, paid) == 1)
    wait_for("rest", lambda: up.tally("verify", "--wait", "30").returncode == 0)
    before, owing, history = _balances(up), _owing(up), _history(up)
    assert [len(rows) for rows in owing] == [2, 1, 1, 1]

    folder = tmp_path / "export"
    told = up.tally("export", TENANT, str(folder))
    assert told.returncode == 0, told.stderr
    rows = json.loads(told.stdout)["rows"]
    assert rows["directory.party.jsonl"] == 3
    assert rows["funding.pay_in.jsonl"] == 3
    assert rows["ledger.entry.jsonl"] >= 2

    checked = elsewhere.tally("import", str(folder), "--check")
    assert checked.returncode == 0, checked.stderr
    said = json.loads(checked.stdout)
    assert said["history"]["movements"] >= len(history[0]) == 3
    assert "funding.allocation.jsonl" in said["history_only"]
    for _ in range(2):  # begun again, it asks for the same and finds it done
        brought = elsewhere.tally("import", str(folder), timeout_s=600)
        assert brought.returncode == 0, brought.stdout + brought.stderr
        assert json.loads(brought.stdout)["differing"] == []
    after = {
        path: balance for path, balance in _balances(elsewhere).items() if "forward" not in path
    }
    assert after == before
    assert _count(elsewhere, f"SELECT count(*) {of_tenant}") == 3
    assert _owing(elsewhere) == owing
    assert len(history[1]) == 3
    assert _history(elsewhere) == history
    marked = "SELECT DISTINCT where_channel FROM ledger.journal WHERE reference LIKE 'hist_%'"
    assert _rows(elsewhere, marked) == [("import",)]
    assert _rows(elsewhere, "SELECT DISTINCT brought FROM portfolio.movement") == [(True,)]
    logged = (
        "SELECT count(*) FROM gateway.party_event"
        f" WHERE party = '{PAYEE}' AND type = 'funding.pay_in.allocated.v1'"
    )
    wait_for("the past in the logs", lambda: _count(elsewhere, logged) == 3)
    verified = elsewhere.tally("verify", "--wait", "60")
    assert verified.returncode == 0, verified.stdout + verified.stderr

    # Once it goes on here, what it was elsewhere can be brought no more, and nothing is asked.
    _send(elsewhere, [_money("export-4", "EUR", "1.00")])
    came = "SELECT count(*) FROM ledger.journal WHERE where_channel <> 'import'"
    wait_for("money that came here", lambda: _count(elsewhere, came) == 1)
    later = elsewhere.tally("import", str(folder))
    assert (later.returncode, "error [moved_on]: ledger.account.jsonl line" in later.stderr) == (
        1,
        True,
    )


def test_an_export_that_names_another_tenants_party_changes_nothing(
    up: Up, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    mine, theirs = derived_id("party", "taken", "mine"), derived_id("party", "taken", "theirs")
    command = _command(RegisterParty, "taken", party_id=theirs, kind="aggregator", tenant=theirs)
    _send(up, [(command, "directory.commands.v1", theirs)])
    known = f"SELECT count(*) FROM directory.party WHERE party_id = '{theirs}'"
    wait_for("a party", lambda: _count(up, known) == 1)
    common = {"state": "registered", "external_id": None, "country": None}

    async def rows() -> AsyncIterator[dict[str, Any]]:
        yield {**common, "party_id": mine, "kind": "aggregator", "parent": None}
        yield {**common, "party_id": theirs, "kind": "company", "parent": mine}

    name = "directory.party.jsonl"
    page = asyncio.run(write_rows(tmp_path / name, rows()))
    Manifest(mine, AT.isoformat(), {}, {name: page}).write(tmp_path)
    refused = up.tally("import", str(tmp_path))
    assert (refused.returncode, f"error [id_taken]: {name} line 2" in refused.stderr) == (1, True)
    assert _count(up, f"SELECT count(*) FROM directory.party WHERE tenant = '{mine}'") == 0


def test_an_export_that_was_changed_is_not_brought_in(up: Up, tmp_path: Path) -> None:
    refused = up.tally("export", "party_00000000000000000000000000", str(tmp_path / "none"))
    assert (refused.returncode, "tenant_unknown" in refused.stderr) == (3, True)
    assert not (tmp_path / "none").exists()

    tenant = derived_id("party", "export", "changed")
    command = _command(RegisterParty, "changed", party_id=tenant, kind="aggregator", tenant=tenant)
    _send(up, [(command, "directory.commands.v1", tenant)])
    folder = tmp_path / "export"
    for _ in range(60):
        if up.tally("export", tenant, str(folder)).returncode == 0:
            break
    full = up.tally("export", tenant, str(folder))
    assert (full.returncode, "folder_not_empty" in full.stderr) == (1, True)
    page = folder / "directory.party.jsonl"
    page.write_text(page.read_text().replace("aggregator", "company"))
    changed = up.tally("import", str(folder))
    assert (changed.returncode, "file_changed" in changed.stderr) == (1, True)
    shutil.rmtree(folder)
    missing = up.tally("import", str(tmp_path))
    assert (missing.returncode, "manifest_unreadable" in missing.stderr) == (1, True)
