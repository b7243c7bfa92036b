"""Identity by the public API: tasks, levels, expiry, downgrade, and who sees what of it (F30, F26, F27)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tally_embedded import Stack
from tally_testkit import ShiftedClock
from tally_testkit.databases import Databases

from .api_platform import Client, Platform, free_port, schemas, start_platform
from .conftest import SWIFT
from .stage import eventually

pytestmark = [pytest.mark.stack]
SERVICES = ("directory", "kyc")
YEAR = timedelta(days=365)
EVIDENCE = {"evidence": [{"reference": "vault:passport-1", "digest": "5b" * 32}]}
HIDDEN = "vault:passport-1"


@dataclass(frozen=True)
class Town:
    """A small tree, a client for each of its parties, and the clock all services go by."""

    clock: ShiftedClock
    platform: Platform
    ids: dict[str, str]
    clients: dict[str, Client]

    def until(self, days: int) -> str:
        """A moment this many days from now, as the API takes it."""
        return (self.clock.now() + timedelta(days=days)).isoformat().replace("+00:00", "Z")

    async def identity(self, by: str = "payee") -> dict[str, Any]:
        """The payee's identity as somebody sees it."""
        return await self.clients[by].see(f"/v1/parties/{self.ids['payee']}/identity")

    async def waiting(self, kind: str) -> str:
        """The payee's task of this kind that waits, once there is one."""

        async def look() -> str | None:
            answered = await self.clients["payee"].get(f"/v1/parties/{self.ids['payee']}/identity")
            tasks = answered.json().get("tasks", [])
            found = [t["task_id"] for t in tasks if t["kind"] == kind and t["who_must_act"]]
            return found[0] if found else None

        return str(await eventually(look))

    async def passed(self, kind: str, *, days: int = 365) -> str:
        """Have the payee show something, and the tenant pass it; the task's id."""
        task = await self.waiting(kind)
        await self.clients["payee"].do(f"/v1/tasks/{task}/submit", EVIDENCE)
        decision = {"outcome": "passed", "expires_at": self.until(days)}
        await self.clients["agg"].do(f"/v1/tasks/{task}/decide", decision)
        return task

    async def logged(self, name: str, event_type: str) -> list[dict[str, Any]]:
        """Facts of a type in somebody's log, once there are some."""

        async def look() -> list[dict[str, Any]]:
            answered = await self.clients[name].see("/v1/events", limit=200, types=event_type)
            return [each["data"] for each in answered["data"]]

        return list(await eventually(look))


@pytest.fixture(scope="module")
async def shared(
    databases: Databases, module_kafka: Stack
) -> AsyncIterator[tuple[Platform, ShiftedClock]]:
    database, clock = databases.clone(*schemas((*SERVICES, "gateway"))), ShiftedClock()
    platform = await start_platform(
        SERVICES,
        database,
        module_kafka.address.kafka,
        identity_port=free_port(),
        more=SWIFT,
        clock=clock,
    )
    try:
        yield platform, clock
    finally:
        await platform.stop()
        databases.drop(database)


@pytest.fixture
async def town(shared: tuple[Platform, ShiftedClock]) -> Town:
    """A payee below acme, below an aggregator; zenith is beside acme."""
    platform, clock = shared
    operator = await platform.operator()
    made = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"})
    root = made["subject"]
    ids, clients = {"agg": root}, {"operator": operator, "agg": await platform.client(root, root)}
    for name, kind, parent in (
        ("acme", "company", "agg"),
        ("zenith", "company", "agg"),
        ("payee", "payee", "acme"),
    ):
        made = await clients["agg"].do(
            "/v1/parties",
            {"kind": kind, "parent": ids[parent], "country": "DE", "reason": "Signed"},
        )
        ids[name] = made["subject"]
        clients[name] = await platform.client(ids[name], root)
    return Town(clock, platform, ids, clients)


async def refused(client: Client, path: str, body: dict[str, Any]) -> tuple[str, str | None]:
    """Code and field of a command that is refused."""
    answered = await client.post(path, body)
    problem = answered.json()
    assert answered.status_code == 422, problem
    assert problem["remedy"]
    return problem["code"], problem.get("field")


async def test_f27_f30_a_payee_is_asked_after_it_is_registered_and_reaches_a_level(
    town: Town,
) -> None:
    task = await town.waiting("collect_data")
    before = await town.identity()
    assert (before["level"], before["jurisdiction"]) == ("none", "DE")
    await town.passed("collect_data")
    after = await town.identity()
    assert (after["level"], after["policy_version"]) == ("basic", 1)
    assert after["reasons"] == ["passed:collect_data", "missing:document", "missing:liveness"]
    decided = await town.logged("payee", "kyc.task.decided.v1")
    assert [(each["task_id"], each["outcome"]) for each in decided] == [(task, "passed")]
    levels = await town.logged("payee", "kyc.level.changed.v1")
    assert [each["level"] for each in levels] == ["none", "basic"]
    assert (levels[1]["valid_until"], levels[1]["may_remit"]) == (after["valid_until"], False)


async def test_f30_a_task_is_decided_by_another_than_who_submitted_it_and_never_by_the_party(
    town: Town,
) -> None:
    task = await town.waiting("collect_data")
    decision = {"outcome": "passed", "expires_at": town.until(300)}
    decide, submit = f"/v1/tasks/{task}/decide", f"/v1/tasks/{task}/submit"
    assert await refused(town.clients["agg"], submit, EVIDENCE) == ("not_permitted", None)
    assert (await town.clients["zenith"].post(submit, EVIDENCE)).status_code == 404
    assert (await town.clients["zenith"].post(decide, decision)).status_code == 404
    assert await refused(town.clients["payee"], submit, {"evidence": []}) == (
        "evidence_missing",
        "/evidence",
    )
    await town.clients["payee"].do(submit, EVIDENCE)
    assert await refused(town.clients["payee"], decide, decision) == ("not_permitted", None)
    assert await refused(town.clients["acme"], decide, decision) == ("not_permitted", None)
    agg = town.clients["agg"]
    assert await refused(agg, decide, {"outcome": "passed"}) == ("expiry_missing", "/expires_at")
    past = {**decision, "expires_at": town.until(-1)}
    assert await refused(agg, decide, past) == ("expiry_past", "/expires_at")
    assert await refused(agg, decide, {"outcome": "failed"}) == ("reason_missing", "/reason")
    await agg.do(decide, {"outcome": "in_review"})
    await town.clients["operator"].do(decide, decision)
    assert (await town.identity())["level"] == "basic"
    assert await refused(agg, decide, decision) == ("task_state", "/task_id")


async def test_f30_more_is_shown_for_a_higher_level_and_a_change_of_name_takes_it_away(
    town: Town,
) -> None:
    await town.passed("collect_data")
    for kind in ("document", "liveness"):
        await town.clients["payee"].do(
            f"/v1/parties/{town.ids['payee']}/tasks", {"kind": kind, "reason": "To withdraw more"}
        )
        await town.passed(kind)
    assert (await town.identity())["level"] == "standard"
    changes = f"/v1/parties/{town.ids['payee']}/identity/changes"
    unknown = {"changed": ["mood"], "reason": "Rain"}
    assert await refused(town.clients["payee"], changes, unknown) == (
        "change_unknown",
        "/changed/0",
    )
    await town.clients["payee"].do(changes, {"changed": ["name"], "reason": "Married"})
    seen = await town.identity()
    assert seen["level"] == "none"
    open_kinds = {each["kind"] for each in seen["tasks"] if each["state"] == "open"}
    assert open_kinds == {"collect_data", "document", "liveness"}
    levels = [each["level"] for each in await town.logged("payee", "kyc.level.changed.v1")]
    assert (levels[-2:], "standard" in levels) == (["standard", "none"], True)


async def test_f26_a_company_sees_the_level_once_the_payee_consents_and_never_the_tasks(
    town: Town,
) -> None:
    await town.passed("collect_data")
    path = f"/v1/parties/{town.ids['payee']}/identity"
    for name in ("acme", "zenith"):
        assert (await town.clients[name].get(path)).status_code == 404
    await town.clients["payee"].do(
        f"/v1/parties/{town.ids['payee']}/consents",
        {"company": town.ids["zenith"], "reason": "To be paid"},
    )

    async def look() -> dict[str, Any] | None:
        answered = await town.clients["zenith"].get(path)
        return dict(answered.json()) if answered.status_code == 200 else None

    seen = await eventually(look)
    assert seen["level"] == "basic"
    assert "tasks" not in seen
    assert "jurisdiction" not in seen
    assert (await town.identity("agg"))["tasks"][0]["kind"] == "collect_data"
    await town.logged("payee", "kyc.level.changed.v1")
    for asked in ({}, {"party": town.ids["payee"]}):
        log = await town.clients["acme"].see("/v1/events", limit=200, **asked)
        about = [
            each["data"]
            for each in log["data"]
            if each["type"].startswith("kyc.") and each["data"].get("party_id") != town.ids["acme"]
        ]
        assert all(data == {} for data in about), "who stands above the payee reads none of it"
    own = await town.clients["payee"].see("/v1/events", limit=200)
    assert HIDDEN not in str(own), "a reference to evidence is for those who decide"


async def test_x4_the_operator_alone_publishes_tables_and_everybody_reads_them(
    town: Town,
) -> None:
    # A name and a country of the test's own: tables are the installation's.
    name, operator = f"t-{town.ids['agg'][-10:]}", town.clients["operator"]
    row = {
        "party_kind": "person",
        "level": "none",
        "act": "exit",
        "endpoint_class": "any",
        "answer": "closed",
        "code": "identity_too_low",
        "remedy": "do the tasks of level basic",
        "who_must_act": "payee",
    }
    body = {"version": 1, "jurisdictions": ["NZ"], "source": "Handbook", "rows": [row]}
    assert (await operator.put(f"/v1/gates/{name}", body)).status_code == 200
    seen = await town.clients["payee"].see(f"/v1/gates/{name}")
    (version,) = seen["versions"]
    assert (version["version"], version["rows"][0]["code"]) == (1, "identity_too_low")
    assert (await town.clients["agg"].put(f"/v1/gates/{name}", body)).status_code == 403
    again = (await operator.put(f"/v1/gates/{name}", body)).json()
    assert (again["code"], again["field"]) == ("version_stale", "/version")
    limit = {
        "level": "basic",
        "act": "exit",
        "endpoint_class": "any",
        "window": "day",
        "limit": {"currency": "NZD", "amount": "500.00"},
    }
    published = await operator.put(f"/v1/limits/{name}", {**body, "rows": [limit]})
    assert published.status_code == 200
    limits = await town.clients["payee"].see(f"/v1/limits/{name}")
    assert limits["versions"][0]["rows"][0]["limit"]["amount"] == "500.00"
    assert (await town.clients["payee"].get(f"/v1/limits/{name}-none")).status_code == 404


async def test_f30_what_was_shown_expires_after_a_warning_and_the_level_falls(town: Town) -> None:
    await town.passed("collect_data", days=60)
    task = (await town.identity())["tasks"][0]["task_id"]
    town.clock.shift += timedelta(days=31)
    (warned,) = await town.logged("payee", "kyc.task.expiring.v1")
    assert warned["task_id"] == task
    assert (await town.identity())["level"] == "basic"
    assert await town.waiting("collect_data") != task, "it is asked anew in time"
    town.clock.shift += timedelta(days=30)
    (expired,) = await town.logged("payee", "kyc.task.expired.v1")
    assert (expired["task_id"], expired["code"]) == (task, "time_passed")
    seen = await town.identity()
    assert (seen["level"], seen["reasons"]) == ("none", ["missing:collect_data"])
    last = (await town.logged("payee", "kyc.level.changed.v1"))[-1]
    assert (last["level"], last["previous"]) == ("none", "basic")
