"""O12 and L16: who was late is named, and a day that stays open is found."""

from datetime import timedelta

import pytest

from tally_reconciliation import Verdict
from tally_reconciliation.checks.closing import OVERDUE, check_closing
from tally_reconciliation.liveness import Waiting, absent_notifications
from tally_reconciliation.report import Quiet
from tally_reconciliation.snapshot import Snapshot

from .conftest import Day
from .platform_bench import START

MOVING = Quiet(("ledger is 3 records behind",), frozenset({"ledger"}))


def test_the_time_to_rest_and_who_worked_until_when_are_told() -> None:
    waiting = Waiting(30)
    waiting.look(MOVING, 10, 5)
    waiting.look(MOVING, 10, 800)
    waiting.look(Quiet(), 10, 1400)
    check = waiting.judged()
    assert check.verdict is Verdict.GREEN
    assert check.figures["quiet_after_ms"] == 1400
    assert check.figures["ledger_ms"] == 800


def test_no_rest_within_the_bound_is_red_and_names_the_service() -> None:
    waiting = Waiting(1)
    waiting.look(MOVING, 10, 5)
    waiting.look(MOVING, 10, 1000)
    check = waiting.judged()
    assert check.verdict is Verdict.RED
    assert [str(fault) for fault in check.faults] == [
        "not_at_rest moving=ledger is 3 records behind bound_s=1"
    ]


def test_a_platform_that_is_given_input_all_the_while_is_not_blamed() -> None:
    waiting = Waiting(1)
    waiting.look(MOVING, 10, 5)
    waiting.look(MOVING, 11, 1000)
    assert waiting.judged().verdict is Verdict.SKIPPED


def test_what_does_not_exist_is_not_green() -> None:
    assert absent_notifications(frozenset({"ledger"})).verdict is Verdict.ABSENT


@pytest.mark.stack
async def test_a_day_that_stays_open_is_named_once_the_bound_is_over(day: Day) -> None:
    snap = Snapshot(day.conn, frozenset({"ledger"}))
    midnight = START.replace(hour=0) + timedelta(days=1)
    in_time = await check_closing(snap, midnight + OVERDUE - timedelta(seconds=1))
    assert in_time.verdict is Verdict.GREEN
    late = await check_closing(snap, midnight + OVERDUE)
    assert [str(fault) for fault in late.faults] == [
        "day_not_closed shard=main daily_root=2031-01-06 days_open=1"
    ]
