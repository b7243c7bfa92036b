"""What the programs service leaves on its topics unread, or reads and leaves."""

import json
from dataclasses import replace
from itertools import product

import pytest

from tally_contracts.payouts import PayoutChanged
from tally_messaging.parser import parse
from tally_messaging.records import Received, Skipped, UnfetchedRecord
from tally_programs.handlers import PAYOUTS, build_router
from tally_programs.service.apply import ProgramService
from tally_programs.service.desk import Books
from tally_testkit import event_headers

STATES = (
    "approved", "claimable", "held", "submitting", "unknown", "submitted", "in_transit", "paid",
    "returned", "failed", "rejected", "cancelled", "expired",
)  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_glance_at_a_payout_passes_over_none_that_counts(project_root, state):
    expected = build_router(ProgramService(Books("main", "main"))).expected()[PAYOUTS]
    headers = event_headers("event-1", PayoutChanged.TYPE)
    examples = sorted((project_root / "contracts/examples" / PayoutChanged.TYPE).glob("*.json"))
    assert examples
    for page, (previous, indent) in product(examples, product((None, *STATES), (None, 2))):
        told = {**json.loads(page.read_bytes()), "state": state, "previous": previous}
        compact = None if indent else (",", ":")
        body = json.dumps(told, indent=indent, separators=compact, ensure_ascii=False).encode()
        record = UnfetchedRecord(PAYOUTS, body, headers=headers)
        read = type(parse(record, replace(expected, glance={})))
        assert type(parse(record, expected)) is read
        assert read is (Received if state in {"paid", "returned"} else Skipped)


async def test_facts_of_others_payments_enter_no_inbox_and_cost_no_transaction(world, make):
    await world.begin()
    await world.feed(make.propose())
    sent, paid = (make.payout("one", "order-7", state=state) for state in ("sent", "paid"))
    posted = make.posted()
    counted = "SELECT count(*) FROM inbox"
    before = await world.pool.fetchval(counted)
    await world.feed(posted.model_copy(update={"reference": "pin_1"}), sent)
    assert await world.pool.fetchval(counted) == before
    await world.feed(posted, paid)
    assert await world.pool.fetchval(counted) == before + 2
