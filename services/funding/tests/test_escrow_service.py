"""F8 on real books: every path of an agreement, and every refusal, with the ledger's own balances."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.base import Amount, AskedAmount, Event, Why
from tally_contracts.directory_facts import PartiesMerged
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.funding_escrow import (
    AgreementChanged,
    AgreementRefused,
    ApproveRelease,
    ArbitrateAgreement,
    DisputeAgreement,
    FundAgreement,
    PresentDocument,
    ProposeAgreement,
    RefundAgreement,
    ReleaseAgreement,
    ReleaseCondition,
)
from tally_contracts.ledger import FreezeAccount, PostJournal, UnfreezeAccount
from tally_contracts.payouts import PayoutChanged
from tally_funding.escrow.worker import DeadlineWorker
from tally_funding.retrying import SPREAD, TRY_AGAIN_AFTER
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, START, WHERE, WHY, Platform, open_platform, party, who

COMMANDS = "funding.agreements.commands.v1"
AGREEMENT = derived_id("agr", "one")
DEADLINE = START + timedelta(days=30)
DOCUMENT = hashlib.sha256(b"bill of lading").hexdigest()
NAMES = ("root", "payer", "payee", "arbiter", "a1", "a2", "stranger")
ESCROW = BOOKS.account("escrow", AGREEMENT, "USD", owner=AGREEMENT)
CONDITIONS = {
    "approval": ReleaseCondition(kind="approval", approvers=(party("a1"), party("a2")), needed=2),
    "date": ReleaseCondition(kind="date", at=START + timedelta(days=10)),
    "document": ReleaseCondition(kind="document", document=DOCUMENT, presenter=party("a1")),
    "event": ReleaseCondition(kind="event", event="payout_paid", event_reference="order:7"),
    "pay_in": ReleaseCondition(kind="event", event="pay_in_allocated", event_reference="order:7"),
}


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    async with open_platform(fresh_database) as opened:
        await opened.register(*NAMES)
        await opened.pay_in(party("payer"), "150.00")
        yield opened


def usd(text: str) -> AskedAmount:
    return AskedAmount(currency="USD", amount=text)


def propose(condition: str = "approval", **changes: Any) -> ProposeAgreement:
    terms: dict[str, Any] = {
        "who": who("payer"),
        "where": WHERE,
        "why": WHY,
        "occurred_at": START,
        "agreement_id": AGREEMENT,
        "tenant": party("root"),
        "payer": party("payer"),
        "payee": party("payee"),
        "arbiter": party("arbiter"),
        "amount": usd("100.00"),
        "condition": CONDITIONS[condition],
        "deadline": DEADLINE,
        **changes,
    }
    return ProposeAgreement(**terms)


def order(kind: type[Any], by: str, command: str = "", **more: Any) -> Any:
    """An order of a party; its id comes from its kind and `command`."""
    if issubclass(kind, ReleaseAgreement | ArbitrateAgreement):
        more = {"where": WHERE, **more}
    return kind(
        **{
            "who": who(by),
            "why": WHY,
            "occurred_at": START,
            "command_id": derived_id("cmd", kind.__name__, by, command),
            "agreement_id": AGREEMENT,
            "tenant": party("root"),
            **more,
        }
    )


async def send(platform: Platform, *commands: Event) -> list[Any]:
    told = []
    for command in commands:
        told += await platform.send(command, topic=COMMANDS)
    return told


async def funded(platform: Platform, condition: str = "approval", **changes: Any) -> None:
    await send(platform, propose(condition, **changes), order(FundAgreement, "payer"))
    assert await money(platform) == (50_00, 100_00, 0)


async def money(platform: Platform) -> tuple[int, int, int]:
    """What payer, agreement and payee hold, by the ledger's books."""
    payer, payee = (BOOKS.wallet(party(name), "USD") for name in ("payer", "payee"))
    return (
        await platform.balance(payer),
        await platform.balance(ESCROW),
        await platform.balance(payee),
    )


def states(told: list[Any]) -> list[str]:
    return [event.state for event in told if isinstance(event, AgreementChanged)]


def refusal(told: list[Any]) -> AgreementRefused:
    (refused,) = told
    assert isinstance(refused, AgreementRefused), refused
    assert refused.remedy
    return refused


async def work(platform: Platform) -> list[Any]:
    """A turn of the worker, and what it leads to."""
    await DeadlineWorker(BOOKS).turn(platform.funding.transactor)
    return await platform.settle()


async def test_proposed_funded_and_released_by_all_approvals(platform: Platform) -> None:
    told = await send(platform, propose(), order(FundAgreement, "payer"))
    assert states(told) == ["proposed", "funding", "funded"]
    assert await money(platform) == (50_00, 100_00, 0)
    told = await send(platform, order(ApproveRelease, "a1"), order(ApproveRelease, "a2"))
    assert states(told) == ["funded", "funded", "releasing", "released"]
    assert await money(platform) == (50_00, 0, 100_00)
    changes = [event for event in platform.told if isinstance(event, AgreementChanged)]
    assert [change.sequence for change in changes] == [*range(1, 8)]
    assert changes[-1].held == Amount(currency="USD", amount="0.00")
    assert await platform.set_aside() == []


async def merge(platform: Platform, *names: str, into: str) -> None:
    """The directory tells that these parties are another one."""
    for name in names:
        merged = PartiesMerged(
            tenant=party("root"),
            who=who("root"),
            reason="one person",
            occurred_at=START,
            party_id=party(into),
            merged=party(name),
            merged_tenant=party("root"),
            by="approval",
        )
        await platform.send(merged, topic="directory.parties.v1")


async def test_f29_who_became_a_party_of_an_agreement_orders_in_its_name_and_nobody_else(
    platform: Platform,
) -> None:
    await funded(platform)
    assert refusal(await send(platform, order(RefundAgreement, "stranger"))).code == (
        "agreement_unknown"
    )
    await merge(platform, "payee", into="stranger")
    # What the payee might not do, the one it became may not either.
    assert refusal(await send(platform, order(FundAgreement, "stranger"))).code == "not_allowed"
    told = await send(platform, order(RefundAgreement, "stranger", "2"))
    assert states(told) == ["refunding", "refunded"]
    assert await money(platform) == (150_00, 0, 0)


@pytest.mark.parametrize(
    ("former", "into"), [(["payee"], "a1"), (["a1"], "payee"), (["payee", "a1"], "stranger")]
)
async def test_f29_who_is_two_parties_of_an_agreement_orders_as_each(
    platform: Platform, former: list[str], into: str
) -> None:
    await funded(platform)
    await merge(platform, *former, into=into)
    told = await send(platform, order(ApproveRelease, into), order(RefundAgreement, into))
    assert states(told) == ["funded", "refunding", "refunded"]
    assert refusal(await send(platform, order(FundAgreement, into))).code == "not_allowed"


async def test_f29_approvers_that_are_one_party_count_once(platform: Platform) -> None:
    await funded(platform)
    assert states(await send(platform, order(ApproveRelease, "a2"))) == ["funded"]
    await merge(platform, "a2", into="a1")
    again = refusal(await send(platform, order(ApproveRelease, "a1")))
    assert again.code == "approved_already"
    assert states(await send(platform, order(ReleaseAgreement, "payer")))[-1] == "released"


async def test_f29_arbiter_that_became_a_side_decides_for_the_other_alone(
    platform: Platform,
) -> None:
    await funded(platform)
    await merge(platform, "arbiter", into="payee")
    await send(platform, order(DisputeAgreement, "payer"))
    for number, (to_payee, code) in enumerate([("0.01", "arbiter_not_apart"), ("0.00", None)]):
        parts = {"to_payee": usd(to_payee), "to_payer": usd("99.99" if code else "100.00")}
        told = await send(platform, order(ArbitrateAgreement, "payee", str(number), **parts))
        assert (refusal(told).code if code else states(told)[-1]) == (code or "arbitrated")
    assert await money(platform) == (150_00, 0, 0)


async def test_part_released_then_the_rest(platform: Platform) -> None:
    await funded(platform)
    told = await send(platform, order(ReleaseAgreement, "payer", amount=usd("30.00")))
    assert states(told) == ["releasing", "part_released"]
    assert await money(platform) == (50_00, 70_00, 30_00)
    told = await send(platform, order(ReleaseAgreement, "payer", "rest"))
    assert states(told) == ["releasing", "released"]
    assert await money(platform) == (50_00, 0, 100_00)


async def test_payee_refunds(platform: Platform) -> None:
    await funded(platform)
    assert states(await send(platform, order(RefundAgreement, "payee"))) == [
        "refunding",
        "refunded",
    ]
    assert await money(platform) == (150_00, 0, 0)


async def test_dispute_is_divided_by_the_arbiter(platform: Platform) -> None:
    await funded(platform)
    assert states(await send(platform, order(DisputeAgreement, "payee"))) == ["disputed"]
    split = order(ArbitrateAgreement, "arbiter", to_payee=usd("60.00"), to_payer=usd("40.00"))
    assert states(await send(platform, split)) == ["arbitrating", "arbitrated"]
    assert await money(platform) == (90_00, 0, 60_00)


@pytest.mark.parametrize(
    ("on_deadline", "after"), [("refund", (150_00, 0, 0)), ("release", (50_00, 0, 100_00))]
)
async def test_deadline_moves_the_money_where_the_agreement_says(
    platform: Platform, on_deadline: str, after: tuple[int, int, int]
) -> None:
    await funded(platform, on_deadline=on_deadline)
    platform.later(days=29)
    assert await work(platform) == []
    platform.later(days=1)
    assert states(await work(platform)) == ["expiring", "expired"]
    assert await money(platform) == after
    assert await work(platform) == []


async def test_two_workers_at_the_same_moment_move_an_agreement_once(platform: Platform) -> None:
    await funded(platform)
    platform.later(days=30)
    turns = [DeadlineWorker(BOOKS).turn(platform.funding.transactor) for _ in range(3)]
    await asyncio.gather(*turns)
    assert states(await platform.settle()) == ["expiring", "expired"]
    assert await money(platform) == (150_00, 0, 0)


async def test_agreement_never_funded_expires_with_an_event(platform: Platform) -> None:
    await send(platform, propose())
    platform.later(days=30)
    assert states(await work(platform)) == ["expired"]
    assert await money(platform) == (150_00, 0, 0)


async def test_date_releases(platform: Platform) -> None:
    await funded(platform, "date")
    platform.later(days=10)
    assert states(await work(platform)) == ["funded", "releasing", "released"]
    assert await money(platform) == (50_00, 0, 100_00)


async def test_document_presented_by_the_named_party_releases(platform: Platform) -> None:
    await funded(platform, "document")
    wrong = order(PresentDocument, "a1", "wrong", document="0" * 64)
    assert refusal(await send(platform, wrong)).code == "document_unknown"
    told = await send(platform, order(PresentDocument, "a1", document=DOCUMENT))
    assert states(told) == ["funded", "releasing", "released"]
    assert await money(platform) == (50_00, 0, 100_00)


def payout(company: str, state: str = "paid", event: str = "order:7") -> PayoutChanged:
    return PayoutChanged(
        who=who("payer"),
        where=WHERE,
        why=Why(program="trade", event=event, reason="Order"),
        occurred_at=START,
        payout_id=derived_id("po", company, state, event),
        sequence=5,
        state=state,
        previous="in_transit",
        owner=party("stranger"),
        company=party(company),
        account=BOOKS.wallet(party("stranger"), "USD").id,
        amount=Amount(currency="USD", amount="1.00"),
        pay_in_id=None,
        rail="ach",
        hold_id=None,
        attempt_id=None,
        reason_code=None,
        must_act=None,
    )


async def test_event_that_was_named_releases_and_others_do_not(platform: Platform) -> None:
    await funded(platform, "event")
    topic = "payouts.payout.v1"
    for other in (
        payout("payer", state="failed"),
        payout("payer", event="order:8"),
        payout("stranger"),
    ):
        assert await platform.send(other, topic=topic) == []
    told = await platform.send(payout("payer"), topic=topic)
    assert states(told) == ["funded", "releasing", "released"]
    assert await money(platform) == (50_00, 0, 100_00)


async def test_pay_in_that_was_named_releases(platform: Platform) -> None:
    await funded(platform, "pay_in")
    fact = PayInAllocated(
        who=who("payer"),
        where=WHERE,
        why=WHY,
        occurred_at=START,
        pay_in_id=derived_id("pin", "x"),
        journal_id=derived_id("jrn", "x"),
        source="cards",
        external_id="x",
        company=party("stranger"),
        amount=Amount(currency="USD", amount="1.00"),
        rule="standard:1",
        allocations=(
            Allocation(
                account=BOOKS.wallet(party("payee"), "USD").id,
                owner=party("payee"),
                role="beneficiary",
                amount=Amount(currency="USD", amount="1.00"),
                pay_out=False,
            ),
        ),
    )
    told = await platform.send(fact, topic="funding.pay_in.v1")
    assert states(told) == ["funded", "releasing", "released"]


async def test_ledger_refuses_a_payer_without_funds_and_the_agreement_stays_proposed(
    platform: Platform,
) -> None:
    told = await send(platform, propose(amount=usd("150.01")), order(FundAgreement, "payer"))
    assert states(told) == ["proposed", "funding", "proposed"]
    last = [event for event in told if isinstance(event, AgreementChanged)][-1]
    assert last.reason_code == "insufficient_funds"
    assert await money(platform) == (150_00, 0, 0)
    await platform.pay_in(party("payer"), "0.01")
    told = await send(platform, order(FundAgreement, "payer", "again"))
    assert states(told) == ["funding", "funded"]


async def test_release_to_a_frozen_wallet_comes_back_and_goes_through_by_itself_later(
    platform: Platform,
) -> None:
    wallet = BOOKS.wallet(party("payee"), "USD")
    await platform.pay_in(party("payee"), "1.00")
    await _freeze(platform, FreezeAccount, wallet.id)
    await send(platform, propose("document"), order(FundAgreement, "payer"))
    told = await send(platform, order(PresentDocument, "a1", document=DOCUMENT))
    assert states(told) == ["funded", "releasing", "funded"]
    assert await money(platform) == (50_00, 100_00, 1_00)
    platform.clock.advance(TRY_AGAIN_AFTER + SPREAD)
    assert states(await work(platform)) == ["releasing", "funded"]
    await _freeze(platform, UnfreezeAccount, wallet.id)
    platform.clock.advance(TRY_AGAIN_AFTER - timedelta(seconds=1))
    assert await work(platform) == []
    platform.clock.advance(SPREAD + timedelta(seconds=1))
    assert states(await work(platform)) == ["releasing", "released"]
    assert await money(platform) == (50_00, 0, 101_00)


async def _freeze(platform: Platform, kind: type[Any], account: str) -> None:
    command = kind(
        change_id=derived_id("chg", kind.__name__),
        account=account,
        ledger="main",
        direction="in",
        who=who("root"),
        why=WHY,
        occurred_at=START,
    )
    await platform.command_ledger(command)


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        (order(ReleaseAgreement, "payer", amount=usd("100.01")), "exceeds_held", "/amount/amount"),
        (
            order(ReleaseAgreement, "payer", amount=usd("0")),
            "amount_not_positive",
            "/amount/amount",
        ),
        (order(ReleaseAgreement, "payer", amount=usd("-1")), "amount_format", "/amount/amount"),
        (
            order(ReleaseAgreement, "payer", amount=usd("1.001")),
            "too_many_decimals",
            "/amount/amount",
        ),
        (
            order(ReleaseAgreement, "payer", amount=AskedAmount(currency="EUR", amount="1.00")),
            "currency_mismatch",
            "/amount/currency",
        ),
        (order(ReleaseAgreement, "payee"), "condition_not_met", "/who/principal"),
        (order(ReleaseAgreement, "stranger"), "agreement_unknown", "/agreement_id"),
        (order(RefundAgreement, "payer"), "not_allowed", "/who/principal"),
        (order(FundAgreement, "payer", "twice"), "state_forbids", "/agreement_id"),
        (
            order(ReleaseAgreement, "payer", why=WHY.model_copy(update={"program": "other"})),
            "why_mismatch",
            "/why/program",
        ),
        (
            order(FundAgreement, "payer", "none", agreement_id=derived_id("agr", "none")),
            "agreement_unknown",
            "/agreement_id",
        ),
        (
            order(ArbitrateAgreement, "arbiter", to_payee=usd("1.00"), to_payer=usd("1.00")),
            "state_forbids",
            "/agreement_id",
        ),
    ],
)
async def test_wrong_order_is_refused_with_code_and_place_and_changes_nothing(
    platform: Platform, wrong: Event, code: str, field: str
) -> None:
    await funded(platform)
    before = await platform.rows("SELECT * FROM agreement")
    refused = refusal(await send(platform, wrong))
    assert (refused.code, refused.field) == (code, field)
    assert refused.command_type == wrong.TYPE
    assert await platform.rows("SELECT * FROM agreement") == before
    assert await money(platform) == (50_00, 100_00, 0)


async def test_unknown_party_wrong_tenant_and_malformed_id_are_refused(platform: Platform) -> None:
    for wrong, code, field in (
        (propose(payee=party("nobody")), "party_unknown", "/payee"),
        (
            propose(agreement_id=derived_id("agr", "2"), tenant=party("payer")),
            "tenant_mismatch",
            "/tenant",
        ),
        (propose(agreement_id=derived_id("pin", "3")), "id_malformed", "/agreement_id"),
        (
            propose(agreement_id=derived_id("agr", "4"), amount=usd("1,0")),
            "amount_format",
            "/amount/amount",
        ),
    ):
        refused = refusal(await send(platform, wrong))
        assert (refused.code, refused.field) == (code, field)
    assert await platform.rows("SELECT * FROM agreement") == []


async def test_same_id_gets_the_same_answer_and_other_content_is_refused(
    platform: Platform,
) -> None:
    await funded(platform)
    release = order(ReleaseAgreement, "payer", amount=usd("30.00"))
    first = await send(platform, release)
    proposed, again = await send(platform, propose(), release)
    assert again == first[0]
    assert (proposed.state, proposed.sequence) == ("proposed", 1)
    for other in (
        release.model_copy(update={"amount": usd("31.00")}),
        propose(payee=party("stranger")),
    ):
        assert refusal(await send(platform, other)).code == "id_reused"
    assert await money(platform) == (50_00, 70_00, 30_00)


async def test_orders_while_the_ledger_is_asked_are_refused_and_its_answers_count_once(
    platform: Platform,
) -> None:
    await send(platform, propose())
    await platform.give(order(FundAgreement, "payer"), topic=COMMANDS)
    await platform.give(order(FundAgreement, "payer", "2"), topic=COMMANDS)
    told = await platform.settle()
    assert [type(event).__name__ for event in told].count("PostJournal") == 1
    assert [e.code for e in told if isinstance(e, AgreementRefused)] == ["movement_under_way"]
    posted = [event for event in told if type(event).__name__ == "JournalPosted"]
    assert await platform.send(*posted, topic="ledger.journals.v1", event_id="again") == []
    assert await money(platform) == (50_00, 100_00, 0)


async def test_every_journal_of_an_agreement_balances_and_names_it(platform: Platform) -> None:
    await funded(platform)
    await send(platform, order(ReleaseAgreement, "payer", amount=usd("30.00")))
    await send(platform, order(RefundAgreement, "payee"))
    journals = [event for event in platform.told if isinstance(event, PostJournal)]
    ours = [journal for journal in journals if journal.reference == AGREEMENT]
    assert [leg.code for journal in ours for leg in journal.legs] == [
        "escrow_funding",
        "escrow_release",
        "escrow_refund",
    ]
    assert await money(platform) == (120_00, 0, 30_00)


async def test_forty_commands_of_one_batch_take_as_many_statements_as_one(
    platform: Platform,
) -> None:
    """Set-based: what a batch costs does not grow with it."""
    counts = []
    for size in (1, 2, 40):
        commands = [
            propose(agreement_id=derived_id("agr", str(size), str(number)))
            for number in range(size)
        ]
        counts.append(len(await platform.statements(*commands, topic=COMMANDS)))
    # The first batch also learns the types of the columns.
    assert counts[1] == counts[2] == 10


async def test_rows_show_to_their_tenant_alone(platform: Platform) -> None:
    await send(platform, propose())
    for tenant, rows in ((party("root"), 1), (party("other"), 0), ("", 0), ("*", 1)):
        assert len(await platform.rows("SELECT * FROM agreement", tenant)) == rows
