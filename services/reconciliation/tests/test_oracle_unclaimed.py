"""The oracle on money that was filed and came back: lines and reclaims are what their journals moved (F31)."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tally_contracts.base import Event, Who, Why
from tally_contracts.directory_facts import PartyRegistered
from tally_contracts.funding_claims import Redesignate
from tally_contracts.funding_unclaimed import (
    DecideFiling,
    DecideReclaim,
    ProposeFiling,
    ProposeReclaim,
)
from tally_funding.claims.worker import ClaimsWorker
from tally_funding.postings import Books
from tally_reconciliation import Verdict
from tally_runtime import derived_id
from tally_testkit import Databases

from .conftest import Day, day_of, money_services
from .platform_bench import START, WHERE, Bench

pytestmark = pytest.mark.stack
BOOKS = Books("main", "main")
COMMANDS = "funding.unclaimed.commands.v1"
EVENT = "event:expo"
FILING = derived_id("fil", "1")
ROOT, COMPANY, ANNA, BEN = (derived_id("party", name) for name in ("root", "co", "anna", "ben"))
KEY = Who(actor="key:co", principal=COMPANY)
ASKS, DECIDES = (Who(actor=f"user:{name}", principal=ROOT) for name in ("asks", "decides"))
WHY = Why(program="supplier-payments", event="expo", reason="Stand 12 of the expo")


async def _say(bench: Bench, event: Event, name: str, topic: str = COMMANDS) -> None:
    bench.publish(topic, event, event_id=f"ce-{name}")
    await bench.settle()


async def _register(bench: Bench, party_id: str) -> None:
    known = PartyRegistered(
        tenant=ROOT,
        who=ASKS,
        reason="joins",
        occurred_at=START,
        party_id=party_id,
        kind="company",
        parent=None if party_id == ROOT else ROOT,
        path=() if party_id == ROOT else (ROOT,),
        external_id=None,
        country="US",
        alias=f"alias-{party_id[-8:]}",
        state="registered",
    )
    await _say(bench, known, party_id, "directory.parties.v1")


async def _until_reportable(bench: Bench) -> None:
    running = bench.running["funding"]
    transactor = running.service.transactor(pool=running.pool)
    for days in (3 * 366, 0, 90):
        bench.clock.advance(timedelta(days=days))
        await ClaimsWorker(BOOKS).turn(transactor)
        await bench.settle()


async def _reclaim(bench: Bench, owner: str, claimant: str) -> None:
    reclaim_id = derived_id("rcl", claimant)
    proposal = ProposeReclaim(
        reclaim_id=reclaim_id,
        filing_id=FILING,
        account=BOOKS.wallet(owner, "USD").id,
        claimant=claimant,
        who=ASKS,
        where=WHERE,
        why=WHY,
        occurred_at=START,
    )
    await _say(bench, proposal, f"propose-{claimant}")
    decision = DecideReclaim(
        command_id=derived_id("cmd", claimant),
        reclaim_id=reclaim_id,
        approve=True,
        note="Identity checked",
        who=DECIDES,
        occurred_at=START,
    )
    await _say(bench, decision, f"decide-{claimant}")


async def _tell(bench: Bench) -> None:
    """Wallets of a known owner, of an event and of one who stays silent are filed; two come back."""
    for party_id in (ROOT, COMPANY, ANNA, BEN):
        await _register(bench, party_id)
    silent = {"party": derived_id("party", "silent")}
    for name, beneficiary in (
        ("anna", {"party": ANNA}),
        ("expo", {"event_reference": "expo"}),
        ("silent", silent),
    ):
        more = {"why": WHY, "who": KEY, "beneficiary": beneficiary}
        bench.announce(name, company=COMPANY, **more)
    await bench.settle()
    await _until_reportable(bench)
    common = {"where": WHERE, "why": WHY, "occurred_at": START}
    filing = ProposeFiling(filing_id=FILING, holder=ROOT, jurisdiction="us", who=ASKS, **common)
    await _say(bench, filing, "propose")
    decision = DecideFiling(
        command_id=derived_id("cmd", "filing"),
        filing_id=FILING,
        approve=True,
        note="Checked",
        who=DECIDES,
        occurred_at=START,
    )
    await _say(bench, decision, "decide")
    redesignation = Redesignate(
        command_id=derived_id("cmd", "redesignate"),
        owner=EVENT,
        to_owner=BEN,
        tenant=ROOT,
        who=KEY,
        why=WHY,
        occurred_at=START,
    )
    await _say(bench, redesignation, "redesignate", "funding.agreements.commands.v1")
    await _reclaim(bench, ANNA, ANNA)
    await _reclaim(bench, EVENT, BEN)


@pytest.fixture(scope="module")
async def filed(databases: Databases) -> AsyncIterator[Bench]:
    async with money_services(databases, _tell) as bench:
        yield bench


@pytest.fixture
async def day_of_filing(filed: Bench) -> AsyncIterator[Day]:
    async with day_of(filed, ("funding", "ledger", "payouts")) as day:
        await day.conn.execute("SELECT set_config('tally.tenant', '*', true)")
        yield day


async def test_f31_the_oracle_finds_filings_and_reclaims_whole(day_of_filing: Day) -> None:
    report = await day_of_filing.judge()
    assert report.quiet.is_quiet, report.quiet
    told = {name: report.check(name).faults for name in ("O3", "O6", "O13")}
    assert told == {"O3": (), "O6": (), "O13": ()}
    for query, expected in (
        ("SELECT state FROM funding.unclaimed_filing", ["filed"]),
        ("SELECT DISTINCT state FROM funding.unclaimed_line", ["remitted"]),
        ("SELECT state FROM funding.reclaim", ["moved", "moved"]),
    ):
        assert [row[0] for row in await day_of_filing.conn.fetch(query)] == expected
    lines = await day_of_filing.conn.fetchval("SELECT count(*) FROM funding.unclaimed_line")
    assert lines > 2


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ("UPDATE funding.unclaimed_line SET amount = amount + 1", "twins_differ"),
        ("UPDATE funding.unclaimed_line SET currency = 'EUR'", "twins_differ"),
        ("UPDATE funding.unclaimed_line SET account = account || 'x'", "twin_missing"),
        ("UPDATE funding.unclaimed_line SET line_id = line_id || 'x'", "twin_missing"),
        ("UPDATE funding.unclaimed_line SET tenant = 'x'", "twins_differ"),
        ("UPDATE funding.unclaimed_line SET filing_id = 'x'", "twin_missing"),
        ("UPDATE funding.unclaimed_line SET state = 'dropped'", "twin_missing"),
        ("UPDATE funding.unclaimed_filing SET jurisdiction = 'de'", "twins_differ"),
        ("UPDATE funding.unclaimed_filing SET state = 'void'", "twins_differ"),
        ("UPDATE funding.unclaimed_filing SET filing_id = 'x'", "twin_missing"),
        (f"UPDATE funding.reclaim SET claimant = 'x' WHERE claimant = '{ANNA}'", "twins_differ"),
        (f"UPDATE funding.reclaim SET claimant = 'x' WHERE claimant = '{BEN}'", "twins_differ"),
        ("UPDATE funding.reclaim SET reference = reference || 'x'", "twin_missing"),
        ("UPDATE funding.reclaim SET state = 'declined'", "twin_missing"),
        ("DELETE FROM funding.reclaim", "twin_missing"),
    ],
)
async def test_a_change_behind_the_back_of_filings_is_told(
    day_of_filing: Day, spoilt: str, code: str
) -> None:
    await day_of_filing.spoil(spoilt)
    check = (await day_of_filing.judge()).check("O13")
    assert check.verdict is Verdict.RED
    tables = ("funding.unclaimed_line", "funding.unclaimed_filing", "funding.reclaim")
    assert code in {fault.what for fault in check.faults if fault.row.get("table") in tables}
