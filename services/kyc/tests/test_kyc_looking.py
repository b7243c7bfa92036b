"""Levels, tasks and tables as they are read: who sees which of them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tally_contracts import directory_facts as facts
from tally_contracts import kyc as wire
from tally_kyc.api import ReadApi, build_api
from tally_security.internal import VIEWER_HEADER, InternalKeys, Persona, Viewer, sign_viewer

from .conftest import party_id, tid
from .test_kyc_service import table

KEYS = InternalKeys(b"i" * 32)


class Reader:
    """Asks as the gateway does."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        app = build_api(ReadApi(bench.pool, bench.clock, KEYS))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://kyc")

    async def get(self, who: str, path: str) -> httpx.Response:
        """Look as this party does."""
        operator = who == "operator"
        viewer = Viewer(
            who if operator else party_id(who),
            "*" if operator else party_id("agg"),
            Persona.OPERATOR if operator else Persona.COMPANY,
            frozenset({"identity:read"}),
        )
        signed = sign_viewer(viewer, KEYS, now=self.bench.clock.now())
        return await self.http.get(path, headers={VIEWER_HEADER: signed})

    async def sees(self, who: str, name: str = "ann") -> str:
        """How much of a party's identity somebody sees."""
        answered = await self.get(who, f"/parties/{party_id(name)}/identity")
        if answered.status_code == 404:
            return "nothing"
        assert answered.status_code == 200, answered.text
        return "tasks" if "tasks" in answered.json() else "level"


@pytest.fixture
async def reader(kyc: Any) -> AsyncIterator[Reader]:
    reader = Reader(kyc)
    yield reader
    await reader.http.aclose()


async def test_the_party_its_tenant_and_the_operator_see_tasks_and_others_nothing(
    reader: Reader,
) -> None:
    seen = {who: await reader.sees(who) for who in ("ann", "agg", "operator", "acme")}
    assert seen == {"ann": "tasks", "agg": "tasks", "operator": "tasks", "acme": "nothing"}
    missing = await reader.get("ann", f"/parties/{party_id('nobody')}/identity")
    foreign = await reader.get("acme", f"/parties/{party_id('ann')}/identity")
    assert (foreign.status_code, foreign.json()) == (missing.status_code, missing.json())
    unsigned = await reader.http.get(f"/parties/{party_id('ann')}/identity")
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "viewer_missing")


async def test_f26_a_company_sees_the_level_as_long_as_the_payee_consents(
    reader: Reader,
) -> None:
    who = {"party_id": party_id("ann"), "company": party_id("acme")}
    await reader.bench.send(reader.bench.fact(facts.ConsentGiven, **who))
    assert await reader.sees("acme") == "level"
    document = (await reader.get("acme", f"/parties/{party_id('ann')}/identity")).json()
    assert document == {
        "party_id": party_id("ann"),
        "party_kind": "person",
        "level": "none",
        "may_remit": False,
        "valid_until": None,
    }
    await reader.bench.send(reader.bench.fact(facts.ConsentWithdrawn, **who))
    assert await reader.sees("acme") == "nothing"


async def test_whom_the_party_lets_manage_it_sees_tasks(reader: Reader) -> None:
    connection = reader.bench.fact(
        facts.ConnectionChanged,
        connection_id=tid("conn", "c"),
        from_party=party_id("acme"),
        to_party=party_id("ann"),
        access="manage",
        state="accepted",
    )
    await reader.bench.send(connection)
    assert await reader.sees("acme") == "tasks"
    revoked = connection.model_copy(update={"state": "revoked"})
    await reader.bench.send(revoked)
    assert await reader.sees("acme") == "nothing"


async def test_an_identity_says_what_the_level_rests_on_and_who_must_act(reader: Reader) -> None:
    await reader.bench.passed("collect_data")
    await reader.bench.send(reader.bench.open("ann", "document", task="d"))
    seen = (await reader.get("ann", f"/parties/{party_id('ann')}/identity")).json()
    assert (seen["level"], seen["policy_version"], seen["jurisdiction"]) == ("basic", 1, "DE")
    assert seen["reasons"] == ["passed:collect_data", "missing:document", "missing:liveness"]
    assert seen["valid_until"] == "2027-09-21T08:00:00Z"
    shown = {each["kind"]: (each["state"], each["who_must_act"]) for each in seen["tasks"]}
    assert shown == {"collect_data": ("passed", None), "document": ("open", "payee")}


async def test_a_merged_id_shows_the_identity_of_the_one_it_became(reader: Reader) -> None:
    await reader.bench.send(reader.bench.registered("twin"))
    await reader.bench.send(
        reader.bench.fact(
            facts.PartiesMerged,
            party_id=party_id("ann"),
            merged=party_id("twin"),
            merged_tenant=party_id("agg"),
            by="approval",
        )
    )
    assert (await reader.sees("twin"), await reader.sees("twin", "twin")) == ("tasks", "tasks")
    seen = await reader.get("agg", f"/parties/{party_id('twin')}/identity")
    assert seen.json()["party_id"] == party_id("ann")


async def test_what_a_merged_party_let_others_see_is_as_the_kept_one_says(reader: Reader) -> None:
    bench = reader.bench
    consent = {"party_id": party_id("twin"), "company": party_id("acme")}
    await bench.send(
        bench.registered("twin"),
        bench.fact(facts.ConsentGiven, **consent),
        bench.fact(
            facts.ConnectionChanged,
            connection_id=tid("conn", "c"),
            from_party=party_id("acme"),
            to_party=party_id("twin"),
            access="manage",
            state="accepted",
        ),
        bench.fact(
            facts.PartiesMerged,
            party_id=party_id("ann"),
            merged=party_id("twin"),
            merged_tenant=party_id("agg"),
            by="approval",
        ),
    )
    assert await reader.sees("acme") == "nothing", "what the one allowed, the other has not"
    kept = {**consent, "party_id": party_id("ann")}
    await bench.send(bench.fact(facts.ConsentGiven, **kept))
    assert await reader.sees("acme") == "level"


async def test_a_table_shows_its_versions_to_everybody_the_newest_first(reader: Reader) -> None:
    assert (await reader.get("ann", "/gates/standard")).status_code == 404
    await reader.bench.send(
        table(reader.bench, wire.PublishGateTable),
        table(reader.bench, wire.PublishLimitTable),
        table(
            reader.bench,
            wire.PublishGateTable,
            version=2,
            valid_from="2026-12-01T00:00:00Z",
            valid_until="2027-12-01T00:00:00Z",
        ),
    )
    gates = (await reader.get("ann", "/gates/standard")).json()
    assert gates["table"] == "standard"
    second, first = gates["versions"]
    assert (second["version"], second["valid_from"], second["valid_until"]) == (
        2,
        "2026-12-01T00:00:00Z",
        "2027-12-01T00:00:00Z",
    )
    assert (first["version"], first["jurisdictions"]) == (1, ["*"])
    assert first["rows"][0]["code"] == "identity_too_low"
    limits = (await reader.get("ann", "/limits/standard")).json()
    assert limits["versions"][0]["rows"][0]["limit"] == {"currency": "EUR", "amount": "1000.00"}
