"""A tenant that came from another installation finds its past here as it was there (F62, X8)."""

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.base import Event, Where, Who, Why
from tally_contracts.ledger import JournalPosted, Leg
from tally_contracts.operations_history import (
    TYPES,
    FactBrought,
    HopBrought,
    MovementBrought,
)
from tally_messaging.envelope import CAUSATION_ID, CE_TIME, CE_TYPE, CORRELATION_ID
from tally_portfolio.domain.statement import time
from tally_runtime import derived_id, derived_uuid
from tally_testkit import event_headers

TOPIC = "operations.history.v1"
PERIOD = "from=2026-09-21&until=2026-09-22"


def _record(raw: type[Any], event: Event, number: int, topic: str = TOPIC) -> Any:
    event_id = str(derived_uuid("brought", topic, str(number)))
    return raw(
        event.model_dump_json().encode(),
        tuple(event_headers(event_id, event.TYPE)),
        b"key",
        number,
        topic,
    )


async def _past_of(portfolio: Any, tenant: str, records: list[Any]) -> list[Event]:
    """What an export of these views would bring: facts, hops of facts kept no more, movements."""
    hops = await portfolio.rows("SELECT * FROM hop WHERE subject ~ '^(pin|po)_'")
    return [
        *(_fact(tenant, record) for record in records if _headers(record)[CE_TYPE] in TYPES),
        *(_hop(tenant, row) for row in hops if row["event_type"] not in TYPES),
        *(_movement(tenant, row) for row in await portfolio.rows("SELECT * FROM movement")),
    ]


def _headers(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def _fact(tenant: str, record: Any) -> FactBrought:
    headers = _headers(record)
    at = headers[CE_TIME].replace("+00:00", "Z")
    return FactBrought(
        tenant=tenant,
        fact_key=headers["ce_id"],
        fact_type=headers[CE_TYPE],
        fact=record.value.decode(),
        topic=record.topic,
        source=headers["ce_source"],
        correlation=headers[CORRELATION_ID],
        causation=headers[CAUSATION_ID],
        recorded_at=at,
        occurred_at=at,
    )


def _hop(tenant: str, row: Any) -> HopBrought:
    return HopBrought(
        tenant=tenant,
        fact_key=row["event_id"],
        fact_type=row["event_type"],
        correlation=row["correlation_id"],
        causation=row["causation_id"],
        **{**_same(row, HopBrought), "summary": json.dumps(row["summary"])},
    )


def _movement(tenant: str, row: Any) -> MovementBrought:
    (actor, principal), (channel, country), (program, event, reason) = (
        row["five_ws"][word] for word in ("who", "where", "why")
    )
    return MovementBrought(
        tenant=tenant,
        fact_key=row["event_id"],
        occurred_at=row["at"],
        who=Who(actor=actor, principal=principal),
        where=Where(channel=channel, country=country),
        why=Why(program=program, event=event, reason=reason),
        **{
            **_same(row, MovementBrought),
            "posted": str(row["posted"]),
            "held": str(row["held"]),
        },
    )


def _same(row: Any, event: type[Event]) -> dict[str, Any]:
    """The fields that a row and an event have by the same name."""
    return {name: row[name] for name in event.model_fields if name in row}


def _rebooked(wallet: str, at: Any, reference: str = "hist") -> JournalPosted:
    """The journal by which the books here came to hold what the wallet held."""
    return JournalPosted(
        journal_id=derived_id("jrn", "import", wallet),
        ledger="main",
        reference=derived_id(reference, wallet),
        log_seq=1,
        legs=(
            Leg(
                id=derived_id("tr", "import", wallet),
                debit=derived_id("acc", "brought_forward"),
                credit=wallet,
                amount={"currency": "USD", "amount": "100.00"},
                code="allocate",
            ),
        ),
        effective_at=at,
        who=Who(actor="cli", principal="operator"),
        where=Where(channel="import"),
        why=Why(program="rebates", event="order:1", reason="Rebate"),
        occurred_at=at,
    )


async def _both(there: Any, here: Any, viewer: Any, path: str) -> tuple[Any, Any]:
    """What is answered in both, but for the time of the question."""
    found = []
    for each in (there, here):
        found.append((await _asked(each, viewer, path)).json())
        found[-1].pop("as_of", None)
    return found[0], found[1]


def _of_payment(hops: list[Any], wallet: str) -> list[Any]:
    """The hops of a payment, its account's opening apart: that is of this installation."""
    return [hop for hop in hops if hop["subject"] != wallet]


@pytest.fixture
def parties(tree: Any) -> Any:
    return tree().small().opens("ann", company="acme")


@pytest.fixture
def stories(parties: Any, story: Any) -> list[Any]:
    """One payment that was paid out, and one that rests in the wallet."""
    whose = {"owner": parties.party("ann"), "company": parties.party("acme")}
    paid = story("paid", **whose).whole()
    resting = story("rests", at=paid.at + timedelta(hours=1), **whose).received().posted()
    return [paid, resting.allocated(pay_out=False)]


async def _asked(portfolio: Any, viewer: Any, path: str) -> Any:
    async with portfolio.asks(viewer) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer


async def test_f62_lists_time_lines_sums_and_statements_are_those_of_the_past(
    portfolio: Any, parties: Any, stories: list[Any], viewer_of: Any, fresh: Any
) -> None:
    there, here = portfolio, await fresh()
    for installation in (there, here):
        installation.clock.advance(timedelta(days=2))
        await installation.tell(parties)
    await there.tell(*stories)
    raw = type(parties.records[0])
    records = [record for told in stories for record in told.records]
    past = [
        _record(raw, event, number)
        for number, event in enumerate(await _past_of(there, parties.root, records))
    ]
    wallet, now = stories[0].wallet, here.clock.now()
    past.append(_record(raw, _rebooked(wallet, now), 0, "ledger.journals.v1"))
    random.Random(7).shuffle(past)
    for record in past:
        await here.process(record)
    await here.process(*past)  # brought once more
    assert await here.pool.fetchval("SELECT count(*) FROM quarantine") == 0

    company, payee = viewer_of(parties, "acme", "company"), viewer_of(parties, "ann", "payee")
    for viewer, path in (
        (payee, f"/wallets/{wallet}/statement?{PERIOD}"),
        (company, f"/wallets/{wallet}/statement?{PERIOD}"),
        (company, f"/wallets/{wallet}/statement?at=2026-09-21T08:30:00Z"),
    ):
        before = await _asked(there, viewer, path)
        assert (await _asked(here, viewer, path)).content == before.content
    for path in (
        "/pay-ins",
        "/payouts",
        "/payments",
        "/totals",
        f"/pay-ins/{stories[0].pay_in_id}",
    ):
        before, after = await _both(there, here, company, path)
        assert after == before, path

    path = f"/payments/{stories[0].pay_in_id}"
    before, after = await _both(there, here, company, path)
    hops = _of_payment(after["hops"], wallet)
    assert all(hop["what"].pop("brought") for hop in hops)
    told_there = _of_payment(before["hops"], wallet)
    assert [(hop["at"], hop["type"], hop["what"]) for hop in hops] == [
        (hop["at"], hop["type"], hop["what"]) for hop in told_there
    ]

    moved = (await _asked(here, payee, f"/wallets/{wallet}/movements")).json()["items"]
    assert [each["kind"] for each in moved] == ["journal", "capture", "hold", "journal"]
    assert {each["brought"] for each in moved} == {True}
    assert moved[0]["at"] == time(stories[1].at)
    assert await here.rows("SELECT * FROM balance WHERE account = $1", wallet) == await there.rows(
        "SELECT * FROM balance WHERE account = $1", wallet
    )


async def test_a_journal_of_an_import_without_its_past_counts_itself(
    portfolio: Any, parties: Any, stories: list[Any]
) -> None:
    wallet = stories[0].wallet
    raw = type(parties.records[0])
    journal = _rebooked(wallet, portfolio.clock.now(), reference="imp")
    await portfolio.process(_record(raw, journal, 0, "ledger.journals.v1"))
    (row,) = await portfolio.rows("SELECT posted, brought FROM movement WHERE account = $1", wallet)
    assert tuple(row) == (10_000, False)


async def test_facts_of_what_goes_on_here_are_not_taken_from_elsewhere(
    portfolio: Any, parties: Any
) -> None:
    """A party, rule or budget is what this installation's own services say of it."""
    record = parties.records[0]
    brought = FactBrought(
        tenant=parties.root,
        fact_key=str(derived_uuid("fact", "1")),
        fact_type="directory.party.registered.v1",
        fact=record.value.decode(),
        topic=record.topic,
        source="/tallystick/main/directory",
        correlation="c",
        recorded_at=portfolio.clock.now(),
        occurred_at=portfolio.clock.now(),
    )
    await portfolio.process(_record(type(record), brought, 0))
    assert await portfolio.rows("SELECT * FROM party") == []
    wrong = brought.model_copy(update={"fact_type": "payouts.payout.changed.v1"})
    await portfolio.process(_record(type(record), wrong, 1))
    assert await portfolio.pool.fetchval("SELECT count(*) FROM quarantine") == 1
