"""L15 over pairs of ledgers, wherever their books are: each kind of disagreement is named by its row."""

from typing import Any

import pytest

from tally_reconciliation.checks.in_transit import Sides, judge_sides
from tally_reconciliation.report import Quiet

QUIET, MOVING = Quiet(()), Quiet(("ledger is 1 records behind",))


def sound() -> Sides:
    """One transfer of 5.00 completed, one refused; one settlement of 1.00, one refused; at rest."""
    row: dict[str, Any] = {
        "ledger": "main", "to_ledger": "us", "asset": "EUR", "amount": "5.00", "credit": "acc_ann",
    }  # fmt: skip
    settled: dict[str, Any] = {**row, "amount": "1.00", "owed_by": "main", "answered": True}
    mirror = {"from_ledger": "main", "asset": "EUR", "amount": "1.00", "owed_by": "main"}
    return Sides(
        ledgers={"main": 1, "us": 1},
        accounts={
            ("main", "us", "EUR"): ("acc_main", 500, 0),
            ("us", "main", "EUR"): ("acc_us", -500, 0),
        },
        sources={
            ("main", "t1"): {
                **row,
                "id": "t1",
                "state": "completed",
                "side": None,
                "overdue": True,
            },
            ("main", "t2"): {
                **row,
                "id": "t2",
                "state": "refused",
                "side": "destination",
                "overdue": True,
            },
        },
        credits={
            ("main", "t1"): {**row, "id": "t1", "code": None},
            ("main", "t2"): {**row, "id": "t2", "code": "account_closed"},
        },
        settlements={
            ("main", "s1"): {**settled, "state": "completed", "side": None, "overdue": True},
            ("main", "s2"): {**settled, "state": "refused", "side": "destination", "overdue": True},
        },
        mirrors={
            ("main", "s1"): {**mirror, "code": None},
            ("main", "s2"): {**mirror, "code": "account_frozen"},
        },
    )


def test_a_pair_that_mirrors_is_green() -> None:
    assert judge_sides(sound(), QUIET).verdict == "green"


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda s: s.accounts.update({("us", "main", "EUR"): ("a", -499, 0)}), "in_transit_unmirrored"),
        (lambda s: s.accounts.update({("us", "main", "EUR"): ("a", -500, 1)}), "in_transit_unmirrored"),
        (lambda s: s.accounts.pop(("us", "main", "EUR")), "in_transit_unmirrored"),
        (lambda s: s.credits.pop(("main", "t1")), "debited_not_credited"),
        (lambda s: s.credits["main", "t1"].update(code="account_closed"), "debited_not_credited"),
        (lambda s: s.credits["main", "t2"].update(code=None), "credited_not_debited"),
        (lambda s: s.credits["main", "t1"].update(amount="4.99"), "amounts_differ"),
        (lambda s: s.credits["main", "t1"].update(credit="acc_bob"), "payees_differ"),
        (lambda s: s.sources["main", "t1"].update(state="started"), "transfer_open"),
        (lambda s: s.ledgers.update(us=2), "ledger_in_two_databases"),
        (lambda s: s.mirrors.pop(("main", "s1")), "settled_not_mirrored"),
        (lambda s: s.mirrors["main", "s1"].update(code="account_frozen"), "settled_not_mirrored"),
        (lambda s: s.mirrors["main", "s2"].update(code=None), "mirrored_not_settled"),
        (lambda s: s.mirrors["main", "s1"].update(amount="1.01"), "settlements_differ"),
        (lambda s: s.mirrors["main", "s1"].update(owed_by="us"), "settlements_differ"),
        (lambda s: s.mirrors["main", "s1"].update(asset="USD"), "settlements_differ"),
        (lambda s: s.settlements.pop(("main", "s2")), "mirrored_not_asked"),
        (lambda s: s.settlements["main", "s1"].update(state="started"), "settlement_open"),
    ],
)  # fmt: skip
def test_a_disagreement_is_red_and_named(spoil: Any, what: str) -> None:
    sides = sound()
    spoil(sides)
    check = judge_sides(sides, QUIET)
    assert check.verdict == "red"
    assert what in {fault.what for fault in check.faults}


def test_a_credit_of_before_that_names_no_payee_is_sound() -> None:
    sides = sound()
    sides.credits["main", "t1"] = {**sides.credits["main", "t1"], "credit": None}
    assert judge_sides(sides, QUIET).verdict == "green"


def test_what_is_on_its_way_is_no_fault_while_something_moves() -> None:
    sides = sound()
    sides.accounts["us", "main", "EUR"] = ("acc_us", -400, 0)
    sides.sources["main", "t1"] = {
        **sides.sources["main", "t1"],
        "state": "started",
        "overdue": False,
    }
    assert judge_sides(sides, MOVING).verdict == "skipped"


def test_a_settlement_that_waits_is_a_fault_only_at_rest_or_when_old() -> None:
    sides = sound()
    sides.settlements["main", "s1"] = {
        **sides.settlements["main", "s1"],
        "state": "started",
        "overdue": False,
    }
    assert judge_sides(sides, MOVING).verdict == "skipped"
    sides.settlements["main", "s1"] = {**sides.settlements["main", "s1"], "overdue": True}
    assert judge_sides(sides, MOVING).verdict == "red"


def test_a_settlement_of_a_release_without_answers_needs_no_mirror() -> None:
    sides = sound()
    sides.settlements["main", "s1"] = {**sides.settlements["main", "s1"], "answered": False}
    del sides.mirrors["main", "s1"]
    assert judge_sides(sides, QUIET).verdict == "green"


def test_a_ledger_kept_elsewhere_is_not_judged_by_one_side_alone() -> None:
    sides = sound()
    del sides.ledgers["us"]
    sides.accounts.pop(("us", "main", "EUR"))
    sides.credits.clear()
    sides.mirrors.clear()
    assert judge_sides(sides, QUIET).verdict == "green"
