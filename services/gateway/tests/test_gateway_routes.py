"""The route table: every route becomes its command, and the description says what is served."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest

from tally_contracts.catalogue import catalogue
from tally_gateway.api.app import all_routes
from tally_gateway.api.openapi import openapi
from tally_gateway.credentials import Caller
from tally_gateway.domain.access import Thing, World
from tally_gateway.errors import KINDS
from tally_gateway.importing import KINDS as IMPORTED
from tally_gateway.intake import COMMAND_PREFIX
from tally_gateway.routes import COMMAND_TOPICS, ROUTES, SCOPES
from tally_gateway.routes.model import FILLED, Asked, CommandRoute
from tally_gateway.sealers import Sealers
from tally_runtime import Ids, derived_id
from tally_security.internal import VIEWER_HEADER, Persona, read_viewer
from tally_security.sealing import SealingKey

from .gateway_bench import Bench, party

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
CALLER = Caller("key_1", "key_1", party("acme"), party("agg"), Persona.COMPANY, SCOPES)


def path_of(route: CommandRoute) -> dict[str, str]:
    return {
        name: "stripe" if name == "source" else derived_id(name[:4].strip("_"), name)
        for name in route.path_fields
    }


def asked(route: CommandRoute) -> Asked:
    body = route.body.model_validate(dict(route.example))
    path = path_of(route)
    data = {"account": derived_id("acc", "a"), "owner": party("ann"), "currency": "USD"}
    named = [
        path.get(about.field) or getattr(body, about.field)
        for about in route.about
        if about.is_thing
    ]
    return Asked(
        body=body,
        path=path,
        caller=CALLER,
        world=World({}, {each: Thing(each, party("agg"), (party("ann"),), data) for each in named}),
        made={name: Ids().new(prefix) for name, prefix in route.makes.items()},
        tenant=party("agg"),
        now=NOW,
        sealers=Sealers(SealingKey(b"d" * 32), SealingKey(b"r" * 32)),
        ledger="main",
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_example_of_every_route_becomes_its_command(route: CommandRoute) -> None:
    command = route.command_of(asked(route), Ids().new(COMMAND_PREFIX))
    assert type(command) is route.command
    assert command.who.principal == CALLER.party  # type: ignore[attr-defined]
    assert route.key(command)
    assert str(getattr(command, route.subject))
    again = type(command).model_validate_json(command.model_dump_json())
    assert again.model_dump_json() == command.model_dump_json()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_body_can_say_who_acts_when_or_for_which_tenant(route: CommandRoute) -> None:
    assert not FILLED & route.body.model_fields.keys()
    assert not route.makes.keys() & route.body.model_fields.keys()
    for name in FILLED:
        with pytest.raises(ValueError, match="extra"):
            route.body.model_validate({**route.example, name: "mine"})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_names_a_topic_a_scope_and_fields_that_are_there(route: CommandRoute) -> None:
    assert route.topic in COMMAND_TOPICS
    assert "gateway" in catalogue()[route.topic].producers
    known = {*route.body.model_fields, *route.path_fields}
    assert {about.field for about in route.about} <= known
    assert {name.partition(".")[0] for name in route.owners} <= known
    assert route.scope in SCOPES


def test_names_and_addresses_of_operations_are_each_used_once(bench: Bench) -> None:
    operations = [operation for operation, _ in all_routes(bench.gateway)]
    names = [operation.name for operation in operations]
    addresses = [(operation.method, operation.path) for operation in operations]
    assert len(set(names)) == len(names)
    assert len(set(addresses)) == len(addresses)


def test_every_command_others_offer_has_a_route_or_is_not_for_callers() -> None:
    inside = {
        "directory.view.log.v1",  # of the platform's own readers
        "funding.webhook.receive.v1",  # behind a signature, not a key
    }
    topics = [
        topic
        for topic in catalogue().values()
        if ".commands." in topic.name
        and "gateway" in topic.producers
        and topic.name != "ledger.commands.v1"
    ]
    offered = {event_type for topic in topics for event_type in topic.types}
    assert offered - {route.command.TYPE for route in ROUTES} == inside


def test_the_description_has_an_example_for_every_answer_and_every_error(bench: Bench) -> None:
    document = openapi((each for each, _ in all_routes(bench.gateway)), "http://test")
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            place = f"{method} {path}"
            for status, answer in operation["responses"].items():
                for media, content in answer["content"].items():
                    streams = media in {"text/event-stream", "application/x-ndjson"}
                    assert streams or content.get("example") is not None or content["examples"], (
                        place,
                        status,
                    )
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert content.get("example") is not None, place


async def test_every_code_leads_to_its_explanation(bench: Bench) -> None:
    for code, kind in KINDS.items():
        answered = await bench.client.get(f"/v1/problems/{code}")
        assert (answered.status_code, answered.json()["title"]) == (200, kind.title)


async def test_the_description_is_served_to_anybody(bench: Bench) -> None:
    answered = await bench.client.get("/v1/openapi.json")
    assert answered.status_code == 200
    paths = answered.json()["paths"]
    assert {route.path for route in ROUTES} <= paths.keys()


def test_imports_take_only_commands_without_ids_in_their_address() -> None:
    assert all(route.path_fields == () for route in IMPORTED.values())


@pytest.fixture
async def asked_of_portfolio(bench: Bench) -> list[httpx.Request]:
    """What portfolio was asked, which answers every question with an empty page."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if "refuse" in str(request.url):
            return httpx.Response(
                422,
                json={"code": "field_unknown", "detail": "no", "field": "/x", "remedy": "drop it"},
            )
        return httpx.Response(200, json={"items": [], "next": None})

    bench.gateway.reads._transport = httpx.MockTransport(answer)
    await bench.register("agg", "aggregator")
    await bench.register("acme", "company", "agg")
    return seen


async def test_portfolio_is_told_who_looks_and_believes_the_signature(
    bench: Bench, asked_of_portfolio: list[httpx.Request]
) -> None:
    key = await bench.key("acme", scopes=frozenset({"wallets:read"}))
    answered = await bench.get("/v1/wallets", key, currency="EUR", limit=5, fields="id,available")
    assert answered.json() == {"items": [], "next": None}
    (request,) = asked_of_portfolio
    assert request.url.path == "/wallets"
    assert dict(request.url.params) == {"currency": "EUR", "limit": "5", "fields": "id,available"}
    viewer = read_viewer(
        request.headers[VIEWER_HEADER], bench.gateway.internal_keys, now=bench.clock.now()
    )
    assert (viewer.party, viewer.tenant) == (party("acme"), party("agg"))
    assert viewer.persona is Persona.COMPANY
    assert "authorization" not in request.headers


_LEADING_ELSEWHERE = (
    *("a%3Fx=1", "..", "%2E%2E", "%2e", "%252e%252e"),
    *("a%2Fb", "..%2Fb", "a%252fb", "a%23b", "%20", "a;b"),
)


@pytest.mark.parametrize(
    "path",
    [
        "/wallets/{}",
        "/programs/{}/fees",
        "/parties/{}/contacts?purpose=p",
        "/parties/{}/identity",
        "/gates/{}",
        "/limits/{}",
    ],
)
async def test_no_id_can_lead_elsewhere_behind_the_gateway(
    bench: Bench, asked_of_portfolio: list[httpx.Request], path: str
) -> None:
    for api in (bench.gateway.contacts, bench.gateway.identities):
        api._transport = bench.gateway.reads._transport
    allowed = {"Authorization": f"Bearer {await bench.key('acme')}"}
    expected = path.partition("?")[0].split("/")
    for asked_id in _LEADING_ELSEWHERE:
        asked_of_portfolio.clear()
        await bench.client.get(f"/v1{path.format(asked_id)}", headers=allowed)
        for request in asked_of_portfolio:
            address = request.url.raw_path.decode().partition("?")[0].split("/")
            assert len(address) == len(expected), address
            for part, meant in zip(address, expected, strict=True):
                assert unquote(part) == (unquote(asked_id) if meant == "{}" else meant)
                assert part not in {".", ".."}


@pytest.mark.parametrize(
    "reference", ["order:77", "inv.2026/7", "a#b", "me@shop", "a?b=%41", "v..2"]
)
async def test_an_event_is_asked_for_by_whatever_reference_a_why_may_have(
    bench: Bench, asked_of_portfolio: list[httpx.Request], reference: str
) -> None:
    key = await bench.key("acme")
    answered = await bench.get(f"/v1/events/{quote(reference, safe='')}/money", key)
    assert answered.status_code == 200
    (request,) = asked_of_portfolio
    _, events, escaped, money = request.url.raw_path.decode().split("/")
    assert (events, unquote(escaped), money) == ("events", reference, "money")


async def test_what_no_reference_can_be_is_not_asked_for(
    bench: Bench, asked_of_portfolio: list[httpx.Request]
) -> None:
    key = await bench.key("acme")
    for wrong in ("%20", "a%0Ab", "%C3%A9", "x" * 129):
        answered = await bench.get(f"/v1/events/{wrong}/money", key)
        assert (answered.status_code, answered.json()["code"]) == (404, "not_found"), wrong
    assert asked_of_portfolio == []


async def test_what_portfolio_refuses_is_a_problem_and_what_it_cannot_answer_too(
    bench: Bench, asked_of_portfolio: list[httpx.Request]
) -> None:
    key = await bench.key("acme")
    refused = await bench.get("/v1/wallets/refuse", key)
    assert (refused.status_code, refused.json()["code"]) == (422, "field_unknown")

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away", request=request)

    bench.gateway.reads._transport = httpx.MockTransport(away)
    answered = await bench.get("/v1/wallets", key)
    assert (answered.status_code, answered.json()["code"]) == (503, "unavailable")
    assert answered.headers["retry-after"]


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415, "unsupported_media_type"),
        ({"Content-Type": "application/json"}, b"{", 400, "malformed_json"),
        ({"Content-Type": "application/json"}, b"\xff", 400, "malformed_json"),
        ({"Content-Type": "application/json"}, b"", 400, "malformed_json"),
        ({"Content-Type": "application/json"}, b"[]", 422, "invalid_request"),
        ({"Content-Type": "application/json"}, b'{"a":' * 10_000, 400, "malformed_json"),
        ({"Content-Type": "application/json"}, b" " * 1_100_000, 413, "body_too_large"),
        ({"Content-Type": "application/json", "Idempotency-Key": ""}, b"{}", 400, None),
        ({"Content-Type": "application/json", "Prefer": "wait=99"}, b"{}", 400, "prefer_invalid"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_code(
    bench: Bench, headers: dict[str, str], content: bytes, status: int, code: str | None
) -> None:
    await bench.register("agg", "aggregator")
    key = await bench.key("agg")
    given: dict[str, Any] = {"Authorization": f"Bearer {key}", "Idempotency-Key": "k", **headers}
    answered = await bench.client.post("/v1/payouts", content=content, headers=given)
    assert answered.status_code == status, answered.text
    assert answered.json()["code"] == (code or "idempotency_key_missing")
    assert answered.json()["correlation_id"] == answered.headers["tally-correlation-id"]
    assert await bench.commands_told() == []


async def test_an_address_or_method_that_is_not_there_is_a_problem(bench: Bench) -> None:
    nowhere = await bench.client.get("/v1/nowhere")
    method = await bench.client.delete("/v1/payouts")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"]
