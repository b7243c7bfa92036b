"""What an import makes of an export's files, and what it refuses, by file and line (F62)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tally_cli.moving.archive import ArchiveFault
from tally_cli.moving.plan import Plan, plan
from tally_contracts.ledger import PostJournal
from tally_contracts.programs import OpenBudget, RegisterPayable, ReserveBudget, UseBudget
from tally_runtime import derived_id

AT = datetime(2026, 9, 21, 8, tzinfo=UTC)
TENANT, PAYEE = derived_id("party", "moving", "t"), derived_id("party", "moving", "p")
MINE, OTHER = derived_id("acc", "moving", "mine"), derived_id("acc", "moving", "clearing")
PROGRAM, TOP, LOW, HELD, BILL = (
    derived_id(prefix, "moving", name)
    for prefix, name in (
        ("prog", "a"), ("bud", "top"), ("bud", "low"), ("rsv", "a"), ("pbl", "a")
    )
)  # fmt: skip
Files = dict[str, list[dict[str, Any]]]


def journal(name: str, minute: int) -> dict[str, Any]:
    return {
        "id": derived_id("jrn", "moving", name),
        "shard": "main",
        "reference": derived_id("pin", "moving", name),
        "effective_at": AT.replace(minute=minute).isoformat(),
        "who_actor": "user:first",
        "who_principal": TENANT,
        "where_channel": "api",
        "where_country": "DE",
        "why_program": "bonus",
        "why_event": f"order:{name}",
        "why_reason": "Order paid",
    }


def transfer(name: str, debit: str, credit: str, amount: str, kind: str) -> dict[str, Any]:
    return {
        "id": derived_id("tr", "moving", name + kind),
        "journal_id": derived_id("jrn", "moving", name),
        "kind": kind,
        "debit": debit,
        "credit": credit,
        "asset": "EUR",
        "amount": amount,
        "code": "allocate",
    }


@pytest.fixture
def files() -> Files:
    """A tenant with one account, three moves on it, two budgets and an invoice."""
    budget = {"program_id": PROGRAM, "currency": "EUR", "wallet": MINE, "holder": TENANT}
    party = {"external_id": None, "country": None, "state": "registered"}
    return {
        "directory.party": [
            {**party, "party_id": TENANT, "kind": "aggregator", "parent": None},
            {**party, "party_id": PAYEE, "kind": "payee", "parent": TENANT},
        ],
        "ledger.account": [
            {
                "id": MINE, "shard": "main", "asset": "EUR", "owner": PAYEE, "purpose": "wallet",
                "path": f"wallet/{PAYEE}/EUR", "guarded": True, "no_credit_overdraft": False,
                "aggregated": False, "max_balance": None, "debits_posted": "300",
                "credits_posted": "1000", "debits_pending": "0", "credits_pending": "0",
            }
        ],
        "ledger.journal": [journal("in", 1), journal("hold", 2), journal("out", 3)],
        "ledger.transfer": [
            transfer("in", OTHER, MINE, "1000", "single"),
            transfer("hold", MINE, OTHER, "300", "pending"),
            transfer("out", MINE, OTHER, "300", "post"),
        ],
        "programs.program": [{"id": PROGRAM, "name": "bonus", "company": TENANT, "title": "B"}],
        "programs.budget": [
            {**budget, "id": TOP, "parent": None, "path": "", "amount": "9000"},
            {**budget, "id": LOW, "parent": TOP, "path": TOP, "amount": "4000"},
        ],
        "programs.reservation": [
            {"id": HELD, "budget_id": LOW, "amount": "2500", "used": "500", "reference": "o-17",
             "open": True}
        ],
        "programs.settlement": [
            {"payable_id": BILL, "reference": derived_id("po", "moving", "a"), "currency": "EUR",
             "amount": "6000", "sequence": "5"}
        ],
        "programs.payable": [
            {"id": BILL, "program_id": PROGRAM, "document": "invoice", "number": "INV-1",
             "payer": TENANT, "payee": PAYEE, "currency": "EUR", "amount": "10000",
             "due": "2026-10-31", "kind": "payables", "settled_by": "payout", "paid": "6000",
             "cancelled": False}
        ],
    }  # fmt: skip


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[Files], Plan]:
    def write(files: Files) -> Plan:
        for name, rows in files.items():
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(lines)
        return plan(tmp_path, TENANT, taken_at=AT, now=AT)

    return write


def events(made: Plan, kind: type[Any]) -> list[Any]:
    return [each.event for wave in made.waves for each in wave if isinstance(each.event, kind)]


def test_f62_history_keeps_times_people_and_reasons_and_is_marked_as_imported(
    files: Files, planned: Callable[[Files], Plan]
) -> None:
    came, went = events(planned(files), PostJournal)
    assert (came.effective_at.minute, went.effective_at.minute) == (1, 3)
    for each, name in ((came, "in"), (went, "out")):
        assert (each.who.actor, each.why.event) == ("user:first", f"order:{name}")
        assert (each.where.channel, each.where.country) == ("import", "DE")
        assert each.reference.startswith("imp_")
    ((received,), (paid,)) = (came.legs, went.legs)
    assert (received.credit, received.amount.amount) == (MINE, "10.00")
    assert (paid.debit, paid.amount.amount) == (MINE, "3.00")
    # What is nobody's of the tenant is one account, opened once.
    assert received.debit == paid.credit
    assert [spec.id for spec in came.open_accounts] == [received.debit, MINE]
    assert went.open_accounts == ()


def test_f62_budgets_come_tier_by_tier_with_their_use_and_payables_with_what_was_paid(
    files: Files, planned: Callable[[Files], Plan]
) -> None:
    made = planned(files)
    top, low = events(made, OpenBudget)
    assert (top.budget_id, low.parent, low.wallet) == (TOP, TOP, None)
    (reserved,), (used,) = events(made, ReserveBudget), events(made, UseBudget)
    assert (reserved.amount.amount, used.amount.amount) == ("25.00", "5.00")
    (bill,) = events(made, RegisterPayable)
    assert [each.amount.amount for each in bill.brought.settled] == ["60.00"]


@pytest.mark.parametrize(
    ("file", "line", "wrong"),
    [
        ("ledger.transfer", 1, ({"amount": "999"}, "history_incomplete")),
        ("ledger.transfer", 3, ({"amount": "x"}, "row_unusable")),
        ("ledger.transfer", 3, ({"journal_id": "jrn_gone"}, "row_unusable")),
        ("ledger.account", 1, ({"debits_pending": "1"}, "money_reserved")),
        ("ledger.account", 1, ({"owner": derived_id("party", "stranger")}, "row_unusable")),
        ("programs.reservation", 1, ({"budget_id": "bud_gone"}, "row_unusable")),
        ("programs.budget", 2, ({"program_id": "prog_gone"}, "row_unusable")),
        ("programs.payable", 1, ({"paid": "5999"}, "row_unusable")),
        ("programs.payable", 1, ({"due": "soon"}, "row_unusable")),
    ],
)
def test_f62_what_does_not_add_up_is_refused_by_file_and_line(
    files: Files,
    planned: Callable[[Files], Plan],
    file: str,
    line: int,
    wrong: tuple[dict[str, Any], str],
) -> None:
    change, code = wrong
    files[file][line - 1] |= change
    with pytest.raises(ArchiveFault) as raised:
        planned(files)
    assert raised.value.code == code
    # A sum that is wrong is the account's: no one transfer is at fault.
    place = (
        "ledger.account.jsonl line 1"
        if code == "history_incomplete"
        else f"{file}.jsonl line {line}"
    )
    assert place in str(raised.value)
    assert "export again" in str(raised.value)


def test_f62_a_payment_that_waits_for_a_decision_is_not_left_behind(
    files: Files, planned: Callable[[Files], Plan]
) -> None:
    files["programs.payment"] = [
        {"id": "pmt_1", "state": "paid"},
        {"id": "pmt_2", "state": "proposed"},
    ]
    with pytest.raises(ArchiveFault) as raised:
        planned(files)
    assert (raised.value.code, "line 2" in str(raised.value)) == ("decision_open", True)
