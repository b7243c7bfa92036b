"""What an import tells the views of a tenant's past, and what it leaves where it is (F62)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tally_cli.moving.archive import ArchiveFault
from tally_cli.moving.history import accounts
from tally_cli.moving.past import SUBJECTS, Past
from tally_contracts.operations_history import TYPES, FactBrought, HopBrought, MovementBrought
from tally_money import iso_currencies
from tally_runtime import derived_id, derived_uuid

TENANT, COMPANY, STRANGER = (
    derived_id("party", "past", name) for name in ("t", "company", "stranger")
)
MINE, OTHER = derived_id("acc", "past", "mine"), derived_id("acc", "past", "clearing")
PAY_IN, PAYOUT, OPEN, OTHER_PAY_IN = (
    derived_id("pin", "past"), derived_id("po", "past"), derived_id("po", "past", "open"),
    derived_id("pin", "past", "other"),
)  # fmt: skip
AT = "2026-09-21T08:00:01+00:00"
RECEIVED, CHANGED = "funding.pay_in.received.v1", "payouts.payout.changed.v1"
Files = dict[str, list[dict[str, Any]]]


def told(name: str, event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """A fact as the gateway keeps it."""
    return {
        "event_id": str(derived_uuid("past", name)),
        "tenant": TENANT,
        "type": event_type,
        "occurred_at": AT,
        "payload": json.dumps(payload).encode().hex(),
    }


def hop(name: str, event_type: str, subject: str) -> dict[str, Any]:
    return {
        "event_id": str(derived_uuid("past", name)),
        "subject": subject,
        "correlation_id": "c-1",
        "causation_id": None,
        "event_type": event_type,
        "topic": "funding.pay_in.v1",
        "service": "funding",
        "occurred_at": AT,
        "recorded_at": "2026-09-21T10:00:02+02:00",
        "summary": {"amount": "10.00"},
        "about": None,
    }


def moved(name: str, posted: str, held: str) -> dict[str, Any]:
    return {
        "account": MINE, "at": AT, "log_seq": "7", "transfer_id": derived_id("tr", "past", name),
        "kind": "journal", "ledger": "main", "currency": "EUR", "posted": posted, "held": held,
        "flow": "received", "counter": OTHER, "journal": derived_id("jrn", "past", name),
        "reference": PAY_IN, "code": "allocate", "effective_at": AT, "event_id": name,
        "brought": False, "five_ws": {
            "who": ["user:first", TENANT], "where": ["api", None], "why": ["bonus", "o:1", "Paid"]
        },
    }  # fmt: skip


@pytest.fixture
def files() -> Files:
    """A pay-in that was allocated, a payout that was paid, one under way, and 7.00 that rest."""
    return {
        "directory.party": [{"party_id": TENANT}, {"party_id": COMPANY}],
        "funding.pay_in": [{"pay_in_id": PAY_IN, "state": "allocated"}],
        "payouts.payout": [{"id": PAYOUT, "state": "paid"}, {"id": OPEN, "state": "approved"}],
        "ledger.account": [
            {
                "id": MINE, "asset": "EUR", "purpose": "wallet", "debits_posted": "300",
                "credits_posted": "1000", "debits_pending": "0", "credits_pending": "0",
            }
        ],
        "gateway.event": [
            told("in", RECEIVED, {"pay_in_id": PAY_IN, "company": COMPANY}),
            told("out", CHANGED, {"payout_id": PAYOUT, "owner": "contact:x", "company": COMPANY}),
            told("open", CHANGED, {"payout_id": OPEN, "owner": COMPANY, "company": COMPANY}),
            told("party", "directory.party.registered.v1", {"party_id": COMPANY}),
        ],
        "portfolio.hop": [
            hop("in", RECEIVED, PAY_IN),
            hop("out", CHANGED, PAYOUT),
            hop("open", CHANGED, OPEN),
            hop("held", "ledger.hold.placed.v1", PAYOUT),
            hop("kept", "ledger.hold.placed.v1", OPEN),
        ],
        "portfolio.movement": [
            moved("in", "1000", "0"), moved("hold", "0", "300"), moved("out", "-300", "-300")
        ],
    }  # fmt: skip


@pytest.fixture
def past(tmp_path: Path) -> Callable[[Files], Past]:
    def write(files: Files) -> Past:
        for name, rows in files.items():
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(lines)
        return Past.of(tmp_path, TENANT, accounts(tmp_path, iso_currencies()))

    return write


def test_f62_facts_hops_and_movements_come_as_they_were(
    files: Files, past: Callable[[Files], Past]
) -> None:
    made = past(files)
    events = [event for event, _ in made.events()]
    facts = [each for each in events if isinstance(each, FactBrought)]
    assert [each.fact_type for each in facts] == [RECEIVED, CHANGED]
    assert json.loads(facts[0].fact) == {"pay_in_id": PAY_IN, "company": COMPANY}
    # In UTC, whatever the session that exported showed.
    assert '"recorded_at":"2026-09-21T08:00:02Z"' in facts[0].model_dump_json()
    (held,) = [each for each in events if isinstance(each, HopBrought)]
    assert (held.subject, json.loads(held.summary)) == (PAYOUT, {"amount": "10.00"})
    movements = [each for each in events if isinstance(each, MovementBrought)]
    assert [(each.posted, each.held) for each in movements] == [
        ("1000", "0"), ("0", "300"), ("-300", "-300")
    ]  # fmt: skip
    assert (movements[0].who.actor, movements[0].why.event) == ("user:first", "o:1")
    assert made.left_out == 1, "the payout under way stays where its money is"
    assert (made.movements[MINE], made.subjects) == (3, {PAY_IN, PAYOUT})
    assert made.named == {"contact:x", PAY_IN, PAYOUT}


@pytest.mark.parametrize(
    "payload",
    [
        {"company": STRANGER},
        {"company": COMPANY, "owner": STRANGER},
        {"company": COMPANY, "beneficiary": {"party": STRANGER}},
        {"company": COMPANY, "allocations": [{"owner": COMPANY}, {"owner": STRANGER}]},
    ],
)
def test_f62_what_is_also_a_strangers_is_not_told(
    files: Files, past: Callable[[Files], Past], payload: dict[str, Any]
) -> None:
    files["gateway.event"][0] = told("in", RECEIVED, {"pay_in_id": PAY_IN, **payload})
    made = past(files)
    assert PAY_IN not in {getattr(event, "subject", None) for event, _ in made.events()}
    assert (made.left_out, made.subjects) == (2, {PAYOUT})


@pytest.mark.parametrize(
    "payload",
    [
        {"pay_in_id": OTHER_PAY_IN, "company": COMPANY},
        {"company": COMPANY},
        {"pay_in_id": PAY_IN, "company": COMPANY, "tenant": STRANGER},
    ],
)
def test_f62_a_fact_of_another_thing_than_its_hop_or_of_another_tenant_is_not_told(
    files: Files, past: Callable[[Files], Past], payload: dict[str, Any]
) -> None:
    files["gateway.event"][0] = told("in", RECEIVED, payload)
    made = past(files)
    list(made.events())
    assert (made.left_out, made.subjects) == (2, {PAYOUT})


def test_f62_whatever_a_fact_adds_to_is_asked_about(
    files: Files, past: Callable[[Files], Past]
) -> None:
    said = {"payout_id": PAYOUT, "owner": COMPANY, "company": COMPANY, "account": MINE}
    files["gateway.event"][1] = told("out", CHANGED, {**said, "claim_id": "clm_x", "wallet": "w_x"})
    files["portfolio.hop"][3]["about"] = "hold_x"
    made = past(files)
    list(made.events())
    assert made.named == {PAY_IN, PAYOUT, MINE, "clm_x", "w_x", "hold_x"}


def test_every_fact_that_may_be_brought_has_a_subject() -> None:
    assert {each.rsplit(".", 2)[0] for each in TYPES} == SUBJECTS.keys()


def test_f62_a_payout_of_a_pay_in_that_is_not_told_is_not_told_either(
    files: Files, past: Callable[[Files], Past]
) -> None:
    paid = {"payout_id": PAYOUT, "owner": COMPANY, "company": COMPANY, "pay_in_id": PAY_IN}
    files["gateway.event"][1] = told("out", CHANGED, paid)
    files["gateway.event"].insert(0, files["gateway.event"].pop(1))
    made = past(files)
    list(made.events())
    assert made.subjects == {PAY_IN, PAYOUT}, "in whatever order they stand"
    files["funding.pay_in"][0]["state"] = "suspense"
    made = past(files)
    list(made.events())
    assert made.subjects == set()


def test_f62_a_past_that_was_brought_here_goes_on_to_the_next_installation(
    files: Files, past: Callable[[Files], Past]
) -> None:
    """It is in logs and views alone: no service of this installation ever had it."""
    files["funding.pay_in"], files["payouts.payout"] = [], [files["payouts.payout"][1]]
    made = past(files)
    list(made.events())
    assert (made.subjects, made.left_out) == ({PAY_IN, PAYOUT}, 1)


def test_f62_a_pay_in_that_nobody_has_yet_stays_where_its_money_is(
    files: Files, past: Callable[[Files], Past]
) -> None:
    files["funding.pay_in"][0]["state"] = "suspense"
    made = past(files)
    assert len(list(made.events())) == 5
    assert made.subjects == {PAYOUT}


@pytest.mark.parametrize(
    ("file", "change", "code"),
    [
        ("portfolio.movement", {"posted": "999"}, "history_incomplete"),
        ("portfolio.movement", {"held": "1"}, "history_incomplete"),
        ("portfolio.movement", {"five_ws": {}}, "row_unusable"),
        ("gateway.event", {"payload": "zz"}, "row_unusable"),
        ("gateway.event", {"payload": b"[]".hex()}, "row_unusable"),
        ("portfolio.hop", {"recorded_at": "soon"}, "row_unusable"),
    ],
)
def test_f62_a_past_that_does_not_add_up_is_refused_by_file_and_line(
    files: Files, past: Callable[[Files], Past], file: str, change: dict[str, Any], code: str
) -> None:
    files[file][0] |= change
    with pytest.raises(ArchiveFault) as raised:
        list(past(files).events())
    assert raised.value.code == code
    assert " line 1" in str(raised.value)
