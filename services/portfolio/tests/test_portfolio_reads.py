"""What each persona is told: its own sub-tree, in full where it may, and nothing else (F6, F50, X2)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tally_portfolio import app

_LISTS = ("/wallets", "/pay-ins", "/payouts", "/payments", "/parties", "/exceptions", "/totals")


@pytest.fixture
async def told(portfolio: Any, tree: Any, story: Any) -> Any:
    """Two companies of one tenant, each with a payee who was paid or waits; and another tenant."""
    parties = tree().small().opens("ann", company="acme").opens("bob")
    parties.ann = story("s1", owner=parties.party("ann"), company=parties.party("acme")).whole()
    bob = story("s2", owner=parties.party("bob"), company=parties.party("zeta"))
    bob.received().opened().posted().allocated().hold_placed()
    bob.payout(1, "claimable", "allocated", reason_code="no_method", must_act="payee")
    parties.bob = bob
    parties.other = tree("t2").registers("root", "aggregator")
    parties.other.registers("eve", "payee", "root").opens("eve")
    await portfolio.tell(parties, parties.other, parties.ann, bob)
    return parties


async def _answer(portfolio: Any, viewer: Any, path: str, status: int = 200) -> Any:
    async with portfolio.asks(viewer) as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def _ids(portfolio: Any, viewer: Any, path: str, name: str) -> set[str]:
    return {item[name] for item in (await _answer(portfolio, viewer, path))["items"]}


async def test_f50_each_persona_lists_its_own_sub_tree_and_nothing_else(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    ann, bob = told.ann, told.bob
    for label, persona, payouts, parties in (
        ("op", "operator", {ann.payout_id, bob.payout_id}, 8),
        ("root", "aggregator", {ann.payout_id, bob.payout_id}, 6),
        ("acme", "company", {ann.payout_id}, 3),
        ("zeta", "company", {bob.payout_id}, 2),
        ("pat", "partner", set(), 1),
        ("ann", "payee", {ann.payout_id}, 1),
    ):
        viewer = viewer_of(told, label, persona)
        assert await _ids(portfolio, viewer, "/payouts", "payout_id") == payouts
        assert len(await _ids(portfolio, viewer, "/parties", "party_id")) == parties
        payments = {p.replace("po_", "") for p in payouts}
        assert len(await _ids(portfolio, viewer, "/payments", "payment_id")) == len(payments)
        assert len(await _ids(portfolio, viewer, "/pay-ins", "pay_in_id")) == len(payments)


@pytest.mark.parametrize("label", ["acme", "pat", "ann"])
async def test_what_is_a_siblings_is_not_found_exactly_like_what_does_not_exist(
    portfolio: Any, told: Any, viewer_of: Any, label: str
) -> None:
    persona = {"acme": "company", "pat": "partner", "ann": "payee"}[label]
    viewer = viewer_of(told, label, persona)
    nothing = await _answer(portfolio, viewer, "/payouts/po_00000000000000000000000000", 404)
    assert nothing["code"] == "not_found"
    bob, eve = told.bob, told.other
    for path in (
        f"/payouts/{bob.payout_id}",
        f"/pay-ins/{bob.pay_in_id}",
        f"/payments/{bob.pay_in_id}",
        f"/payments/{bob.id('jrn')}",
        f"/wallets/{bob.wallet}",
        f"/wallets/{told.wallet('bob', 'default')}",
        f"/wallets/{bob.wallet}/movements",
        f"/wallets/{bob.wallet}/statement?at=2026-09-21",
        f"/wallets/{eve.wallet('eve', 'default')}",
        f"/parties/{told.party('bob')}",
        f"/parties/{told.root}",
        f"/payments?under={told.party('zeta')}",
        f"/totals?under={told.root}",
        f"/totals?under={eve.root}",
        "/payments/%00",
        "/nothing/here",
    ):
        assert await _answer(portfolio, viewer, path, 404) == nothing, path


async def test_another_tenant_sees_nothing_at_all(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told.other, "root", "aggregator")
    seen = {path: (await _answer(portfolio, viewer, path))["items"] for path in _LISTS}
    assert [item["alias"] for item in seen.pop("/parties")] == ["payee-eve", "aggregator-root"]
    assert [item["alias"] for item in seen.pop("/wallets")] == ["payee-eve"]
    (nothing,) = seen.pop("/totals")
    amounts = [
        nothing.pop("budget"),
        {name: nothing[name] for name in nothing.keys() - {"currency"}},
    ]
    assert {amount["amount"] for part in amounts for amount in part.values()} == {"0.00"}
    assert not any(seen.values())


async def test_a_wallet_shows_posted_held_and_available_and_each_movement_with_its_balance(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told, "zeta", "company")
    wallet = await _answer(portfolio, viewer, f"/wallets/{told.wallet('bob', 'default')}")
    assert {name: wallet[name]["amount"] for name in ("posted", "held", "available")} == {
        "posted": "100.00", "held": "100.00", "available": "0.00"
    }  # fmt: skip
    assert (wallet["alias"], wallet["purpose"]) == ("payee-bob", "default")
    page = await _answer(portfolio, viewer, f"/wallets/{told.bob.wallet}/movements")
    newest, oldest = page["items"]
    assert (newest["kind"], newest["held"]["amount"], newest["balance_held"]["amount"]) == (
        "hold", "100.00", "100.00"
    )  # fmt: skip
    assert (oldest["posted"]["amount"], oldest["balance"]["amount"]) == ("100.00", "100.00")
    assert (oldest["principal"], oldest["channel"], oldest["country"]) == ("co_1", "api", "DE")
    assert (oldest["program"], oldest["event"], oldest["reason"]) == (
        "rebates", "order:s2", "Rebate"
    )  # fmt: skip
    assert oldest["reference"] == told.bob.pay_in_id


async def test_pages_follow_each_other_without_gap_or_repetition(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told, "root", "aggregator")
    for path, name in (
        ("/parties", "party_id"),
        (f"/wallets/{told.ann.wallet}/movements", "transfer_id"),
    ):
        whole = [i[name] for i in (await _answer(portfolio, viewer, path))["items"]]
        got, cursor = [], ""
        while cursor is not None:
            page = await _answer(portfolio, viewer, f"{path}?limit=1{cursor}")
            got += [item[name] for item in page["items"]]
            cursor = page["next"] and f"&cursor={page['next']}"
        assert got == whole
        assert len(got) == len(set(got)) > 2


async def test_f52_a_payment_is_shown_with_its_time_line_by_any_id(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    ann = told.ann
    for label, persona in (("op", "operator"), ("root", "aggregator"), ("acme", "company")):
        viewer = viewer_of(told, label, persona)
        for id_ in (ann.pay_in_id, ann.payout_id, ann.id("jrn"), ann.id("att")):
            payment = await _answer(portfolio, viewer, f"/payments/{id_}")
            assert payment["payment_id"] == ann.pay_in_id
            assert len(payment["hops"]) == 12
            assert payment["complete"] is True
            assert payment["pay_in"]["amount"] == {"currency": "USD", "amount": "100.00"}


async def test_x2_a_payee_sees_its_share_and_not_what_others_got(
    portfolio: Any, tree: Any, story: Any, viewer_of: Any
) -> None:
    parties = tree().small()
    acme = parties.party("acme")
    split = (
        story("s1", owner=parties.party("ann"), company=acme)
        .received()
        .split({parties.party("ann"): "60.00", parties.party("pat"): "40.00"})
    )
    split.payout(1, "approved", "allocated").hold_placed()
    await portfolio.tell(parties, split)
    payee = await _answer(
        portfolio, viewer_of(parties, "ann", "payee"), f"/payments/{split.pay_in_id}"
    )
    assert [(s["owner"], s["amount"]["amount"]) for s in payee["shares"]] == [
        (parties.party("ann"), "60.00")
    ]
    text = str(payee)
    assert parties.party("pat") not in text
    assert "40.00" not in text
    assert "ext-s1" not in text
    assert "amount" not in payee["pay_in"]
    partner = viewer_of(parties, "pat", "partner")
    shown = await _answer(portfolio, partner, f"/payments/{split.pay_in_id}")
    assert shown["payouts"] == []
    assert parties.party("ann") not in str(shown)
    assert {hop["type"] for hop in shown["hops"]} == {
        "funding.pay_in.received.v1", "funding.pay_in.allocated.v1"
    }  # fmt: skip
    company = viewer_of(parties, "acme", "company")
    whole = await _answer(portfolio, company, f"/payments/{split.pay_in_id}")
    assert len(whole["shares"]) == 2
    assert whole["pay_in"]["amount"]["amount"] == "100.00"


async def test_totals_count_the_sub_tree_looked_at_and_nothing_else(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    root = viewer_of(told, "root", "aggregator")
    names = ("received", "committed", "paid", "held", "resting")

    async def total(path: str, viewer: Any = root) -> list[tuple[str, ...]]:
        items = (await _answer(portfolio, viewer, path))["items"]
        return [tuple(item[name]["amount"] for name in names) for item in items]

    assert await total("/totals") == [("200.00", "100.00", "100.00", "100.00", "0.00")]
    of_acme = [("100.00", "0.00", "100.00", "0.00", "0.00")]
    assert await total(f"/totals?under={told.party('acme')}") == of_acme
    assert await total("/totals", viewer_of(told, "acme", "company")) == of_acme
    assert await total("/totals", viewer_of(told, "pat", "partner")) == []


async def test_exceptions_are_what_waits_for_a_person(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told, "zeta", "company")
    (waiting,) = (await _answer(portfolio, viewer, "/exceptions"))["items"]
    assert (waiting["kind"], waiting["id"], waiting["state"], waiting["must_act"]) == (
        "payout", told.bob.payout_id, "claimable", "payee"
    )  # fmt: skip
    await portfolio.process(told.bob.payout(2, "cancelled", "claimable").records[-1])
    assert (await _answer(portfolio, viewer, "/exceptions"))["items"] == []


async def test_what_waits_for_its_rail_is_no_exception(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told, "zeta", "company")
    for sequence, state, must_act, waits in (
        (2, "submitting", "rail", 0), (3, "in_transit", "payee", 1), (4, "submitted", "rail", 0)
    ):  # fmt: skip
        change = told.bob.payout(sequence, state, "claimable", must_act=must_act)
        await portfolio.process(change.records[-1])
        assert len((await _answer(portfolio, viewer, "/exceptions"))["items"]) == waits
    await portfolio.process(told.bob.payout(5, "unknown", "claimable").records[-1])
    (item,) = (await _answer(portfolio, viewer, "/exceptions"))["items"]
    assert item["state"] == "unknown"


async def test_f14_money_in_suspense_is_an_exception_until_it_is_allocated(
    portfolio: Any, told: Any, story: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told, "acme", "company")
    stuck = story("s3", owner=told.party("ann"), company=told.party("acme"))
    for telling, waits in (
        (stuck.received, []),
        (stuck.suspended, [stuck.pay_in_id]),
        (stuck.allocated, []),
    ):
        await portfolio.process(telling().records[-1])
        items = (await _answer(portfolio, viewer, "/exceptions"))["items"]
        assert [item["id"] for item in items] == waits
        if items:
            assert (items[0]["reason_code"], items[0]["remedy"]) == (
                "unknown_program", "match it by hand"
            )  # fmt: skip


async def test_owners_that_are_no_registered_party_are_the_operators_alone(
    portfolio: Any, told: Any, viewer_of: Any, story: Any
) -> None:
    acme = story("s9", owner="contact:abc", company="acme").whole()
    await portfolio.tell(acme)
    operator = viewer_of(told, "op", "operator")
    assert acme.payout_id in await _ids(portfolio, operator, "/payouts", "payout_id")
    for path in (f"/wallets/{acme.wallet}", f"/payments/{acme.payout_id}"):
        await _answer(portfolio, operator, path)
        await _answer(portfolio, viewer_of(told, "root", "aggregator"), path, 404)


async def test_f26_a_company_knows_a_payee_by_its_alias_until_it_consents(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    path = f"/parties/{told.party('ann')}"
    company = viewer_of(told, "acme", "company")
    before = await _answer(portfolio, company, path)
    assert before["alias"] == "payee-ann"
    assert not {"external_id", "country"} & before.keys()
    told.consents("ann", "acme")
    await portfolio.process(told.records[-1])
    assert (await _answer(portfolio, company, path))["external_id"] == "ext-ann"


async def test_f18_an_accepted_connection_opens_a_seat_and_revoking_closes_it_at_once(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    eve, root = told.other.party("eve"), viewer_of(told, "root", "aggregator")
    wallet = f"/wallets/{told.other.wallet('eve', 'default')}"
    for access, state, status in (
        ("view", "invited", 404),
        ("view", "accepted", 200),
        ("pay", "accepted", 404),
        ("manage", "accepted", 200),
        ("manage", "revoked", 404),
    ):
        told.connects(told.root, eve, access, state)
        await portfolio.process(told.records[-1])
        await _answer(portfolio, root, wallet, status)
        await _answer(portfolio, root, f"/wallets?under={eve}", status)


async def test_f6_grants_of_a_wallet_that_was_opened_before_the_migration_are_listed_to_its_owner(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    ann, zeta = viewer_of(told, "ann", "payee"), viewer_of(told, "zeta", "company")
    file = Path(app.__file__).parent / "migrations" / "0009_keepers_of_wallets.sql"
    with psycopg.connect(portfolio.admin_dsn, autocommit=True) as administrator:
        administrator.execute("SET search_path = portfolio")
        administrator.execute("DELETE FROM keeper")
        administrator.execute(file.read_bytes())
    told.grants("ann", told.party("zeta"), "balance")
    await portfolio.process(told.records[-1])
    for viewer in (ann, zeta):
        (listed,) = (await _answer(portfolio, viewer, "/grants"))["items"]
        assert listed["wallet"] == told.wallet("ann", "default")


async def test_f6_a_grant_opens_the_fields_it_names_and_each_look_is_logged(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    zeta = viewer_of(told, "zeta", "company")
    path = f"/wallets/{told.wallet('ann', 'default')}"
    await _answer(portfolio, zeta, path, 404)
    told.grants("ann", told.party("zeta"), "balance")
    await portfolio.process(told.records[-1])
    seen = await _answer(portfolio, zeta, path)
    assert set(seen) == {"wallet_id", "currency", "posted", "held", "available"}
    await _answer(portfolio, zeta, f"{path}/movements", 404)
    told.grants("ann", told.party("zeta"), "history")
    await portfolio.process(told.records[-1])
    page = await _answer(portfolio, zeta, f"{path}/movements")
    assert len(page["items"]) == 3
    assert not any("balance" in item for item in page["items"])
    logged = await portfolio.rows("SELECT viewer, route, fields FROM view_log ORDER BY view_id")
    assert [tuple(row) for row in logged] == [
        (told.party("zeta"), "wallet", ["balance"]),
        (told.party("zeta"), "movements", ["history"]),
    ]
    told.grants("ann", told.party("zeta"))
    await portfolio.process(told.records[-1])
    await _answer(portfolio, zeta, path, 404)
    sent = await portfolio.pool.fetch("SELECT topic FROM outbox")
    assert [row[0] for row in sent] == ["directory.commands.v1"] * 2


@pytest.mark.parametrize(
    ("path", "code", "field"),
    [
        ("/payouts?limit=0", "parameter_invalid", "/limit"),
        ("/payouts?limit=201", "parameter_invalid", "/limit"),
        ("/payouts?limit=ten", "parameter_invalid", "/limit"),
        ("/payouts?colour=red", "parameter_unknown", "/colour"),
        ("/payouts?cursor=xyz", "cursor_invalid", "/cursor"),
        ("/payouts?cursor=W10", "cursor_invalid", "/cursor"),
        ("/payouts?cursor=WzEsMl0", "cursor_invalid", "/cursor"),
        ("/payouts?cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LCJhIl0", "cursor_invalid", "/cursor"),
        ("/payouts?fields=colour", "field_unknown", "/fields"),
        ("/payouts?state=%00", "parameter_invalid", "/state"),
        ("/wallets/{w}/statement", "span_invalid", "/at"),
        ("/wallets/{w}/statement?at=yesterday", "span_invalid", "/at"),
        ("/wallets/{w}/statement?at=2026-09-21T10:00:00", "span_invalid", "/at"),
        ("/wallets/{w}/statement?from=2026-09-21", "span_invalid", "/at"),
        ("/wallets/{w}/statement?from=2026-09-21&until=2026-09-20", "span_invalid", "/until"),
        ("/wallets/{w}/statement?at=2026-09-21&limit=201", "parameter_invalid", "/limit"),
        ("/wallets/{w}/statement?at=2026-09-21&cursor=W10", "cursor_invalid", "/cursor"),
        ("/wallets/{w}/movements?from=0001-01-01T00:00:00%2B14:00", "span_invalid", "/from"),
    ],
)
async def test_a_bad_question_is_answered_with_what_is_wrong_and_where(
    portfolio: Any, told: Any, viewer_of: Any, *, path: str, code: str, field: str
) -> None:
    viewer = viewer_of(told, "ann", "payee")
    answer = await _answer(portfolio, viewer, path.format(w=told.ann.wallet), 422)
    assert (answer["code"], answer["field"]) == (code, field)
    assert answer["remedy"]


async def test_nobody_is_answered_whom_the_gateway_has_not_signed(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    async with portfolio.asks(viewer_of(told, "root", "aggregator")) as client:
        client.event_hooks = {}
        for headers, code in (
            ({}, "viewer_missing"),
            ({"Tally-Viewer": "v1.e30.AAAA"}, "viewer_refused"),
        ):
            for path in (
                *_LISTS,
                "/wallets/x",
                "/payments/x",
                "/wallets/x/statement?at=2026-01-01",
            ):
                answer = await client.get(path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, code)
    async with portfolio.asks(viewer_of(told, "root", "aggregator")) as client:
        first = await client.get("/totals")
        client.event_hooks = {}
        portfolio.clock.advance(timedelta(seconds=31))
        token = first.request.headers["Tally-Viewer"]
        late = await client.get("/totals", headers={"Tally-Viewer": token})
        assert (late.status_code, late.json()["code"]) == (401, "viewer_expired")


async def test_sparse_fields_and_filters_narrow_what_is_answered(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    root = viewer_of(told, "root", "aggregator")
    page = await _answer(portfolio, root, "/payouts?fields=payout_id,state&state=paid")
    assert page["items"] == [{"payout_id": told.ann.payout_id, "state": "paid"}]
    assert page["next"] is None
    under = told.party("zeta")
    assert await _ids(portfolio, root, f"/payouts?under={under}", "payout_id") == {
        told.bob.payout_id
    }


async def test_each_filter_takes_what_has_the_value_and_a_hidden_field_has_none(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    root = viewer_of(told, "root", "aggregator")
    for path, name, value in (
        ("/wallets", "currency", "USD"),
        ("/pay-ins", "source", "cards"),
        ("/pay-ins", "state", "allocated"),
        ("/payouts", "rail", "wallet"),
        ("/parties", "kind", "payee"),
    ):
        items = (await _answer(portfolio, root, path))["items"]
        expected = [item for item in items if item[name] == value]
        assert expected, (path, name)
        page = await _answer(portfolio, root, f"{path}?{name}={value}")
        assert (page["items"], page["next"]) == (expected, None), (path, name)
        page = await _answer(portfolio, root, f"{path}?{name}=another")
        assert (page["items"], page["next"]) == ([], None), (path, name)
    payee = viewer_of(told, "ann", "payee")
    assert (await _answer(portfolio, payee, "/pay-ins"))["items"]
    page = await _answer(portfolio, payee, "/pay-ins?source=cards")
    assert (page["items"], page["next"]) == ([], None)
