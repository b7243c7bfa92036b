"""The event log of each party: its own numbers without a gap, what concerns it, as it may see it."""

import json
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tally_runtime import derived_id, derived_uuid

from .gateway_bench import START, Bench, party
from .test_gateway_commands import payout

WHO = {"actor": "svc:feed", "principal": "co"}
TOLD = {"who": WHO, "reason": "test", "occurred_at": "2026-09-21T08:00:00Z"}


def allocated(number: int, company: str, **owners: str) -> dict[str, Any]:
    """A pay-in of a company, shared out among owners."""
    total = sum(int(amount) for amount in owners.values())
    return {
        "who": WHO,
        "where": {"channel": "api", "country": None},
        "why": {"program": "p", "event": f"invoice:{number}", "reason": "r"},
        "occurred_at": "2026-09-21T08:00:00Z",
        "pay_in_id": derived_id("pin", str(number)),
        "journal_id": derived_id("jrn", str(number)),
        "source": "cards",
        "external_id": f"x-{number}",
        "company": party(company),
        "amount": {"currency": "USD", "amount": f"{total}.00"},
        "rule": "standard:1",
        "allocations": [
            {
                "account": derived_id("acc", owner),
                "owner": party(owner),
                "role": "beneficiary",
                "amount": {"currency": "USD", "amount": f"{amount}.00"},
                "pay_out": False,
            }
            for owner, amount in owners.items()
        ],
    }


def ended(name: str, tenant: str) -> dict[str, Any]:
    """A task of a party that became another ends."""
    return {
        "tenant": party(tenant),
        "who": WHO,
        "occurred_at": "2026-09-21T08:00:00Z",
        "task_id": derived_id("task", name),
        "party_id": party(name),
        "kind": "document",
        "who_must_act": None,
        "code": "party_merged",
        "reason": "the party became another",
    }


async def grown(bench: Bench) -> None:
    await bench.register("agg", "aggregator")
    await bench.register("acme", "company", "agg")
    await bench.register("other", "company", "agg")
    await bench.register("ann", "payee", "acme")
    await bench.register("bob", "payee", "acme")


async def pay_in(bench: Bench, *facts: dict[str, Any]) -> None:
    await bench.learn(
        *(bench.fact("funding.pay_in.v1", "funding.pay_in.allocated.v1", each) for each in facts)
    )


async def log(bench: Bench, name: str, **query: Any) -> list[dict[str, Any]]:
    key = await bench.key(name)
    query.setdefault("types", "funding.pay_in.allocated.v1")
    answered = await bench.get("/v1/events", key, **query)
    assert answered.status_code == 200, answered.text
    found: list[dict[str, Any]] = answered.json()["data"]
    return found


async def test_a_fact_is_seen_by_whom_it_concerns_and_all_above_and_by_nobody_else(
    bench: Bench,
) -> None:
    await grown(bench)
    await pay_in(bench, allocated(1, "acme", ann="60", bob="40"))
    for name in ("acme", "agg", "operator", "ann", "bob"):
        assert len(await log(bench, name)) == 1, name
    assert await log(bench, "other") == []


async def test_each_persona_sees_its_fields_of_the_same_fact(bench: Bench) -> None:
    await grown(bench)
    await pay_in(bench, allocated(1, "acme", ann="60", bob="40"))
    ((of_acme,), (of_ann,)) = (await log(bench, "acme"), await log(bench, "ann"))
    assert of_acme["id"] == of_ann["id"]
    assert of_acme["data"]["amount"]["amount"] == "100.00"
    assert len(of_acme["data"]["allocations"]) == 2
    assert [each["owner"] for each in of_ann["data"]["allocations"]] == [party("ann")]
    assert not {"amount", "who", "external_id", "rule"} & of_ann["data"].keys()


async def test_every_party_counts_its_own_events_without_a_gap(bench: Bench) -> None:
    await grown(bench)
    await pay_in(bench, *(allocated(n, "acme", ann="1") for n in range(1, 4)))
    await pay_in(bench, *(allocated(n, "acme", bob="1") for n in range(4, 8)))
    for name in ("acme", "ann", "bob", "agg"):
        key = await bench.key(name)
        everything = (await bench.get("/v1/events", key, limit=500)).json()["data"]
        numbers = [int(each["cursor"]) for each in everything]
        assert numbers == list(range(1, len(numbers) + 1)), name


async def test_a_reader_that_goes_on_from_its_cursor_misses_nothing_and_reads_nothing_twice(
    bench: Bench,
) -> None:
    await grown(bench)
    key = await bench.key("acme")
    await pay_in(bench, *(allocated(n, "acme", ann="1") for n in range(1, 8)))
    seen, after = [], "0"
    while True:
        page = (await bench.get("/v1/events", key, limit=3, after=after)).json()
        seen += [each["id"] for each in page["data"]]
        after = page["next"]
        if not page["has_more"]:
            break
    await pay_in(bench, allocated(8, "acme", ann="1"))
    later = (await bench.get("/v1/events", key, after=after)).json()
    assert len(later["data"]) == 1
    everything = (await bench.get("/v1/events", key, limit=500)).json()["data"]
    assert [*seen, later["data"][0]["id"]] == [each["id"] for each in everything]


async def test_a_fact_that_comes_twice_is_one_event(bench: Bench) -> None:
    await grown(bench)
    fact = bench.fact(
        "funding.pay_in.v1", "funding.pay_in.allocated.v1", allocated(1, "acme", ann="1")
    )
    await bench.learn(fact, fact)
    await bench.learn(fact)
    assert len(await log(bench, "ann")) == 1


async def test_only_named_types_and_fields_are_given(bench: Bench) -> None:
    await grown(bench)
    await pay_in(bench, allocated(1, "acme", ann="1"))
    (found,) = await log(bench, "acme", fields="pay_in_id,amount")
    assert found["data"].keys() == {"pay_in_id", "amount"}
    assert await log(bench, "acme", types="payouts.payout.changed.v1") == []


async def test_the_log_of_a_party_below_is_read_and_that_of_any_other_is_not_there(
    bench: Bench,
) -> None:
    await grown(bench)
    await pay_in(bench, allocated(1, "acme", ann="60", bob="40"))
    (found,) = await log(bench, "agg", party=party("ann"))
    assert found["cursor"]
    for name, whose in (("ann", "acme"), ("other", "ann"), ("other", "nobody"), ("ann", "bob")):
        answered = await bench.get("/v1/events", await bench.key(name), party=party(whose))
        assert answered.status_code == 404, (name, whose)


async def test_money_for_a_contact_is_in_the_log_of_whoever_the_contact_became(
    bench: Bench,
) -> None:
    await grown(bench)
    claimed = {
        "tenant": party("agg"),
        "who": WHO,
        "reason": "verified",
        "occurred_at": "2026-09-21T08:00:00Z",
        "party_id": party("ann"),
        "reference": "contact:tok1",
    }
    await bench.learn(bench.fact("directory.parties.v1", "directory.reference.claimed.v1", claimed))
    fact = allocated(1, "acme", bob="40")
    fact["allocations"][0]["owner"] = "contact:tok1"
    await pay_in(bench, fact)
    (found,) = await log(bench, "ann")
    assert [each["owner"] for each in found["data"]["allocations"]] == ["contact:tok1"]


async def test_an_alarm_about_a_claim_is_in_the_log_of_whoever_issued_it_and_of_those_above(
    bench: Bench,
) -> None:
    await grown(bench)
    claim = {
        "claim_id": derived_id("claim", "1"),
        "owner": "event:race-7",
        "tenant": party("agg"),
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    issued = {
        **claim,
        "contact": None,
        "expires_at": "2026-12-31T00:00:00Z",
        "expires_to": None,
        "sealed_code": "k.n.c",
        "who": {"actor": "key", "principal": party("acme")},
        "why": {"program": "p", "event": "race-7", "reason": "r"},
    }
    alarm = {**claim, "attempted_by": party("bob"), "code": "claim_used", "who": WHO}
    await bench.learn(bench.fact("funding.claims.v1", "funding.claim.issued.v1", issued))
    await bench.learn(bench.fact("funding.claims.v1", "funding.claim.alarm_raised.v1", alarm))
    types = "funding.claim.issued.v1,funding.claim.alarm_raised.v1"
    seen = {name: await log(bench, name, types=types) for name in ("agg", "acme", "other", "bob")}
    assert [each["data"].get("code") for each in seen["acme"]] == [None, "claim_used"]
    assert seen["agg"][1]["data"]["attempted_by"] == party("bob")
    assert "attempted_by" not in seen["acme"][1]["data"]
    assert "sealed_code" not in str(seen)
    assert (seen["other"], seen["bob"]) == ([], [])


async def test_a_decision_on_an_entry_and_a_proposal_to_match_are_in_the_companys_log(
    bench: Bench,
) -> None:
    await grown(bench)
    entry, pay_in_id, at = derived_id("entry", "1"), derived_id("pin", "1"), "2026-09-21T08:00:00Z"
    shared = {
        "who": WHO,
        "where": {"channel": "manual", "country": None},
        "why": {"program": "p", "event": "e", "reason": "r"},
        "occurred_at": at,
        "external_id": "x-1",
        "company": party("acme"),
        "amount": {"currency": "USD", "amount": "1.00"},
        "beneficiary": None,
    }
    received = {
        **shared,
        "pay_in_id": pay_in_id,
        "source": "manual",
        "originator": {"reference": "c-7", "country": None},
        "kind": "payables",
        "value_date": "2026-09-21",
        "references": {},
    }
    decided = {
        "entry_id": entry,
        "approved": True,
        "pay_in_id": None,
        "proposed_by": "key_1",
        "note": "Seen",
        "who": WHO,
        "occurred_at": at,
    }
    candidate = {
        "expectation_id": derived_id("expect", "1"),
        "reference": "INV-1",
        "confidence": 75,
        "reasons": ["payer"],
    }
    proposed = {
        "pay_in_id": pay_in_id,
        "case_id": derived_id("case", "1"),
        "candidates": [candidate],
        "occurred_at": at,
    }
    for topic, kind, fact in (
        ("funding.sources.v1", "funding.entry.proposed.v1", {**shared, "entry_id": entry}),
        ("funding.sources.v1", "funding.entry.decided.v1", decided),
        ("funding.pay_in.v1", "funding.pay_in.received.v1", received),
        ("funding.sources.v1", "funding.match.proposed.v1", proposed),
    ):
        await bench.learn(bench.fact(topic, kind, fact))
    types = "funding.entry.decided.v1,funding.match.proposed.v1"
    assert [each["type"] for each in await log(bench, "acme", types=types)] == types.split(",")
    assert await log(bench, "other", types=types) == []


async def test_a_party_that_moves_takes_its_later_events_to_its_new_line(bench: Bench) -> None:
    await grown(bench)
    await pay_in(bench, allocated(1, "none", ann="1"))
    await bench.learn(
        bench.fact(
            "directory.parties.v1",
            "directory.party.moved.v1",
            {
                "tenant": party("agg"),
                "who": WHO,
                "reason": "moved",
                "occurred_at": "2026-09-21T08:00:00Z",
                "party_id": party("acme"),
                "parent": party("other"),
                "path": [party("agg"), party("other")],
                "previous_path": [party("agg")],
            },
        )
    )
    assert await bench.line("ann") == [party(n) for n in ("agg", "other", "acme", "ann")]
    await pay_in(bench, allocated(2, "none", ann="1"))
    assert len(await log(bench, "other")) == 1
    assert len(await log(bench, "ann")) == 2


@pytest.mark.parametrize(
    "query", [{"after": "x"}, {"limit": 0}, {"limit": 501}, {"types": "A b"}, {"surprise": 1}]
)
async def test_a_wrong_parameter_is_named(bench: Bench, query: dict[str, Any]) -> None:
    await grown(bench)
    answered = await bench.get("/v1/events", await bench.key("acme"), **query)
    assert answered.status_code == 422
    assert answered.json()["errors"][0]["field"].startswith(f"/{next(iter(query))}")


async def test_a_batch_of_facts_is_a_constant_number_of_statements(bench: Bench) -> None:
    await grown(bench)
    counts = []
    for size in (1, 40):
        facts = [
            bench.fact(
                "funding.pay_in.v1",
                "funding.pay_in.allocated.v1",
                allocated(100 * size + n, "acme", ann="1", bob="2"),
            )
            for n in range(size)
        ]
        seen: list[str] = []
        async with bench.pool.acquire() as only:
            note = lambda query, into=seen: into.append(query.query)  # noqa: E731
            only._con.add_query_logger(note)  # type: ignore[attr-defined]
        assert bench.pool.get_size() == 1, "one session, so that every statement is seen"
        await bench.learn(*facts)
        async with bench.pool.acquire() as only:
            only._con.remove_query_logger(note)  # type: ignore[attr-defined]
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert counts[0] <= 14


async def test_old_idempotency_keys_are_forgotten_and_used_credentials_remembered(
    bench: Bench,
) -> None:
    from tally_gateway.server import keep_house

    await grown(bench)
    key = await bench.key("agg")
    body = {"kind": "company", "parent": party("agg"), "reason": "A customer"}
    await bench.post("/v1/parties", key, body, idempotency="old")
    bench.clock.advance(timedelta(days=8))
    assert await keep_house(bench.gateway) is False
    assert (await bench.one("SELECT count(*) AS n FROM idempotency"))["n"] == 0
    used = await bench.one("SELECT last_used_at FROM credential")
    assert used["last_used_at"] == START


async def test_what_is_told_of_a_merged_party_is_the_kept_ones_and_its_tenants_to_see(
    bench: Bench,
) -> None:
    await grown(bench)
    await bench.register("far", "aggregator")
    await bench.register("twin", "payee", "far")
    await bench.learn(
        bench.merge("ann", "twin", merged_tenant="far"),
        bench.fact("kyc.identity.v1", "kyc.task.expired.v1", ended("twin", "far")),
    )
    for name in ("ann", "agg", "operator"):
        (told,) = await log(bench, name, types="kyc.task.expired.v1")
        assert told["data"]["task_id"] == derived_id("task", "twin"), name
    (of_ann,) = await log(bench, "acme", types="kyc.task.expired.v1", party=party("ann"))
    assert of_ann["data"] == {}, "who stands between sees that something was told, and not what"


async def test_a_party_that_became_another_by_way_of_a_third_is_told_of_as_the_last(
    bench: Bench,
) -> None:
    await grown(bench)
    for tenant, name in (("far", "twin"), ("farther", "mid")):
        await bench.register(tenant, "aggregator")
        await bench.register(name, "payee", tenant)
    await bench.learn(bench.merge("mid", "twin", "farther", "far"))
    await bench.learn(bench.merge("ann", "mid", merged_tenant="farther"))
    await bench.learn(bench.fact("kyc.identity.v1", "kyc.task.expired.v1", ended("twin", "far")))
    for name in ("ann", "agg"):
        (told,) = await log(bench, name, types="kyc.task.expired.v1")
        assert told["data"]["task_id"] == derived_id("task", "twin"), name


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "one by one"])
@pytest.mark.parametrize("told", list(permutations(range(3))), ids=str)
async def test_merges_told_in_any_order_lead_to_the_one_that_all_became(
    bench: Bench, told: tuple[int, ...], at_once: bool
) -> None:
    """So do references that were claimed, and contacts that were shown, of who had become another."""
    await grown(bench)
    for tenant, name in (("far", "twin"), ("farther", "mid")):
        await bench.register(tenant, "aggregator")
        await bench.register(name, "payee", tenant)
    await bench.register("late", "payee", "agg")
    merges = [
        bench.merge("mid", "twin", "farther", "far"),
        bench.merge("late", "mid", merged_tenant="farther"),
        bench.merge("ann", "late"),
    ]
    claimed = {"party_id": party("mid"), "tenant": party("farther"), **TOLD}
    shown = {**claimed, "contact_id": derived_id("ctc", "1"), "contact": "t", "channel": "email"}
    parties = "directory.parties.v1"
    facts = [
        *(merges[place] for place in told),
        bench.fact(parties, "directory.reference.claimed.v1", claimed | {"reference": "user-42"}),
        bench.fact(parties, "directory.contact.verified.v1", shown),
    ]
    for batch in [facts] if at_once else [[fact] for fact in facts]:
        await bench.learn(*batch)
    ends = "SELECT array_agg(DISTINCT (party_id, tenant)) AS ends, count(*) AS rows FROM "
    for table, rows in (("party_reference", 4), ("verified_contact", 1)):
        found = await bench.one(ends + table)
        assert ([tuple(end) for end in found["ends"]], found["rows"]) == (
            [(party("ann"), party("agg"))],
            rows,
        ), table


async def test_chains_that_were_left_half_resolved_are_resolved_by_the_migration(
    bench: Bench,
) -> None:
    chain = [("user-42", "twin"), ("twin", "mid"), ("mid", "late"), ("late", "ann"), ("bob", "ann")]
    migration = Path(__file__).parents[1] / "src/tally_gateway/migrations/0006_merged_chains.sql"
    async with bench.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        for reference, kept in chain:
            await conn.execute(
                "INSERT INTO party_reference VALUES ($1, $2, $3)", reference, f"of {kept}", kept
            )
        for contact, of in (("c1", "mid"), ("c2", "ann"), ("c3", "twin")):
            await conn.execute("INSERT INTO verified_contact VALUES ($1, 'then', $2)", contact, of)
        await conn.execute(migration.read_text(encoding="utf-8"))
        ends = await conn.fetch("SELECT DISTINCT party_id, tenant FROM party_reference")
        reached = await conn.fetch("SELECT * FROM verified_contact ORDER BY 1")
    assert [tuple(end) for end in ends] == [("ann", "of ann")]
    assert [tuple(row) for row in reached] == [
        ("c1", "of ann", "ann"),
        ("c2", "then", "ann"),
        ("c3", "of ann", "ann"),
    ]


async def test_f62_what_happened_elsewhere_is_in_the_log_once_and_answers_no_command(
    bench: Bench,
) -> None:
    await grown(bench)
    key = await bench.key("acme")
    wallet = await bench.wallet("acme")
    asked = await bench.post("/v1/payouts", key, payout(wallet))
    command = await bench.one("SELECT event_id FROM command")

    def told(**changes: str) -> Any:
        fact = {"fact": json.dumps(allocated(1, "acme", ann="60", bob="40"))}
        return brought(bench, **fact | {"causation": str(command["event_id"])} | changes)

    before = await log(bench, "ann")
    await bench.learn(told(), told())  # twice in a batch, and once more later
    await bench.learn(told(), told(fact_key=str(derived_uuid("elsewhere", "2"))))
    of_ann, of_acme, of_agg = [
        [each["id"] for each in await log(bench, name)] for name in ("ann", "acme", "agg")
    ]
    assert of_ann == of_acme == of_agg
    assert len(set(of_ann)) == len(of_ann) == 2
    assert (before, await log(bench, "other")) == ([], [])
    standing = await bench.get(f"/v1/commands/{asked.json()['id']}", key)
    assert standing.json()["state"] == "accepted"

    await bench.learn(told(fact_type="directory.party.registered.v1", fact_key="x" * 36))
    await bench.learn(told(fact="{}", fact_key=str(derived_uuid("elsewhere", "3"))))
    assert len(await log(bench, "ann")) == 2
    kept = await bench.one("SELECT count(*) AS records FROM quarantine")
    assert kept["records"] == 1, "what is no such fact; of other types none is taken"


def received(company: str) -> dict[str, Any]:
    told = allocated(1, company, ann="60")
    told |= {"originator": {"reference": "payer"}, "value_date": "2026-09-21", "beneficiary": None}
    return {name: told[name] for name in told.keys() - {"journal_id", "rule", "allocations"}}


def brought(bench: Bench, **changes: str) -> Any:
    fact = {
        "tenant": party("agg"),
        "fact_key": str(derived_uuid("elsewhere", "1")),
        "fact_type": "funding.pay_in.allocated.v1",
        "topic": "funding.pay_in.v1",
        "source": "/tallystick/funding",
        "correlation": "c",
        "recorded_at": "2026-09-21T08:00:01Z",
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    return bench.fact("operations.history.v1", "operations.fact.brought.v1", fact | changes)


@pytest.mark.parametrize("known", ["before", "in the same batch"])
async def test_f62_a_fact_that_was_brought_gives_no_hold_of_a_thing_that_is_here(
    bench: Bench, known: str
) -> None:
    """Its thing stays whose it was, and its fact is in no log of another tenant's."""
    await grown(bench)
    await bench.register("rival", "aggregator")
    await bench.register("taker", "company", "rival")

    kind = "funding.pay_in.received.v1"
    mine = bench.fact("funding.pay_in.v1", kind, received("acme"))
    taken = brought(
        bench, tenant=party("rival"), fact_type=kind, fact=json.dumps(received("taker"))
    )
    if known == "before":
        await bench.learn(mine)
        await bench.learn(taken)
    else:
        await bench.learn(taken, mine)
    thing = await bench.one("SELECT parties FROM thing WHERE thing_id LIKE 'pin_%'")
    assert thing["parties"] == [party("acme")]
    (of_acme,) = await log(bench, "acme", types=kind)
    assert of_acme["data"]["company"] == party("acme")
    assert len(await log(bench, "taker", types=kind)) == 1


async def test_f62_a_fact_that_was_brought_makes_things_of_its_tenant(bench: Bench) -> None:
    await grown(bench)
    kind = "funding.pay_in.received.v1"
    await bench.learn(brought(bench, fact_type=kind, fact=json.dumps(received("acme"))))
    thing = await bench.one("SELECT parties FROM thing WHERE thing_id LIKE 'pin_%'")
    assert thing["parties"] == [party("acme")]
