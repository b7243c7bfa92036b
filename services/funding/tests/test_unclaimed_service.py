"""F31, X3 on real books: money nobody claims is noticed, filed by two people, and comes back."""

import csv
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tally_contracts.base import Amount, Event
from tally_contracts.directory_facts import ContactAdded, PartiesMerged
from tally_contracts.funding import Beneficiary
from tally_contracts.funding_claims import (
    DormancyChanged,
)
from tally_contracts.funding_unclaimed import (
    FilingChanged,
    NoticeDue,
    OwnerConfirmed,
    OwnerFound,
    ReclaimChanged,
    ReportFiled,
)
from tally_contracts.ledger import (
    FreezeAccount,
    JournalPosted,
    UnfreezeAccount,
)
from tally_contracts.payouts import MethodChosen
from tally_money import Money
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, START, Platform, open_platform, party, who
from .test_receipts_service import IDENTITY, level, publish
from .unclaimed_bench import (
    ASKS,
    COMMANDS,
    EVENT,
    FILING,
    NOTICE,
    WHY,
    YEARS_3,
    claim,
    confirm,
    decision,
    dormancy,
    followed,
    held,
    of,
    owed,
    pay_in,
    payout,
    proposal,
    reclaim,
    reclaim_decision,
    refused,
    send,
    states,
    to_anna,
    transfer,
    until_reportable,
    wallet_opened,
    work,
)


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    async with open_platform(fresh_database) as opened:
        await opened.register("root", "co", country="US")
        await opened.register("anna", "ben", contacts=True, country="US")
        yield opened


async def test_unclaimed_money_is_noticed_filed_by_two_people_and_reclaimed(
    platform: Platform,
) -> None:
    await pay_in(platform, 1)
    await pay_in(platform, 2, code="EUR")
    dollars, euros = await held(platform, EVENT), await held(platform, EVENT, "EUR")
    told = await work(platform, days=YEARS_3.days)
    assert states(told) == ["dormant", "dormant", "notice_sent", "notice_sent"]
    notice = next(fact for fact in of(told, NoticeDue) if fact.owner == EVENT)
    assert (notice.contacts, notice.companies) == ((), (party("co"),))
    assert notice.answer_by == platform.clock.now() + NOTICE
    assert states(await work(platform, days=NOTICE.days - 1)) == []
    assert states(await work(platform, days=1)) == ["reportable", "reportable"]
    proposed = (await send(platform, proposal()))[0]
    assert (proposed.state, proposed.line_count >= 2) == ("proposed", True)
    assert refused(await send(platform, decision(who=ASKS))).code == "same_person"
    assert await held(platform, EVENT) == dollars
    told = await send(platform, decision(name="2"))
    assert [change.state for change in of(told, FilingChanged)] == ["remitting", "filed"]
    assert states(told) == ["escheated", "escheated"]
    assert {fact.filing_id for fact in of(told, DormancyChanged)} == {FILING}
    assert (await held(platform, EVENT), await held(platform, EVENT, "EUR")) == (0, 0)
    (report,) = of(told, ReportFiled)
    totals = {total.currency: total.money().minor for total in report.totals}
    assert totals == {"EUR": await owed(platform, "EUR"), "USD": await owed(platform)}
    assert (totals["USD"] >= dollars, totals["EUR"] >= euros) == (True, True)
    await claim_and_reclaim(platform, dollars)


async def claim_and_reclaim(platform: Platform, dollars: int) -> None:
    """The owner shows up after the filing, and the holder gets its money back."""
    found = of(await claim(platform, "anna"), OwnerFound)
    assert {(fact.filing_id, fact.claimant) for fact in found} == {(FILING, party("anna"))}
    account, before = BOOKS.wallet(EVENT, "USD").id, await owed(platform)
    wrong = reclaim(account, reclaim_id=derived_id("rcl", "ben"), claimant=party("ben"))
    assert refused(await send(platform, wrong)).code == "not_the_claimant"
    (proposed,) = of(await send(platform, reclaim(account)), ReclaimChanged)
    assert (proposed.state, proposed.filing_id) == ("proposed", FILING)
    assert refused(await send(platform, reclaim_decision(who=ASKS))).code == "same_person"
    assert await held(platform, party("anna")) == 0
    told = await send(platform, reclaim_decision(name="2"))
    assert [change.state for change in of(told, ReclaimChanged)] == ["moving", "moved"]
    assert states(told) == ["reclaimed"]
    assert await held(platform, party("anna")) == dollars
    assert await owed(platform) == before - dollars
    again = reclaim(account, reclaim_id=derived_id("rcl", "again"))
    assert refused(await send(platform, again)).code == "line_unknown"
    assert refused(await send(platform, reclaim_decision(name="3"))).code == "reclaim_decided"
    assert await platform.set_aside() == []
    for table in ("unclaimed_filing", "unclaimed_line", "reclaim"):
        rows = [
            len(await platform.rows(f"SELECT * FROM {table}", tenant))
            for tenant in (party("root"), party("elsewhere"), "")
        ]
        assert rows[0] > 0, table
        assert rows[1:] == [0, 0], table


async def test_totals_of_the_report_are_those_of_the_journals(platform: Platform) -> None:
    await pay_in(platform, 1)
    await pay_in(platform, 2, code="EUR")
    await to_anna(platform, 3)
    await until_reportable(platform)
    told = await send(platform, proposal(), decision())
    (report,) = of(told, ReportFiled)
    journals = {journal.journal_id: journal for journal in of(told, JournalPosted)}
    rows = list(csv.DictReader(io.StringIO(report.content)))
    lines = [row for row in rows if row["account"] != "TOTAL"]
    assert len(lines) == report.line_count == len(journals) >= 3
    posted: dict[str, int] = {}
    for row in lines:
        (leg,) = journals[row["journal_id"]].legs
        assert (leg.debit, leg.amount.amount) == (row["account"], row["amount"])
        posted[row["currency"]] = posted.get(row["currency"], 0) + leg.amount.money().minor
    assert {t.currency: t.money().minor for t in report.totals} == posted
    totals = {row["currency"]: row["amount"] for row in rows if row["account"] == "TOTAL"}
    assert totals == {total.currency: total.amount for total in report.totals}
    assert hashlib.sha256(report.content.encode()).hexdigest() == report.sha256
    assert {row["report_id"] for row in rows} == {report.report_id} != {report.filing_id}


async def test_wallet_of_a_known_owner_is_filed_and_comes_back_to_it(platform: Platform) -> None:
    await to_anna(platform, 1)
    anna = party("anna")
    money = await held(platform, anna)
    told = await until_reportable(platform)
    assert states(told, anna) == ["dormant", "notice_sent", "reportable"]
    notice = next(fact for fact in of(told, NoticeDue) if fact.owner == anna)
    assert (notice.contacts, notice.companies) == (("ct_anna",), ())
    await send(platform, proposal(), decision())
    assert (await held(platform, anna), await dormancy(platform, anna)) == (0, "escheated")
    account = BOOKS.wallet(anna, "USD").id
    told = await send(platform, reclaim(account), reclaim_decision())
    assert await held(platform, anna) == await followed(platform, anna) == money
    assert states(told, anna) == ["reclaimed", "active"]


async def test_only_the_owner_sets_its_clock_back(platform: Platform) -> None:
    await to_anna(platform, 1)
    anna = party("anna")
    await work(platform, days=YEARS_3.days)
    assert refused(await send(platform, confirm(anna, "co"))).code == "not_the_owner"
    await to_anna(platform, 2)
    assert await dormancy(platform, anna) == "notice_sent"
    (fact,) = of(await send(platform, confirm(anna, "anna")), OwnerConfirmed)
    assert (fact.sign, fact.wallets) == ("answer", 1)
    assert await dormancy(platform, anna) == "active"
    assert states(await work(platform, days=YEARS_3.days - 1), anna) == []
    (again,) = await send(platform, confirm(anna, "anna"))
    assert again == fact
    assert states(await work(platform, days=2), anna) == ["dormant", "notice_sent"]


def method(by: str) -> Event:
    return MethodChosen(
        owner=party("anna"),
        currency="USD",
        version=1,
        rail="ach",
        instrument=derived_id("ins", "1"),
        state="active",
        reason_code=None,
        who=who(by),
        occurred_at=START,
    )


def contact(by: str) -> Event:
    return ContactAdded(
        tenant=party("root"),
        who=who(by),
        reason="reachable",
        occurred_at=START,
        contact_id=derived_id("contact", "second", by),
        party_id=party("anna"),
        contact=f"ct_second_{by}",
        channel="phone",
        verified=False,
    )


@pytest.mark.parametrize(
    ("topic", "sign", "no_sign"),
    [
        (
            "payouts.payout.v1",
            payout("approved", by="anna"),
            payout("approved", by="co", pay_in_id=derived_id("pin", "1")),
        ),
        ("payouts.payout.v1", method("anna"), method("co")),
        ("directory.parties.v1", contact("anna"), contact("co")),
    ],
    ids=["withdrawal", "method", "contact"],
)
async def test_what_the_owner_does_is_a_sign_and_what_others_do_is_none(
    platform: Platform, topic: str, sign: Event, no_sign: Event
) -> None:
    await to_anna(platform, 1)
    anna = party("anna")
    await work(platform, days=YEARS_3.days)
    await platform.send(no_sign, topic=topic)
    assert await dormancy(platform, anna) == "notice_sent"
    await platform.send(sign, topic=topic)
    assert await dormancy(platform, anna) == "active"


RESTRICTED = f"restricted:{party('anna')}"


async def restricted_too(platform: Platform) -> None:
    """Anna has money, and more that she may not receive yet."""
    await to_anna(platform, 1)
    await publish(platform, places=("*",))
    platform.later(seconds=1)
    await to_anna(platform, 2)


@pytest.mark.parametrize(
    ("topic", "sign"),
    [
        ("payouts.payout.v1", payout("approved", by="anna")),
        ("payouts.payout.v1", method("anna")),
        ("directory.parties.v1", contact("anna")),
    ],
    ids=["withdrawal", "method", "contact"],
)
async def test_f27_what_the_owner_does_is_a_sign_for_money_it_may_not_receive_yet_too(
    platform: Platform, topic: str, sign: Event
) -> None:
    await restricted_too(platform)
    await work(platform, days=YEARS_3.days)
    assert await dormancy(platform, RESTRICTED) == "notice_sent"
    await platform.send(sign, topic=topic)
    assert await dormancy(platform, party("anna")) == "active"
    assert await dormancy(platform, RESTRICTED) == "active"


async def test_f27_owner_is_told_of_money_it_may_not_receive_yet_and_its_answer_counts(
    platform: Platform,
) -> None:
    await restricted_too(platform)
    anna = party("anna")
    told = await work(platform, days=YEARS_3.days)
    notice = next(fact for fact in of(told, NoticeDue) if fact.owner == RESTRICTED)
    assert (notice.contacts, notice.companies) == (("ct_anna",), (party("co"),))
    (fact,) = of(await send(platform, confirm(anna, "anna")), OwnerConfirmed)
    assert fact.wallets == 2
    assert states(await work(platform, days=YEARS_3.days), RESTRICTED) == ["dormant", "notice_sent"]
    await transfer(platform, by="anna", to=BOOKS.wallet(party("ben"), "USD"), number=1)
    assert await dormancy(platform, RESTRICTED) == "active"


@pytest.mark.parametrize("may_receive", [True, False])
async def test_f27_restricted_money_that_was_filed_comes_back_to_its_payee_by_its_gate(
    platform: Platform, *, may_receive: bool
) -> None:
    await publish(platform, places=("*",))
    await to_anna(platform, 1)
    money = await held(platform, RESTRICTED)
    await until_reportable(platform)
    await send(platform, proposal(), decision())
    assert (await held(platform, RESTRICTED), await dormancy(platform, RESTRICTED)) == (
        0,
        "escheated",
    )
    if may_receive:
        await platform.send(level("anna", 1, "basic"), topic=IDENTITY)
    account = BOOKS.wallet(RESTRICTED, "USD").id
    wrong = reclaim(account, reclaim_id=derived_id("rcl", "ben"), claimant=party("ben"))
    assert refused(await send(platform, wrong)).code == "not_the_claimant"
    told = await send(platform, reclaim(account), reclaim_decision())
    assert [change.state for change in of(told, ReclaimChanged)] == ["proposed", "moving", "moved"]
    assert states(told, RESTRICTED) == ["reclaimed", "active"]
    expected = (0, money) if may_receive else (money, 0)
    assert (await held(platform, RESTRICTED), await held(platform, party("anna"))) == expected
    assert await platform.set_aside() == []


async def test_transfer_sent_by_the_owner_is_a_sign_and_balances_follow_the_books(
    platform: Platform,
) -> None:
    """Journals come before anything tells whose the wallet is: what they posted is not lost."""
    anna, ben = party("anna"), party("ben")
    await to_anna(platform, 1)
    travel = BOOKS.account("wallet", "anna-travel", "USD", owner=anna)
    await work(platform, days=YEARS_3.days)
    await transfer(platform, by="anna", to=BOOKS.wallet(ben, "USD"), number=1)
    assert await dormancy(platform, anna) == "active"
    await transfer(platform, by="anna", to=travel, number=2)
    for owner, account in ((ben, BOOKS.wallet(ben, "USD")), (anna, travel)):
        opened = wallet_opened(owner, account.id)
        await platform.send(opened, topic="directory.wallets.v1")
    await platform.send(payout("paid", by="co", sequence=4), topic="payouts.payout.v1")
    assert await followed(platform, ben) == await held(platform, ben) == 500
    assert await followed(platform, anna) == await held(platform, anna) - 1000
    rows = await platform.rows(
        f"SELECT balance FROM claimable_wallet WHERE account = '{travel.id}'"
    )
    assert rows[0][0] == 500
    merged = PartiesMerged(
        tenant=party("root"),
        who=who("root"),
        reason="one person",
        occurred_at=START,
        party_id=anna,
        merged=ben,
        merged_tenant=party("root"),
        by="approval",
    )
    await platform.send(merged, topic="directory.parties.v1")
    (fact,) = of(await send(platform, confirm(anna, "anna")), OwnerConfirmed)
    assert fact.wallets == 3


async def test_owner_who_shows_up_before_the_decision_keeps_the_money(platform: Platform) -> None:
    await to_anna(platform, 1)
    anna = party("anna")
    money = await held(platform, anna)
    await until_reportable(platform)
    (proposed,) = of(await send(platform, proposal()), FilingChanged)
    await send(platform, confirm(anna, "anna"))
    told = await send(platform, decision())
    assert of(told, FilingChanged)[0].line_count == proposed.line_count - 1
    assert (await held(platform, anna), await dormancy(platform, anna)) == (money, "active")


async def test_wallet_the_ledger_keeps_shut_is_left_to_the_next_filing(platform: Platform) -> None:
    await pay_in(platform, 1)
    await pay_in(platform, 2, code="EUR")
    euros = await held(platform, EVENT, "EUR")
    await until_reportable(platform)
    account = BOOKS.wallet(EVENT, "EUR").id
    change: dict[str, Any] = {
        "account": account,
        "ledger": "main",
        "direction": "out",
        "who": who("root"),
        "why": WHY,
        "occurred_at": START,
    }
    await platform.command_ledger(FreezeAccount(change_id=derived_id("chg", "1"), **change))
    (report,) = of(await send(platform, proposal(), decision()), ReportFiled)
    assert account not in report.content
    assert BOOKS.wallet(EVENT, "USD").id in report.content
    assert await held(platform, EVENT, "EUR") == euros
    await platform.command_ledger(UnfreezeAccount(change_id=derived_id("chg", "2"), **change))
    second = derived_id("fil", "two")
    told = await send(
        platform,
        proposal(filing_id=second),
        decision(name="second", filing_id=second),
    )
    assert [total.money().minor for total in of(told, ReportFiled)[0].totals] == [euros]


async def test_declined_filing_moves_nothing_and_can_be_proposed_again(platform: Platform) -> None:
    await pay_in(platform, 1)
    money = await held(platform, EVENT)
    await until_reportable(platform)
    told = await send(platform, proposal(), decision(approve=False))
    assert of(told, FilingChanged)[-1].state == "declined"
    assert refused(await send(platform, decision(name="2"))).code == "filing_decided"
    assert (await held(platform, EVENT), await owed(platform)) == (money, 0)
    again = await send(platform, proposal(filing_id=derived_id("fil", "two")))
    assert of(again, FilingChanged)[0].state == "proposed"


async def test_money_that_comes_after_the_filing_has_a_clock_of_its_own(platform: Platform) -> None:
    await pay_in(platform, 1)
    await until_reportable(platform)
    await send(platform, proposal(), decision())
    assert await dormancy(platform, EVENT) == "escheated"
    await pay_in(platform, 2)
    assert await dormancy(platform, EVENT) == "active"
    assert await followed(platform, EVENT) == await held(platform, EVENT) > 0
    assert states(await work(platform, days=YEARS_3.days - 1)) == []
    assert states(await work(platform, days=2)) == ["dormant", "notice_sent"]


@pytest.mark.parametrize(
    ("command", "expected", "field"),
    [
        (proposal(who=who("co")), "not_allowed", "/holder"),
        (proposal(jurisdiction="de"), "jurisdiction_unknown", "/jurisdiction"),
        (proposal(), "nothing_reportable", "/jurisdiction"),
        (decision(), "filing_unknown", "/filing_id"),
        (reclaim(derived_id("acc", "1")), "filing_unknown", "/filing_id"),
        (reclaim_decision(), "reclaim_unknown", "/reclaim_id"),
    ],
)
async def test_wrong_order_is_refused_the_same_each_time_and_changes_nothing(
    platform: Platform, command: Event, expected: str, field: str
) -> None:
    told = await send(platform, command)
    assert (refused(told).code, refused(told).field) == (expected, field)
    assert (await send(platform, command)) == told
    for table in ("unclaimed_filing", "reclaim"):
        assert await platform.rows(f"SELECT * FROM {table}") == []


async def test_empty_wallet_is_not_dormant(platform: Platform) -> None:
    await to_anna(platform, 1)
    anna = party("anna")
    money = Money(await held(platform, anna), Money.parse("0", "USD").currency)
    gone = payout("paid", by="co", sequence=4).model_copy(update={"amount": Amount.of(money)})
    await platform.send(gone, topic="payouts.payout.v1")
    assert await followed(platform, anna) == 0
    assert states(await work(platform, days=YEARS_3.days), anna) == []


async def test_signs_of_two_owners_in_a_batch_are_told_each_under_its_own_command(
    platform: Platform,
) -> None:
    """Who gave a command takes the first fact that follows from it for its outcome."""
    await to_anna(platform, 1)
    await pay_in(platform, 2, Beneficiary(party=party("ben")))
    await work(platform, days=YEARS_3.days)
    ((before,),) = await platform.rows("SELECT max(seq) FROM outbox")
    by_anna, by_ben = confirm(party("anna"), "anna"), confirm(party("ben"), "ben")
    await platform.give(by_anna, by_ben, by_anna, topic=COMMANDS)
    told: dict[str, list[tuple[str, str]]] = {}
    for cause, kind, owner in await platform.rows(
        "SELECT headers::jsonb ->> 'tally_causation_id', headers::jsonb ->> 'ce_type', record_key"
        f" FROM outbox WHERE seq > {before} ORDER BY seq"
    ):
        told.setdefault(cause, []).append((kind, owner))
    confirmed, changed = OwnerConfirmed.TYPE, DormancyChanged.TYPE
    assert [*told.values()] == [
        [(confirmed, party("anna")), (changed, party("anna"))],
        [(confirmed, party("ben")), (changed, party("ben"))],
        [(confirmed, party("anna"))],
    ]
