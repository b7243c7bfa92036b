"""Money nobody claims, by the public API to its end: noticed, filed by two people, reclaimed (F31, X3).

The test sets the clock of all services forward by years.
"""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tally_embedded import Stack
from tally_reconciliation import Sources, Verdict, verify
from tally_testkit import ShiftedClock
from tally_testkit.databases import Databases

from .api_platform import free_port, schemas, start_platform
from .conftest import SWIFT, Whole
from .stage import Cast, money

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]
SERVICES = ("directory", "funding", "ledger", "portfolio")
CLOCK = "funding.claim.dormancy_changed.v1"
FAR = "2099-12-31T00:00:00Z"


@pytest.fixture
async def years(
    databases: Databases, module_kafka: Stack
) -> AsyncIterator[tuple[Whole, ShiftedClock]]:
    database, clock = databases.clone(*schemas((*SERVICES, "gateway"))), ShiftedClock()
    kafka = module_kafka.address.kafka
    platform = await start_platform(
        SERVICES, database, kafka, read_port=free_port(), clock=clock, more=SWIFT
    )
    try:
        yield Whole(platform, database, kafka), clock
    finally:
        await platform.stop()
        databases.drop(database)


async def code_of(cast: Cast, by: str, path: str, body: dict[str, Any]) -> tuple[str, str]:
    """Code and field of a command that is refused, and says what to do instead."""
    found = (await cast[by].post(path, body)).json()
    assert found["remedy"], found
    return found["code"], found["field"]


async def test_f31_x3_unclaimed_money_is_noticed_filed_by_two_people_and_reclaimed_by_its_owner(
    years: tuple[Whole, ShiftedClock],
) -> None:
    whole, clock = years
    cast = Cast.empty(whole.platform, await whole.platform.operator(), whole.post())
    await cast.people.begin(country="US")
    for name in ("company", "rival"):
        await cast.party(name, "company", "aggregator")
    for name in ("payee", "awake"):
        await cast.party(name, "payee", "company", country="US")
    await cast.rule("whole", [{"to": {"role": "beneficiary"}, "remainder": True}])
    owner = f"event:{cast.program}-prize"
    await cast.pay_in(money("40.00"), {"event_reference": owner.removeprefix("event:")})
    await cast.pay_in(money("5.00"), {"party": cast.ids["awake"]})
    active = await cast.told("aggregator", CLOCK, owner=owner, state="active")
    assert active["jurisdiction"] == "us"

    clock.shift += timedelta(days=3 * 366)
    for whose in (owner, cast.ids["awake"]):
        await cast.told("aggregator", CLOCK, owner=whose, state="notice_sent")
    notice = await cast.told("aggregator", "funding.unclaimed.notice_due.v1", owner=owner)
    assert (notice["amount"], notice["companies"]) == (money("40.00"), [cast.ids["company"]])
    # Who is awake says so, and nobody for it.
    alive = {"owner": cast.ids["awake"], "sign": "answer"}
    asked = "/v1/unclaimed/confirmations"
    assert await code_of(cast, "company", asked, alive) == ("not_the_owner", "/owner")
    assert await code_of(cast, "rival", asked, alive) == ("not_found", "/owner")
    await cast["awake"].do(asked, alive)

    clock.shift += timedelta(days=91)
    await cast.told("aggregator", CLOCK, owner=owner, state="reportable")
    why = cast.why("report-2029", "The yearly report")
    filing = {"holder": cast.root, "jurisdiction": "us", "why": why}
    filings = "/v1/unclaimed/filings"
    assert (await code_of(cast, "rival", filings, filing))[0] == "not_found"
    nowhere = {**filing, "jurisdiction": "atlantis"}
    assert await code_of(cast, "aggregator", filings, nowhere) == (
        "jurisdiction_unknown",
        "/jurisdiction",
    )
    proposed = (await cast["aggregator"].do(filings, filing))["subject"]
    decide, approval = f"{filings}/{proposed}/decide", {"approve": True, "note": "Checked"}
    assert (await code_of(cast, "aggregator", decide, approval))[0] == "same_person"
    cast.people.clients["second"] = await cast.client("aggregator")
    await cast["second"].do(decide, approval)
    report = await cast.told("aggregator", "funding.unclaimed.report_filed.v1", filing_id=proposed)
    assert report["totals"] == [money("40.00")]
    (line, total) = csv.DictReader(io.StringIO(report["content"]))
    assert (line["amount"], total["account"], total["amount"]) == ("40.00", "TOTAL", "40.00")
    await cast.told("aggregator", CLOCK, owner=owner, state="escheated")
    await cast.holds("awake", "5.00")

    # The owner shows up after all, and gets the money back from where it was filed.
    await cast.verified("payee", f"late-{cast.root[-8:]}@payees.example")
    issue = {"owner": owner, "expires_at": FAR, "why": cast.why("prize")}
    claim = (await cast["company"].do("/v1/claims", issue))["subject"]
    redeem = {"code": await cast.post.claim_code(claim), "why": cast.why("prize")}
    await cast["payee"].do(f"/v1/claims/{claim}/redeem", redeem)
    found = await cast.told("aggregator", "funding.unclaimed.owner_found.v1", owner=owner)
    assert (found["filing_id"], found["claimant"]) == (proposed, cast.ids["payee"])
    back = {"filing_id": proposed, "account": line["account"], "why": why}
    reclaims = "/v1/unclaimed/reclaims"
    wrong = {**back, "claimant": cast.ids["awake"]}
    assert (await code_of(cast, "aggregator", reclaims, wrong))[0] == "not_the_claimant"
    reclaim = await cast["aggregator"].do(reclaims, {**back, "claimant": cast.ids["payee"]})
    decide = f"{reclaims}/{reclaim['subject']}/decide"
    assert (await code_of(cast, "aggregator", decide, approval))[0] == "same_person"
    await cast["second"].do(decide, approval)
    await cast.holds("payee", "40.00")
    assert (await code_of(cast, "second", decide, approval))[0] == "reclaim_decided"
    report_of_all = await verify(
        Sources(whole.database.admin_dsn, whole.kafka, schemas=SERVICES), wait_s=60
    )
    faults = [(c.id, f.what, f.row) for c in report_of_all.checks for f in c.faults]
    assert (report_of_all.verdict, faults) == (Verdict.GREEN, [])
