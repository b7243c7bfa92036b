"""Wallets of every purpose, what is shared of them, and money that comes before its payee."""

from typing import Any

import pytest

from tally_contracts import directory as asked
from tally_contracts.base import Who, Why
from tally_contracts.directory_facts import (
    CommandRepeated,
    FundingDetailsIssued,
    GrantRevoked,
    GrantSet,
    PartyRegistered,
    ReferenceClaimed,
    ViewsLogged,
    WalletOpened,
)
from tally_contracts.ledger import AssetRegistered, OpenAccount
from tally_directory.domain.wallets import is_creditor_reference
from tally_runtime import derived_id


def tid(prefix: str, name: str) -> str:
    return derived_id(prefix, "test", name)


def pid(name: str) -> str:
    return tid("party", name)


def account(owner: str, currency: str = "USD") -> str:
    return derived_id("acc", "main", f"wallet/{owner}/{currency}")


# About wallets


async def test_f2_a_party_has_many_wallets_in_one_currency_each_with_its_purpose(
    planted: Any,
) -> None:
    told = await planted.send(
        planted.open_wallet("w1", "ann", purpose="rewards", reference="spring", by="acme"),
        planted.open_wallet(
            "w2", "ann", purpose="travel", company=pid("acme"), value_kind="cash_like", by="agg"
        ),
    )
    first, command, second, _ = told
    assert isinstance(first, WalletOpened)
    assert (first.owner, first.purpose, first.reference, first.value_kind) == (
        pid("ann"),
        "rewards",
        "spring",
        "cash",
    )
    assert (second.company, second.value_kind) == (pid("acme"), "cash_like")
    assert first.account != second.account
    assert isinstance(command, OpenAccount)
    assert (command.account.id, command.account.owner, command.account.guarded) == (
        first.account,
        pid("ann"),
        True,
    )
    assert command.ledger == first.ledger == "main"


async def test_f4_the_default_wallet_is_one_per_owner_and_currency_where_funding_pays_to(
    planted: Any,
) -> None:
    told = await planted.send(
        *(
            planted.open_wallet(code, "ann", purpose="default", currency=code)
            for code in ("USD", "EUR", "KWD")
        )
    )
    opened = [event for event in told if isinstance(event, WalletOpened)]
    assert [event.account for event in opened] == [
        account(pid("ann"), code) for code in ("USD", "EUR", "KWD")
    ]
    again = planted.open_wallet("more", "ann", purpose="default")
    assert await planted.refusal(again) == ("wallet_exists", "/purpose")
    assert await planted.send(planted.pay_in(pid("ann"))) == [], "its wallet is known"


async def test_no_owner_reference_names_the_account_of_a_wallet_of_purpose(planted: Any) -> None:
    opened, *_ = await planted.send(planted.open_wallet("w1", "ann"))
    assert opened.account != account(opened.wallet_id)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"owner": "nobody"}, ("unknown_party", "/owner")),
        ({"owner": "bob", "by": "acme"}, ("not_your_subtree", "/owner")),
        ({"currency": "XYZ"}, ("unknown_currency", "/currency")),
        ({"value_kind": "gold"}, ("unknown_value_kind", "/value_kind")),
        ({"company": "beta", "by": "acme"}, ("not_your_subtree", "/company")),
        ({"company": "nobody"}, ("unknown_party", "/company")),
        ({"name": "taken"}, ("id_taken", "/wallet_id")),
        ({"owner": "gold"}, ("kind_not_allowed", "/owner")),
        ({"reason": None}, ("reason_missing", "/reason")),
    ],
)
async def test_a_wallet_that_cannot_be_opened_is_refused(
    planted: Any, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    await planted.send(
        planted.open_wallet("taken", "ann"), planted.register("gold", "group", "acme")
    )
    fields = {"name": "w1", "owner": "ann", **change}
    if "company" in fields:
        fields["company"] = pid(fields["company"])
    assert await planted.refusal(planted.open_wallet(**fields)) == expected


async def test_f4_an_asset_the_ledger_has_registered_is_a_currency_from_then_on(
    planted: Any,
) -> None:
    wallet = planted.open_wallet("w1", "ann", currency="POINTS")
    assert await planted.refusal(wallet) == ("unknown_currency", "/currency")
    registered = AssetRegistered(
        registration_id=tid("areg", "1"),
        ledger="main",
        asset="POINTS",
        scale=0,
        kind="closed_loop",
        who=Who(actor="key_1", principal="operator"),
        why=Why(program="p", event="e", reason="r"),
        occurred_at=wallet.occurred_at,
    )
    opened, _ = await planted.send(
        registered, planted.open_wallet("w2", "ann", currency="POINTS", value_kind="closed_loop")
    )
    assert isinstance(opened, WalletOpened)


# About grants and views


def grant(bench: Any, fields: tuple[str, ...], name: str = "g", **more: Any) -> Any:
    given = {
        "grant_id": tid("grant", name),
        "wallet": tid("wal", "w1"),
        "to_party": pid("beta"),
        "fields": fields,
        "by": "ann",
        **more,
    }
    return bench.command(asked.SetGrant, **given)


async def test_f6_a_grant_shares_named_fields_with_a_named_party_until_it_is_revoked(
    planted: Any,
) -> None:
    await planted.send(planted.open_wallet("w1", "ann"))
    (given,) = await planted.send(grant(planted, ("status", "balance")))
    assert isinstance(given, GrantSet)
    assert (given.to_party, given.fields) == (pid("beta"), ("balance", "status"))
    (less,) = await planted.send(grant(planted, ("status",)))
    assert less.fields == ("status",)
    assert await planted.refusal(grant(planted, ("history",), "g2")) == (
        "grant_exists",
        "/grant_id",
    )
    (revoked,) = await planted.send(
        planted.command(asked.RevokeGrant, grant_id=tid("grant", "g"), by="ann")
    )
    assert isinstance(revoked, GrantRevoked)
    (anew,) = await planted.send(grant(planted, ("history",), "g2"))
    assert isinstance(anew, GrantSet)


async def test_f6_a_grant_revoked_and_another_set_in_one_batch_follow_each_other(
    planted: Any,
) -> None:
    await planted.send(planted.open_wallet("w1", "ann"), grant(planted, ("status",)))
    told = await planted.send(
        planted.command(asked.RevokeGrant, grant_id=tid("grant", "g"), by="ann"),
        grant(planted, ("history",), "g2"),
    )
    assert [type(event) for event in told] == [GrantRevoked, GrantSet]


def replacing(*fields: str, name: str = "g", by: str = "ann") -> dict[str, Any]:
    return {"grant_id": tid("grant", name), "fields": fields, "by": by}


async def test_f6_the_fields_of_a_grant_are_replaced_and_it_is_the_same_grant(
    planted: Any,
) -> None:
    await planted.send(planted.open_wallet("w1", "ann"), grant(planted, ("status",)))
    command = planted.command(asked.ReplaceGrantFields, **replacing("history", "balance"))
    (told,) = await planted.send(command)
    assert isinstance(told, GrantSet)
    assert (told.grant_id, told.to_party) == (tid("grant", "g"), pid("beta"))
    assert told.fields == ("balance", "history")
    kept = await planted.rows("SELECT grant_id, fields FROM wallet_grant")
    assert [tuple(row) for row in kept] == [(tid("grant", "g"), ["balance", "history"])]
    (again,) = await planted.send(command)
    assert isinstance(again, CommandRepeated)


async def test_f6_a_grant_that_was_taken_back_is_not_opened_by_replacing_its_fields(
    planted: Any,
) -> None:
    await planted.send(
        planted.open_wallet("w1", "ann"),
        grant(planted, ("status",)),
        planted.command(asked.RevokeGrant, grant_id=tid("grant", "g"), by="ann"),
    )
    command = planted.command(asked.ReplaceGrantFields, **replacing("balance"))
    assert await planted.refusal(command) == ("grant_revoked", "/grant_id")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (replacing("status", "pin"), ("unknown_field", "/fields/1")),
        (replacing("status", name="x"), ("unknown_grant", "/grant_id")),
        (replacing("status", by="beta"), ("not_your_subtree", "/grant_id")),
        (replacing("status", by="shop"), ("not_your_subtree", "/grant_id")),
    ],
)
async def test_f6_fields_that_cannot_be_replaced_are_refused(
    planted: Any, given: dict[str, Any], expected: tuple[str, str]
) -> None:
    await planted.send(planted.open_wallet("w1", "ann"), grant(planted, ("status",)))
    assert await planted.refusal(planted.command(asked.ReplaceGrantFields, **given)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"fields": ("status", "pin")}, ("unknown_field", "/fields/1")),
        ({"wallet": tid("wal", "x")}, ("unknown_wallet", "/wallet")),
        ({"to_party": pid("x")}, ("unknown_party", "/to_party")),
        ({"by": "beta"}, ("not_your_subtree", "/wallet")),
        ({"by": "shop"}, ("not_your_subtree", "/wallet")),
    ],
)
async def test_f6_a_grant_that_cannot_be_is_refused(
    planted: Any, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    await planted.send(planted.open_wallet("w1", "ann"))
    assert await planted.refusal(grant(planted, **{"fields": ("status",), **change})) == expected


async def test_f6_every_view_is_logged_once_and_one_that_no_grant_covers_refuses_the_lot(
    planted: Any,
) -> None:
    await planted.send(planted.open_wallet("w1", "ann"), grant(planted, ("status",)))

    def view(**change: Any) -> asked.View:
        fields = {
            "grant_id": tid("grant", "g"),
            "wallet": tid("wal", "w1"),
            "viewer": pid("beta"),
            "actor": "key_of_beta",
            "fields": ("status",),
            "viewed_at": planted.clock.now(),
        }
        return asked.View(**{**fields, **change})

    command = planted.command(asked.LogViews, views=(view(), view()))
    logged = await planted.send(command, command)
    assert [type(event) for event in logged] == [ViewsLogged, CommandRepeated]
    kept = await planted.rows("SELECT viewer, fields, tenant FROM wallet_view")
    assert kept == [(pid("beta"), ["status"], pid("agg"))] * 2
    uncovered = planted.command(asked.LogViews, views=(view(), view(viewer=pid("acme"))))
    assert await planted.refusal(uncovered) == ("view_not_granted", "/views/1")
    unknown = planted.command(asked.LogViews, views=(view(grant_id=tid("grant", "x")),))
    assert await planted.refusal(unknown) == ("unknown_grant", "/views/0/grant_id")
    forged = planted.command(asked.LogViews, views=(view(),), by="acme")
    assert await planted.refusal(forged) == ("operator_only", "/who/principal")


# About virtual accounts


async def test_f10_each_party_and_currency_has_one_virtual_account(planted: Any) -> None:
    def issue(party: str, currency: str, by: str = "agg") -> Any:
        return planted.command(
            asked.IssueFundingDetails, party_id=pid(party), currency=currency, by=by
        )

    told = await planted.send(
        issue("acme", "EUR"), issue("acme", "USD"), issue("beta", "EUR"), issue("acme", "EUR")
    )
    assert all(isinstance(event, FundingDetailsIssued) for event in told)
    accounts = [event.virtual_account for event in told]
    assert accounts[3] == accounts[0]
    assert len(set(accounts)) == 3
    assert all(is_creditor_reference(one) for one in accounts)
    assert await planted.refusal(issue("acme", "QQQ")) == ("unknown_currency", "/currency")
    assert await planted.refusal(issue("acme", "EUR", "beta")) == ("not_your_subtree", "/party_id")


# About money first


async def test_f9_money_for_an_unknown_contact_makes_payee_and_wallet_in_one_unit(
    planted: Any,
) -> None:
    pay_in = planted.pay_in("contact:abc", company=pid("acme"))
    await planted.process(planted.record(pay_in, event_id="ce-money"))
    sent = await planted.told()
    registered, claimed, opened = (one.event for one in sent)
    assert {one.causation for one in sent} == {"ce-money"}
    assert isinstance(registered, PartyRegistered)
    assert (registered.kind, registered.state, registered.tenant) == (
        "payee",
        "unclaimed",
        pid("agg"),
    )
    assert registered.path == (pid("agg"),), "who paid first has no part in what comes later"
    assert registered.reason == "spring rebate"
    assert isinstance(claimed, ReferenceClaimed)
    assert (claimed.party_id, claimed.reference) == (registered.party_id, "contact:abc")
    assert isinstance(opened, WalletOpened)
    assert (opened.owner, opened.account, opened.company) == (
        registered.party_id,
        account("contact:abc"),
        pid("acme"),
    )


@pytest.mark.parametrize("together", [True, False])
async def test_f9_money_again_makes_nobody_again(planted: Any, together: bool) -> None:
    pay_ins = [planted.pay_in("contact:abc", "vendor-7") for _ in range(3)]
    if together:
        told = await planted.send(*pay_ins)
    else:
        told = [event for pay_in in pay_ins for event in await planted.send(pay_in)]
    assert [type(event) for event in told] == [
        PartyRegistered,
        ReferenceClaimed,
        WalletOpened,
    ] * 2


async def test_f9_money_for_an_event_or_of_another_role_makes_no_payee(planted: Any) -> None:
    assert await planted.send(planted.pay_in("event:match-1")) == []
    assert await planted.send(planted.pay_in("aggregator", role="aggregator")) == []
    (opened,) = await planted.send(planted.pay_in(pid("agg"), role="aggregator"))
    assert isinstance(opened, WalletOpened)


async def test_f9_a_company_nobody_registered_leaves_the_payee_a_tree_of_its_own(
    planted: Any,
) -> None:
    registered, *_ = await planted.send(planted.pay_in("contact:abc", company="stranger"))
    assert (registered.tenant, registered.path) == (registered.party_id, ())


async def test_f9_a_party_registered_after_its_money_takes_it_over(planted: Any) -> None:
    registered, _, opened = await planted.send(planted.pay_in(pid("new"), company=pid("acme")))
    assert (registered.party_id, registered.state) == (pid("new"), "unclaimed")
    (known,) = await planted.send(planted.register("new", parent="acme", by="acme"))
    assert (known.party_id, known.state, known.path) == (
        pid("new"),
        "registered",
        (pid("agg"), pid("acme")),
    )
    assert await planted.rows("SELECT owner FROM wallet WHERE account = $1", opened.account) == [
        (pid("new"),)
    ]


async def test_f9_a_payee_made_for_a_contact_is_never_taken_over_by_who_paid_it(
    planted: Any,
) -> None:
    made, *_ = await planted.send(planted.pay_in("contact:abc", company=pid("acme")))
    command = planted.register("x", parent="acme", by="acme")
    taking = command.model_copy(update={"party_id": made.party_id})
    assert await planted.refusal(taking) == ("id_taken", "/party_id")


async def test_f9_only_who_paid_it_or_the_operator_takes_over_what_money_made(planted: Any) -> None:
    await planted.send(
        planted.pay_in(pid("new"), company=pid("acme")), planted.pay_in(pid("own"), company="x")
    )
    abroad = {"parent": "agg2", "tenant": pid("agg2"), "by": "agg2"}
    taken = ("id_taken", "/party_id")
    assert await planted.refusal(planted.register("new", **abroad)) == taken
    assert await planted.refusal(planted.register("new", parent="beta", by="beta")) == taken
    assert await planted.refusal(planted.register("own", parent="acme", by="acme")) == taken
    (known,) = await planted.send(planted.register("own", parent="acme"))
    assert known.tenant == pid("agg")
    tenants = await planted.rows("SELECT tenant FROM wallet WHERE owner = $1", pid("own"))
    assert tenants == [(pid("agg"),)], "its wallet came along"
