"""The story of one aggregator, through the public API alone, on every service and a real Kafka.

The demo tells the same story; here the oracle judges it when it is over.
"""

import pytest

from tally_cli.demo.story import Story
from tally_reconciliation import Sources, Verdict, verify

from .conftest import SERVICES, Whole

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_money_is_split_claimed_held_and_given_back_and_each_sees_its_own(
    whole: Whole,
) -> None:
    story = Story(await whole.people())
    told = [step async for step in story.tell()]
    assert len({step.title for step in told}) == 10
    assert all(step.done and step.seen for step in told)
    report = await verify(
        Sources(whole.database.admin_dsn, whole.kafka, schemas=SERVICES), wait_s=60
    )
    faults = [(check.id, one.what, one.row) for check in report.checks for one in check.faults]
    assert (report.verdict, faults) == (Verdict.GREEN, [])
