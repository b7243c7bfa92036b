"""X3, F28, F31 on real books: money for nobody known is claimed once, re-designated, or runs out."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from tally_contracts.base import Event, PositiveAmount, Why
from tally_contracts.directory_facts import ContactRemoved, PartyMoved
from tally_contracts.funding import Beneficiary, FundingReceived, Originator, PayInAllocated
from tally_contracts.funding_claims import (
    ClaimAlarmRaised,
    ClaimChanged,
    ClaimIssued,
    ClaimRefused,
    DesignationAsked,
    DesignationMoved,
    DesignationRefused,
    DormancyChanged,
    IssueClaim,
    RedeemClaim,
    Redesignate,
)
from tally_contracts.ledger import FreezeAccount, JournalPosted, PostJournal, UnfreezeAccount
from tally_funding.claims.worker import ClaimsWorker
from tally_funding.retrying import SPREAD, TRY_AGAIN_AFTER
from tally_runtime import derived_id
from tally_security.sealing import Keyring, Place, SealingKey, unseal
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, START, WHERE, Platform, open_platform, party, who

COMMANDS = "funding.agreements.commands.v1"
OWNER = "event:expo-2026"
BALANCE = f"SELECT balance FROM claimable_wallet WHERE owner = '{OWNER}'"
WHY = Why(program="supplier-payments", event="expo-2026", reason="Stand 12 of the expo")
CLAIM = derived_id("clm", "one")
EXPIRES = START + timedelta(days=30)
KEYS = Keyring(SealingKey.parse("c2FtcGxlLWNsYWltLWNvZGVzLWtleS1kZXYtb25seSE="))


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    async with open_platform(fresh_database) as opened:
        await opened.register("root", "co", "other")
        await opened.register("anna", "ben", contacts=True)
        yield opened


def announced(
    number: int = 1,
    *,
    company: str = "co",
    code: str = "USD",
    beneficiary: Beneficiary | None = None,
) -> FundingReceived:
    """100.00 for somebody nobody knows."""
    return FundingReceived(
        who=who(company),
        where=WHERE,
        why=WHY,
        occurred_at=START,
        external_id=f"m-{number}",
        amount=PositiveAmount(currency=code, amount="100.00"),
        originator=Originator(reference="debtor-1", country="DE"),
        company=party(company),
        beneficiary=beneficiary or Beneficiary(event_reference="expo-2026"),
        value_date=START.date(),
    )


async def pay_in(platform: Platform, number: int = 1, **more: Any) -> list[Any]:
    """Money comes, and goes through the rule as any money."""
    return await platform.send(announced(number, **more), topic="funding.inbound.cards.v1")


def issue(**changes: Any) -> IssueClaim:
    fields: dict[str, Any] = {
        "claim_id": CLAIM,
        "owner": OWNER,
        "tenant": party("root"),
        "expires_at": EXPIRES,
        "who": who("co"),
        "why": WHY,
        "occurred_at": START,
        **changes,
    }
    return IssueClaim(**fields)


async def issued(platform: Platform, **changes: Any) -> str:
    """Have a code made, and deliver it; the code's text."""
    told = await platform.send(issue(**changes), topic=COMMANDS)
    fact = next(event for event in told if isinstance(event, ClaimIssued))
    return unseal(fact.sealed_code, KEYS, Place(fact.tenant, "claim", "code", fact.claim_id))


def redeem(code: str, by: str = "anna", name: str = "", **changes: Any) -> RedeemClaim:
    fields: dict[str, Any] = {
        "command_id": derived_id("cmd", "redeem", by, name),
        "claim_id": CLAIM,
        "code_hash": hashlib.sha256(code.encode()).hexdigest(),
        "who": who(by),
        "why": WHY,
        "occurred_at": START,
        **changes,
    }
    return RedeemClaim(**fields)


def redesignate(to_owner: str, by: str = "co", owner: str = OWNER, **changes: Any) -> Redesignate:
    fields: dict[str, Any] = {
        "command_id": derived_id("cmd", "redesignate", by, owner, to_owner),
        "owner": owner,
        "to_owner": to_owner,
        "tenant": party("root"),
        "who": who(by),
        "why": WHY,
        "occurred_at": START,
        **changes,
    }
    return Redesignate(**fields)


async def send(platform: Platform, *commands: BaseModel) -> list[Any]:
    told = []
    for command in commands:
        told += await platform.send(command, topic=COMMANDS)
    return told


async def held(platform: Platform, owner: str, code: str = "USD") -> int:
    return await platform.balance(BOOKS.wallet(owner, code))


def of(told: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def clocks(told: list[Any], owner: str = OWNER) -> list[DormancyChanged]:
    """What was told of the clocks of one owner's wallets."""
    return [clock for clock in of(told, DormancyChanged) if clock.owner == owner]


def refused(told: list[Any]) -> ClaimRefused:
    """The outcome of a refused command: the first thing told."""
    first = told[0]
    assert isinstance(first, ClaimRefused), told
    assert first.remedy
    return first


async def work(platform: Platform) -> list[Any]:
    await ClaimsWorker(BOOKS).turn(platform.funding.transactor)
    return await platform.settle()


async def freeze(platform: Platform, kind: type[Any], owner: str) -> None:
    command = kind(
        change_id=derived_id("chg", kind.__name__, owner),
        account=BOOKS.wallet(owner, "USD").id,
        ledger="main",
        direction="in",
        who=who("root"),
        why=WHY,
        occurred_at=START,
    )
    await platform.command_ledger(command)


async def test_money_for_an_event_stands_in_its_wallet_with_a_dormancy_clock(
    platform: Platform,
) -> None:
    told = await pay_in(platform)
    (clock,) = clocks(told)
    assert (clock.owner, clock.state, clock.tenant) == (OWNER, "active", party("root"))
    assert clock.dormant_at == START.replace(year=2031)
    (row,) = await platform.rows(BALANCE)
    assert row[0] == await held(platform, OWNER) > 0


async def test_claim_moves_every_currency_once_and_later_money_follows(
    platform: Platform,
) -> None:
    await pay_in(platform, 1)
    await pay_in(platform, 2, code="EUR")
    dollars, euros = await held(platform, OWNER), await held(platform, OWNER, "EUR")
    code = await issued(platform)
    told = await send(platform, redeem(code))
    first = told[0]
    assert isinstance(first, ClaimChanged)
    assert [change.state for change in of(told, ClaimChanged)] == ["redeeming", "redeemed"]
    (moved,) = of(told, DesignationMoved)
    assert (moved.to_owner, moved.reason_code) == (party("anna"), "claimed")
    assert [str(amount.money().minor) for amount in moved.amounts] == [str(euros), str(dollars)]
    assert (await held(platform, OWNER), await held(platform, OWNER, "EUR")) == (0, 0)
    assert await held(platform, party("anna")) == dollars
    assert {clock.state for clock in of(told, DormancyChanged)} == {"claimed"}
    told = await pay_in(platform, 3)
    (allocated,) = of(told, PayInAllocated)
    assert party("anna") in {share.owner for share in allocated.allocations}
    assert of(told, DesignationAsked) == []
    assert await held(platform, party("anna")) == 2 * dollars
    assert await platform.set_aside() == []


async def test_money_under_way_when_the_claim_was_made_follows_it(platform: Platform) -> None:
    await pay_in(platform, 1)
    money = await held(platform, OWNER)
    code = await issued(platform)
    await platform.give(announced(2), topic="funding.inbound.cards.v1")
    late = await platform.settle(without={"ledger.commands.v1"})
    await send(platform, redeem(code))
    (journal,) = of(late, PostJournal)
    await platform.command_ledger(journal)
    reasons = [moved.reason_code for moved in of(platform.told, DesignationMoved)]
    assert reasons == ["claimed", "followed"]
    assert (await held(platform, OWNER), await held(platform, party("anna"))) == (0, 2 * money)


async def test_second_claim_is_refused_and_alarmed_and_moves_nothing(platform: Platform) -> None:
    await pay_in(platform)
    code = await issued(platform)
    await send(platform, redeem(code))
    got = await held(platform, party("anna"))
    told = await send(platform, redeem(code, "ben"))
    assert refused(told).code == "claim_used"
    (alarm,) = of(told, ClaimAlarmRaised)
    assert (alarm.attempted_by, alarm.code) == (party("ben"), "claim_used")
    assert (await held(platform, party("anna")), await held(platform, party("ben"))) == (got, 0)


async def test_claim_twice_in_one_batch_is_one_claim(platform: Platform) -> None:
    await pay_in(platform)
    code = await issued(platform)
    await platform.give(redeem(code, "anna"), redeem(code, "ben"), topic=COMMANDS)
    told = await platform.settle()
    assert [event.code for event in of(told, ClaimRefused)] == ["claim_used"]
    assert await held(platform, party("ben")) == 0 < await held(platform, party("anna"))


async def test_same_redemption_again_gets_the_same_answer_and_no_alarm(platform: Platform) -> None:
    await pay_in(platform)
    code = await issued(platform)
    first = await send(platform, redeem(code))
    (again,) = await send(platform, redeem(code))
    assert again == first[0]
    other = redeem(code, claim_id=derived_id("clm", "other"))
    assert refused(await send(platform, other)).code == "id_reused"


@pytest.mark.parametrize(
    ("by", "given", "days", "expected"),
    [
        ("anna", "a guess", 0, "code_wrong"),
        ("ben", None, 0, "wrong_person"),
        ("root", None, 0, "wrong_person"),
        ("nobody", None, 0, "party_unknown"),
        ("anna", None, 30, "claim_expired"),
    ],
)
async def test_wrong_redemption_is_refused_and_changes_nothing(
    platform: Platform, by: str, given: str | None, days: int, expected: str
) -> None:
    await pay_in(platform)
    before = await held(platform, OWNER)
    code = await issued(platform, contact="ct_anna")
    platform.later(days=days)
    told = await send(platform, redeem(given or code, by))
    assert refused(told).code == expected
    assert bool(of(told, ClaimAlarmRaised)) is (expected in {"code_wrong", "wrong_person"})
    assert await held(platform, OWNER) == before
    assert await platform.rows("SELECT * FROM movement") == []


async def test_unknown_claim_is_refused(platform: Platform) -> None:
    told = await send(platform, redeem("x"))
    assert (refused(told).code, refused(told).owner) == ("claim_unknown", None)


async def test_money_for_a_contact_goes_only_to_who_verified_it(platform: Platform) -> None:
    await pay_in(platform, beneficiary=Beneficiary(contact="ct_anna"))
    code = await issued(platform, owner="contact:ct_anna")
    assert refused(await send(platform, redeem(code, "ben"))).code == "wrong_person"
    gone = ContactRemoved(
        tenant=party("root"),
        who=who("anna"),
        reason="moved",
        occurred_at=START,
        contact_id=derived_id("contact", "anna"),
        party_id=party("anna"),
        contact="ct_anna",
        channel="email",
    )
    await platform.give(gone, topic="directory.parties.v1")
    assert refused(await send(platform, redeem(code))).code == "wrong_person"
    await platform.register("anna", contacts=True)
    await send(platform, redeem(code, name="again"))
    assert await held(platform, party("anna")) > 0


@pytest.mark.parametrize(
    ("changes", "expected", "field"),
    [
        ({"who": who("other")}, "owner_unknown", "/owner"),
        ({"owner": "event:nothing"}, "owner_unknown", "/owner"),
        ({"owner": party("anna")}, "owner_not_claimable", "/owner"),
        ({"why": WHY.model_copy(update={"program": "other"})}, "why_mismatch", "/why/program"),
        ({"expires_at": START}, "expiry_passed", "/expires_at"),
        ({"expires_to": party("nobody")}, "party_unknown", "/expires_to"),
        ({"tenant": party("other")}, "tenant_mismatch", "/tenant"),
    ],
)
async def test_wrong_issue_is_refused_and_makes_no_code(
    platform: Platform, changes: dict[str, Any], expected: str, field: str
) -> None:
    await pay_in(platform)
    told = await send(platform, issue(**changes))
    assert (refused(told).code, refused(told).field) == (expected, field)
    assert await platform.rows("SELECT * FROM claim") == []


async def test_party_above_the_company_may_issue_also_after_the_company_moved(
    platform: Platform,
) -> None:
    await pay_in(platform)
    await platform.register("region")
    moved = PartyMoved(
        tenant=party("root"),
        who=who("root"),
        reason="reorganised",
        occurred_at=START,
        party_id=party("co"),
        parent=party("region"),
        path=(party("root"), party("region")),
        previous_path=(party("root"),),
    )
    assert refused(await send(platform, issue(who=who("region")))).code == "owner_unknown"
    await platform.give(moved, topic="directory.parties.v1")
    assert await issued(platform, claim_id=derived_id("clm", "two"), who=who("region"))


async def test_code_never_travels_or_rests_in_clear(platform: Platform) -> None:
    await pay_in(platform)
    code = await issued(platform)
    for table in ("outbox", "claim", "command_answer"):
        for row in await platform.rows(f"SELECT t::text FROM {table} t"):
            assert code not in row[0]
    sealed = of(platform.told, ClaimIssued)[0].sealed_code
    assert code not in sealed


async def test_new_code_ends_the_one_before(platform: Platform) -> None:
    await pay_in(platform)
    old = await issued(platform)
    new = await issued(platform, claim_id=derived_id("clm", "two"))
    assert refused(await send(platform, redeem(old))).code == "claim_ended"
    told = await send(platform, redeem(new, name="2", claim_id=derived_id("clm", "two")))
    assert of(told, DesignationMoved)


async def test_redesignation_moves_the_money_ends_the_code_and_leads_on_what_comes(
    platform: Platform,
) -> None:
    await pay_in(platform, 1)
    money = await held(platform, OWNER)
    code = await issued(platform)
    told = await send(platform, redesignate("event:gala"))
    assert isinstance(told[0], DesignationAsked)
    assert [change.state for change in of(told, ClaimChanged)] == ["withdrawn"]
    assert await held(platform, "event:gala") == money
    assert refused(await send(platform, redeem(code))).code == "claim_ended"
    await pay_in(platform, 2)
    assert await held(platform, "event:gala") == 2 * money
    # And on to a known party: what led to the gala leads straight there.
    await send(platform, redesignate(party("anna"), owner="event:gala"))
    assert await held(platform, party("anna")) == 2 * money
    await pay_in(platform, 3)
    assert await held(platform, party("anna")) == 3 * money
    redirects = await platform.rows("SELECT owner, to_owner FROM redirect ORDER BY 1")
    assert [tuple(row) for row in redirects] == [
        (OWNER, party("anna")),
        ("event:gala", party("anna")),
    ]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (redesignate(party("nobody")), "party_unknown"),
        (redesignate(OWNER), "same_owner"),
        (redesignate(party("anna"), by="other"), "owner_unknown"),
        (redesignate(party("anna"), tenant=party("other")), "tenant_mismatch"),
    ],
)
async def test_wrong_redesignation_is_refused(
    platform: Platform, command: Redesignate, expected: str
) -> None:
    await pay_in(platform)
    assert refused(await send(platform, command)).code == expected
    assert await platform.rows("SELECT * FROM movement") == []


async def test_redesignation_in_a_circle_is_refused(platform: Platform) -> None:
    await pay_in(platform)
    await send(platform, redesignate("event:gala"))
    back = redesignate(OWNER, owner="event:gala")
    assert refused(await send(platform, back)).code == "same_owner"


async def test_claimed_money_cannot_be_redesignated(platform: Platform) -> None:
    await pay_in(platform)
    await send(platform, redeem(await issued(platform)))
    assert refused(await send(platform, redesignate("event:gala"))).code == "owner_claimed"


async def test_unclaimed_money_goes_to_the_stated_party(platform: Platform) -> None:
    await pay_in(platform, 1)
    money = await held(platform, OWNER)
    await issued(platform, expires_to=party("other"))
    platform.later(days=29)
    assert await work(platform) == []
    platform.later(days=1)
    told = await work(platform)
    assert [change.state for change in of(told, ClaimChanged)] == ["expiring", "expired"]
    assert of(told, DesignationMoved)[0].reason_code == "expired"
    assert (await held(platform, OWNER), await held(platform, party("other"))) == (0, money)
    assert await work(platform) == []


async def test_code_alone_ends_where_no_party_is_stated(platform: Platform) -> None:
    await pay_in(platform)
    money = await held(platform, OWNER)
    await issued(platform)
    platform.later(days=30)
    assert [change.state for change in of(await work(platform), ClaimChanged)] == ["expired"]
    assert await held(platform, OWNER) == money
    assert await issued(
        platform,
        claim_id=derived_id("clm", "2"),
        expires_at=platform.clock.now() + timedelta(days=1),
    )


async def test_ledger_refusal_leaves_the_claim_to_be_redeemed_again(platform: Platform) -> None:
    await pay_in(platform, 1)
    await pay_in(platform, 2, beneficiary=Beneficiary(party=party("anna")))
    money, had = await held(platform, OWNER), await held(platform, party("anna"))
    code = await issued(platform)
    await freeze(platform, FreezeAccount, party("anna"))
    told = await send(platform, redeem(code))
    states = [(change.state, change.reason_code) for change in of(told, ClaimChanged)]
    assert states == [("redeeming", None), ("issued", "account_frozen")]
    assert of(told, DesignationRefused)[0].code == "account_frozen"
    assert (await held(platform, OWNER), await held(platform, party("anna"))) == (money, had)
    await freeze(platform, UnfreezeAccount, party("anna"))
    await send(platform, redeem(code, name="again"))
    assert await held(platform, party("anna")) == money + had


async def test_expiry_refused_by_the_ledger_is_tried_again_an_hour_later(
    platform: Platform,
) -> None:
    await pay_in(platform, 1)
    money = await held(platform, OWNER)
    await pay_in(platform, 2, beneficiary=Beneficiary(party=party("co")))
    had = await held(platform, party("co"))
    await issued(platform, expires_to=party("co"))
    await freeze(platform, FreezeAccount, party("co"))
    platform.later(days=30)
    states = [change.state for change in of(await work(platform), ClaimChanged)]
    assert states == ["expiring", "issued"]
    platform.clock.advance(TRY_AGAIN_AFTER - timedelta(seconds=1))
    assert await work(platform) == []
    platform.clock.advance(SPREAD + timedelta(seconds=1))
    states = [change.state for change in of(await work(platform), ClaimChanged)]
    assert states == ["expiring", "issued"]
    platform.clock.advance(TRY_AGAIN_AFTER - timedelta(seconds=1))
    assert await work(platform) == []
    await freeze(platform, UnfreezeAccount, party("co"))
    platform.clock.advance(SPREAD + timedelta(seconds=1))
    assert of(await work(platform), DesignationMoved)
    assert await held(platform, party("co")) == money + had


async def test_dormancy_runs_out_by_the_clock_and_is_told_once(platform: Platform) -> None:
    await pay_in(platform)
    platform.clock.advance(START.replace(year=2031) - START - timedelta(seconds=1))
    assert await work(platform) == []
    platform.later(seconds=1)
    (dormant,) = clocks(await work(platform))
    assert (dormant.state, dormant.period) == ("dormant", "elsewhere:payment:2000-01-01")
    (noticed,) = clocks(await work(platform))
    assert noticed.state == "notice_sent"
    # No law of the holder's country takes it: it stays, however long nobody answers.
    platform.later(days=400)
    assert await work(platform) == []


async def test_contact_shown_to_be_somebodys_sets_the_clock_back_and_keeps_the_money(
    platform: Platform,
) -> None:
    await pay_in(platform, beneficiary=Beneficiary(contact="ct_carl"))
    owner = "contact:ct_carl"
    money = await held(platform, owner)
    platform.clock.advance(START.replace(year=2031) - START)
    (dormant,) = clocks(await work(platform), owner)
    assert dormant.state == "dormant"
    await platform.register("carl", contacts=True)
    (active,) = clocks(await platform.settle(), owner)
    assert (active.state, active.dormant_at) == ("active", START.replace(year=2036))
    told = await send(platform, redesignate("event:gala", owner=owner))
    assert refused(told).code == "owner_claimed"
    assert await held(platform, owner) == money


async def test_two_claims_at_the_same_moment_are_one(platform: Platform) -> None:
    await pay_in(platform)
    money = await held(platform, OWNER)
    code = await issued(platform)
    await asyncio.gather(
        platform.give(redeem(code, "anna"), topic=COMMANDS),
        platform.give(redeem(code, "ben"), topic=COMMANDS),
    )
    told = await platform.settle()
    assert [event.code for event in of(told, ClaimRefused)] == ["claim_used"]
    got = [await held(platform, party(name)) for name in ("anna", "ben")]
    assert sorted(got) == [0, money]
    assert await platform.set_aside() == []


async def test_rows_show_to_their_tenant_alone(platform: Platform) -> None:
    await pay_in(platform)
    await send(platform, redeem(await issued(platform)))
    for table in (
        "claimable_wallet",
        "claimable_company",
        "claim",
        "movement",
        "redirect",
        "command_answer",
        "party_place",
        "party_contact",
    ):
        rows = [
            len(await platform.rows(f"SELECT * FROM {table}", tenant))
            for tenant in (party("root"), party("elsewhere"), "")
        ]
        assert rows[0] > 0, table
        assert rows[1:] == [0, 0], table


async def test_workers_at_the_same_moment_end_a_claim_and_a_clock_once(platform: Platform) -> None:
    await pay_in(platform)
    money = await held(platform, OWNER)
    await issued(platform, expires_to=party("other"))
    await pay_in(platform, 2, beneficiary=Beneficiary(event_reference="gala"))
    platform.clock.advance(START.replace(year=2031) - START)
    turns = [ClaimsWorker(BOOKS).turn(platform.funding.transactor) for _ in range(3)]
    await asyncio.gather(*turns)
    told = await platform.settle()
    assert [change.state for change in of(told, ClaimChanged)] == ["expiring", "expired"]
    dormant = [clock.owner for clock in of(told, DormancyChanged) if clock.state == "dormant"]
    assert dormant.count("event:gala") == 1
    assert await held(platform, party("other")) == money


async def test_money_of_two_companies_is_named_by_nobody_but_who_stands_above_both(
    platform: Platform,
) -> None:
    await pay_in(platform, 1)
    await pay_in(platform, 2, company="other")
    assert refused(await send(platform, issue())).code == "owner_unknown"
    assert await issued(platform, claim_id=derived_id("clm", "2"), who=who("root"))


async def test_reversal_of_a_pay_in_lowers_what_is_there_to_claim(platform: Platform) -> None:
    await pay_in(platform)
    money = await held(platform, OWNER)
    journal = next(e for e in platform.told if isinstance(e, PostJournal))
    await platform.reverse(journal)
    (row,) = await platform.rows(BALANCE)
    assert row[0] == await held(platform, OWNER) == 0 < money
    told = await send(platform, redeem(await issued(platform)))
    assert of(told, DesignationMoved)[0].amounts == ()


async def test_forty_journals_of_others_take_as_many_statements_as_two(
    platform: Platform,
) -> None:
    counts = []
    for size in (1, 2, 40):
        for _ in range(size):
            await platform.pay_in(party("anna"), "1.00")
        facts = of(platform.told, JournalPosted)[-size:]
        await platform.settle()
        again = [fact.model_copy(update={"log_seq": 10_000 + size}) for fact in facts]
        counts.append(len(await platform.statements(*again, topic="ledger.journals.v1")))
    assert counts[1] == counts[2]


async def test_balance_is_right_whatever_comes_first_the_ledgers_word_or_fundings(
    platform: Platform,
) -> None:
    """Topics have no order among them: a wallet is known by what was designated, either way."""
    await platform.give(announced(), topic="funding.inbound.cards.v1")
    told = await platform.settle(without={"funding.pay_in.v1"})
    (journal,) = of(told, PostJournal)
    money = await held(platform, OWNER)
    assert await platform.rows(BALANCE) == []
    await platform.reverse(journal)
    (row,) = await platform.rows(BALANCE)
    assert row[0] == -money
    assert of(await send(platform, issue()), ClaimIssued)
    (allocated,) = of(platform.told, PayInAllocated)
    await platform.send(allocated, topic="funding.pay_in.v1")
    (row,) = await platform.rows(BALANCE)
    assert row[0] == await held(platform, OWNER) == 0


async def test_twenty_redemptions_take_as_many_statements_as_two(platform: Platform) -> None:
    counts = []
    for round_, size in enumerate((1, 2, 20)):
        commands: list[Event] = []
        for number in range(size):
            name = f"e{round_}-{number}"
            await pay_in(
                platform, 1000 * round_ + number, beneficiary=Beneficiary(event_reference=name)
            )
            claim = derived_id("clm", name)
            code = await issued(platform, owner=f"event:{name}", claim_id=claim)
            commands.append(redeem(code, name=name, claim_id=claim))
        counts.append(len(await platform.statements(*commands, topic=COMMANDS)))
        await platform.settle()
    assert counts[1] == counts[2] == 19


async def test_fact_of_a_move_says_when_it_was_asked_for(platform: Platform) -> None:
    """What came after that moment is not in it: payouts opened since go by another move."""
    await pay_in(platform)
    code = await issued(platform)
    asked_at = platform.clock.now()
    await platform.give(redeem(code), topic=COMMANDS)
    platform.later(minutes=5)
    (moved,) = of(await platform.settle(), DesignationMoved)
    assert (moved.asked_at, moved.occurred_at) == (asked_at, platform.clock.now())
