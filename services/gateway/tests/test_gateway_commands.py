"""Commands: taken in once, answered by their outcome, refused with a code, closed to others."""

import asyncio
import json
from typing import Any

import pytest

from tally_contracts.directory import RegisterParty
from tally_contracts.payouts import RequestPayout
from tally_runtime import derived_id

from .gateway_bench import Bench, party

WHY = {"program": "supplier-payments", "event": "invoice:42", "reason": "Invoice 42"}


def payout(wallet: str, amount: str = "25.00") -> dict[str, Any]:
    return {"wallet": wallet, "amount": {"currency": "USD", "amount": amount}, "why": WHY}


async def tree(bench: Bench) -> tuple[str, str]:
    """An aggregator with two companies, one with a payee; keys of the aggregator and a company."""
    await bench.register("agg", "aggregator")
    await bench.register("acme", "company", "agg")
    await bench.register("other", "company", "agg")
    await bench.register("ann", "payee", "acme")
    return await bench.key("agg"), await bench.key("acme")


async def test_a_command_is_answered_with_202_and_goes_to_its_topic_with_who_and_why(
    bench: Bench,
) -> None:
    aggregator, _ = await tree(bench)
    body = {"kind": "company", "parent": party("agg"), "reason": "A new customer"}
    answered = await bench.post("/v1/parties", aggregator, body)
    assert answered.status_code == 202, answered.text
    command = answered.json()
    assert answered.headers["location"] == f"/v1/commands/{command['id']}"
    assert command["state"] == "accepted"
    ((topic, key, told),) = await bench.commands_told()
    assert (topic, key) == ("directory.commands.v1", party("agg"))
    assert isinstance(told, RegisterParty)
    assert told.party_id == command["subject"]
    assert told.who.principal == party("agg")
    assert told.who.actor.startswith("key_")
    assert told.tenant == party("agg")
    assert told.reason == "A new customer"


async def test_the_same_key_and_body_is_one_command_and_another_body_is_refused(
    bench: Bench,
) -> None:
    aggregator, _ = await tree(bench)
    wallet = await bench.wallet("agg")
    first = await bench.post("/v1/payouts", aggregator, payout(wallet), idempotency="once")
    again = await bench.post("/v1/payouts", aggregator, payout(wallet), idempotency="once")
    assert first.status_code == again.status_code == 202, first.text
    assert first.json() == again.json()
    other = await bench.post("/v1/payouts", aggregator, payout(wallet, "26.00"), idempotency="once")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert len(await bench.commands_told()) == 1


async def test_requests_that_come_together_are_each_answered_for_themselves(bench: Bench) -> None:
    aggregator, company = await tree(bench)
    wallet, mine = await bench.wallet("acme"), await bench.wallet("agg")
    answers = await asyncio.gather(
        *(bench.post("/v1/payouts", aggregator, payout(mine)) for _ in range(20)),
        bench.post("/v1/payouts", company, payout(wallet), idempotency="twin"),
        bench.post("/v1/payouts", company, payout(wallet), idempotency="twin"),
        bench.post("/v1/payouts", company, payout(wallet, "9.00"), idempotency="twin"),
        bench.post("/v1/payouts", company, payout("wal_01h455vb4pex5vsknk084sn02q")),
    )
    assert [each.status_code for each in answers] == [202] * 22 + [409, 404]
    assert answers[20].json()["id"] == answers[21].json()["id"]
    assert len(await bench.commands_told()) == 21


async def test_a_payout_leaves_the_account_of_the_wallet_in_its_owners_name(bench: Bench) -> None:
    await tree(bench)
    wallet = await bench.wallet("ann")
    await bench.post("/v1/payouts", await bench.key("ann"), payout(wallet))
    ((_, _, told),) = await bench.commands_told()
    assert isinstance(told, RequestPayout)
    assert told.owner == party("ann")
    assert told.account.startswith("acc_")
    assert told.where.channel == "api"


async def test_f07_to_stand_above_an_owner_is_no_mandate_and_a_connection_it_accepted_is(
    bench: Bench,
) -> None:
    aggregator, company = await tree(bench)
    wallet, to = await bench.wallet("ann"), await bench.wallet("acme")
    transfer = {"to_wallet": to, "amount": payout(wallet)["amount"], "why": WHY}
    method = {"currency": "USD", "rail": "wallet", "instrument": wallet}
    asked = (
        ("/v1/payouts", payout(wallet)),
        (f"/v1/wallets/{wallet}/transfers", transfer),
        (f"/v1/parties/{party('ann')}/methods", method),
    )
    operator = await bench.key("operator")
    for path, body in asked:
        for key in (aggregator, company, operator):
            answered = await bench.post(path, key, body)
            assert (answered.status_code, answered.json()["code"]) == (403, "mandate_missing"), path
            assert answered.json()["remedy"]
    assert await bench.commands_told() == []
    accepted = {
        "connection_id": derived_id("conn", "1"),
        "from_party": party("acme"),
        "to_party": party("ann"),
        "access": "manage",
        "state": "accepted",
        "tenant": party("agg"),
        "who": {"actor": "key_1", "principal": party("ann")},
        "reason": "They pay for me",
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    fact = bench.fact("directory.parties.v1", "directory.connection.changed.v1", accepted)
    await bench.learn(fact)
    for path, body in asked[:2]:
        assert (await bench.post(path, company, body)).status_code == 202, path
        assert (await bench.post(path, aggregator, body)).status_code == 403, path


async def test_f07_an_invitation_is_accepted_by_the_invited_party_and_nobody_for_it(
    bench: Bench,
) -> None:
    aggregator, company = await tree(bench)
    ann, operator = await bench.key("ann"), await bench.key("operator")
    ask = {"from_party": party("acme"), "to_party": party("ann"), "access": "manage"}
    made = await bench.post("/v1/connections", company, {**ask, "reason": "They work for us"})
    assert made.status_code == 202, made.text
    connection = made.json()["subject"]
    invited = {
        **ask,
        "connection_id": connection,
        "state": "invited",
        "tenant": party("agg"),
        "who": {"actor": "key_1", "principal": party("acme")},
        "reason": "They work for us",
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    fact = bench.fact("directory.parties.v1", "directory.connection.changed.v1", invited)
    await bench.learn(fact)
    accept = f"/v1/connections/{connection}/accept"
    for key in (company, aggregator, operator):
        answered = await bench.post(accept, key, {"reason": "We know us"})
        assert (answered.status_code, answered.json()["code"]) == (403, "mandate_missing")
        assert answered.json()["field"] == "/connection_id"
    beside = await bench.post(accept, await bench.key("other"), {"reason": "We know them"})
    assert beside.status_code == 404
    assert len(await bench.commands_told()) == 1, "the invitation alone"
    assert (await bench.post(accept, ann, {"reason": "I know them"})).status_code == 202


async def test_f07_nobody_above_names_the_key_a_party_signs_debits_with_or_gives_it_up(
    bench: Bench,
) -> None:
    aggregator, company = await tree(bench)
    ann, operator = await bench.key("ann"), await bench.key("operator")
    twin = await bench.register("twin", "payee", "acme")
    asked = (
        (f"/v1/parties/{party('ann')}/signing-keys", {"public_key": "A" * 43 + "="}, "/owner"),
        (f"/v1/parties/{twin}/merge", {"merged": party("ann"), "reason": "One"}, "/merged"),
    )
    for path, body, field in asked:
        for key in (aggregator, company):
            answered = await bench.post(path, key, body)
            assert (answered.status_code, answered.json()["code"]) == (403, "mandate_missing"), path
            assert answered.json()["field"] == field
        assert (await bench.post(path, await bench.key("other"), body)).status_code == 404
        for key in (ann, operator):
            assert (await bench.post(path, key, body)).status_code == 202, path


async def test_f29_what_a_merged_payee_had_is_the_kept_ones_to_spend_and_no_more_its_own(
    bench: Bench,
) -> None:
    await tree(bench)
    await bench.register("ann_twice", "payee", "acme")
    wallet = await bench.wallet("ann_twice")
    kept, merged = await bench.key("ann"), await bench.key("ann_twice")
    assert (await bench.post("/v1/payouts", kept, payout(wallet))).status_code == 404
    assert (await bench.post("/v1/payouts", merged, payout(wallet))).status_code == 202
    await bench.learn(bench.merge("ann", "ann_twice"))
    assert (await bench.post("/v1/payouts", kept, payout(wallet))).status_code == 202
    assert (await bench.post("/v1/payouts", merged, payout(wallet))).status_code == 404
    method = {"currency": "USD", "rail": "wallet", "instrument": wallet}
    for owner in ("ann", "ann_twice"):
        path = f"/v1/parties/{party(owner)}/methods"
        assert (await bench.post(path, kept, method)).status_code == 202, owner
        assert (await bench.post(path, merged, method)).status_code == 404, owner


@pytest.mark.parametrize("whose", ["other", "ann"])
async def test_what_is_not_below_the_caller_is_answered_like_what_does_not_exist(
    bench: Bench, whose: str
) -> None:
    await tree(bench)
    wallet = await bench.wallet("acme")
    key = await bench.key(whose)
    answered = await bench.post("/v1/payouts", key, payout(wallet))
    nowhere = await bench.post("/v1/payouts", key, payout("wal_01h455vb4pex5vsknk084sn02q"))
    assert answered.status_code == nowhere.status_code == 404
    same = {"type", "title", "status", "detail", "code", "remedy"}
    assert {k: answered.json()[k] for k in same} == {k: nowhere.json()[k] for k in same}
    assert await bench.commands_told() == []


async def test_the_outcome_of_a_command_is_the_first_fact_it_led_to(bench: Bench) -> None:
    aggregator, _ = await tree(bench)
    body = {"kind": "company", "parent": party("agg"), "reason": "A new customer"}
    asking = asyncio.create_task(bench.post("/v1/parties", aggregator, body, Prefer="wait=10"))
    await bench.until_taken_in()
    row = await bench.one("SELECT event_id, subject FROM command")
    fact = {
        "party_id": row["subject"],
        "tenant": party("agg"),
        "kind": "company",
        "parent": party("agg"),
        "path": [party("agg")],
        "external_id": None,
        "country": None,
        "alias": "company-1",
        "state": "registered",
        "who": {"actor": "key_1", "principal": party("agg")},
        "reason": "A new customer",
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    await bench.learn(
        bench.fact(
            "directory.parties.v1",
            "directory.party.registered.v1",
            fact,
            caused_by=row["event_id"],
        )
    )
    answered = await asking
    assert answered.status_code == 200, answered.text
    assert answered.json()["state"] == "succeeded"
    assert answered.json()["outcome"]["data"]["alias"] == "company-1"
    looked_at = await bench.get(f"/v1/commands/{answered.json()['id']}", aggregator)
    assert looked_at.json() == answered.json()


async def test_f16_the_operator_imports_a_statement_in_the_name_of_the_accounts_holder(
    bench: Bench,
) -> None:
    await tree(bench)
    body = {"file_name": "september.xml", "content": "PERvY3VtZW50Lz4="}
    operator = await bench.key("operator")
    for more in ({}, {"company": party("acme")}):
        assert (await bench.post("/v1/statements", operator, {**body, **more})).status_code == 202
    told = [command for _, _, command in await bench.commands_told()]
    assert [each.who.principal for each in told] == ["operator", party("acme")]
    assert len({each.who.actor for each in told}) == 1
    refused = await bench.post("/v1/statements", await bench.key("acme"), body)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


async def test_a_statement_is_answered_by_itself_and_not_by_a_line_of_it_that_overtook_it(
    bench: Bench,
) -> None:
    await tree(bench)
    operator = await bench.key("operator")
    body = {"file_name": "september.xml", "content": "PERvY3VtZW50Lz4="}
    command = (await bench.post("/v1/statements", operator, body, idempotency="file")).json()
    row = await bench.one("SELECT event_id, subject FROM command")
    line = {
        "who": {"actor": "key_1", "principal": "operator"},
        "where": {"channel": "bank_statement", "country": None},
        "why": WHY,
        "occurred_at": "2026-09-21T08:00:00Z",
        "pay_in_id": derived_id("pin", "1"),
        "source": "bank",
        "external_id": "x-1",
        "company": party("acme"),
        "amount": {"currency": "USD", "amount": "1.00"},
        "originator": {"reference": "customer-7", "country": None},
        "beneficiary": None,
        "kind": "payables",
        "value_date": "2026-09-21",
        "references": {},
    }
    answer = {
        "import_id": row["subject"],
        "file_name": "september.xml",
        "statement_ids": [],
        "pay_ins": 1,
        "already_known": 0,
        "ignored_entries": 0,
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    for topic, kind, fact in (
        ("funding.pay_in.v1", "funding.pay_in.received.v1", line),
        ("funding.statements.v1", "funding.statement.imported.v1", answer),
    ):
        await bench.learn(bench.fact(topic, kind, fact, caused_by=row["event_id"]))
    found = (await bench.get(f"/v1/commands/{command['id']}", operator)).json()
    assert found["state"] == "succeeded"
    assert found["outcome"]["data"]["pay_ins"] == 1
    logged = (await bench.get("/v1/events", await bench.key("acme"))).json()["data"]
    assert "funding.pay_in.received.v1" in {each["type"] for each in logged}


async def test_a_refused_command_is_a_problem_with_code_field_and_remedy(bench: Bench) -> None:
    aggregator, _ = await tree(bench)
    body = {"kind": "company", "parent": party("acme"), "reason": "A new customer"}
    first = await bench.post("/v1/parties", aggregator, body, idempotency="refused")
    row = await bench.one("SELECT event_id, subject, command_id FROM command")
    refusal = {
        "command_id": row["command_id"],
        "command_type": "directory.party.register.v1",
        "tenant": party("agg"),
        "subject": row["subject"],
        "code": "parent_not_allowed",
        "field": "/parent",
        "detail": "a company stands below an aggregator",
        "remedy": "name the aggregator as parent",
        "who": {"actor": "key_1", "principal": party("agg")},
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    await bench.learn(
        bench.fact(
            "directory.parties.v1",
            "directory.command.refused.v1",
            refusal,
            caused_by=row["event_id"],
        )
    )
    again = await bench.post("/v1/parties", aggregator, body, idempotency="refused")
    assert first.status_code == 202
    assert again.status_code == 422
    assert again.headers["content-type"] == "application/problem+json"
    problem = again.json()
    assert (problem["code"], problem["field"]) == ("parent_not_allowed", "/parent")
    assert problem["remedy"] == "name the aggregator as parent"
    looked_at = await bench.get(f"/v1/commands/{row['command_id']}", aggregator)
    assert looked_at.json()["state"] == "refused"


async def test_a_payout_that_begins_rejected_is_a_refused_command(bench: Bench) -> None:
    aggregator, _ = await tree(bench)
    body, key = payout(await bench.wallet("agg")), {"idempotency": "rejected"}
    command = (await bench.post("/v1/payouts", aggregator, body, **key)).json()
    row = await bench.one("SELECT event_id FROM command")
    fact = {
        "who": {"actor": "key_1", "principal": party("agg")},
        "where": {"channel": "api", "country": None},
        "why": WHY,
        "occurred_at": "2026-09-21T08:00:00Z",
        "payout_id": command["subject"],
        "sequence": 1,
        "state": "rejected",
        "previous": None,
        "owner": party("ann"),
        "company": party("acme"),
        "account": "acc_01h455vb4pex5vsknk084sn02q",
        "amount": body["amount"],
        "pay_in_id": None,
        "rail": None,
        "hold_id": None,
        "attempt_id": None,
        "reason_code": "amount_above_maximum",
        "must_act": None,
    }
    changed = ("payouts.payout.v1", "payouts.payout.changed.v1")
    await bench.learn(bench.fact(*changed, fact, caused_by=row["event_id"]))
    again = await bench.post("/v1/payouts", aggregator, body, **key)
    problem = again.json()
    assert (again.status_code, problem["code"]) == (422, "amount_above_maximum")
    assert problem["field"] == "/amount/amount"
    assert problem["remedy"] == "ask for less at once, or have the policy changed"
    looked_at = (await bench.get(f"/v1/commands/{command['id']}", aggregator)).json()
    assert (looked_at["state"], looked_at["outcome"]["data"]["state"]) == ("refused", "rejected")


async def test_without_an_outcome_in_time_the_answer_is_202(bench: Bench) -> None:
    aggregator, _ = await tree(bench)
    wallet = await bench.wallet("agg")
    answered = await bench.post("/v1/payouts", aggregator, payout(wallet), Prefer="wait=0")
    waited = await bench.post("/v1/payouts", aggregator, payout(wallet), Prefer="wait=1")
    assert (answered.status_code, waited.status_code) == (202, 202)


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"amount": {"currency": "USD", "amount": "1.001"}}, "/amount/amount", "too_many_decimals"),
        (
            {"amount": {"currency": "USD", "amount": "0.00"}},
            "/amount/amount",
            "amount_not_positive",
        ),
        ({"amount": {"currency": "XQX", "amount": "1.00"}}, "/amount/amount", "unknown_currency"),
        ({"why": None}, "/why", "wrong_type"),
        ({"wallet": 7}, "/wallet", "wrong_type"),
        ({"colour": "red"}, "/colour", "unknown_field"),
    ],
)
async def test_a_wrong_field_is_named_with_code_and_remedy(
    bench: Bench, change: dict[str, Any], field: str, code: str
) -> None:
    aggregator, _ = await tree(bench)
    wallet = await bench.wallet("agg")
    answered = await bench.post("/v1/payouts", aggregator, {**payout(wallet), **change})
    assert answered.status_code == 422
    (error,) = answered.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert error["remedy"]
    assert await bench.commands_told() == []


async def test_several_wrong_fields_are_named_at_once(bench: Bench) -> None:
    aggregator, _ = await tree(bench)
    answered = await bench.post("/v1/payouts", aggregator, {"wallet": "w", "amount": 3})
    assert {each["field"] for each in answered.json()["errors"]} == {"/wallet", "/amount", "/why"}


async def test_a_document_is_nested_as_deep_as_anybody_likes_and_parties_in_it_are_found(
    bench: Bench,
) -> None:
    aggregator, _ = await tree(bench)
    known, nobody = party("acme"), "party_01h455vb4pex5vsknk084sn02q"

    async def lint(document: str) -> tuple[int, str | None]:
        answered = await bench.post("/v1/rules/lint", aggregator, {"document": document})
        return answered.status_code, answered.json().get("field")

    for depth in (900, 100_000):
        assert await lint("[" * depth + "]" * depth) == (202, None)
    for named, answer in (
        ({"lines": [{"to": {"party": known}}]}, (202, None)),
        ({"lines": [{"to": {"party": nobody}}]}, (422, "/document/lines/0/to/party")),
        (
            {"to": {"group": known, "weights": {nobody: 1}}},
            (422, f"/document/to/weights/{nobody}"),
        ),
        ({"match": {"tags": {"site": [nobody]}}}, (202, None)),
    ):
        assert await lint(json.dumps(named)) == answer
