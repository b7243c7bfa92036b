"""API keys and OAuth clients: scopes, expiry, rotation, revocation, pace; never more than one's own."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tally_gateway.credentials import OAUTH_CLIENT, Credentials
from tally_gateway.errors import Problem
from tally_runtime import derived_id

from .gateway_bench import Bench, Raw, party, statements

MAKE = {"label": "Export", "scopes": ["events:read"]}


async def grown(bench: Bench) -> str:
    await bench.register("agg", "aggregator")
    await bench.register("acme", "company", "agg")
    await bench.register("other", "company", "agg")
    return await bench.key("acme")


async def test_a_key_is_made_shown_once_and_works(bench: Bench) -> None:
    key = await grown(bench)
    made = await bench.post("/v1/api-keys", key, MAKE)
    assert made.status_code == 201, made.text
    secret = made.json()["secret"]
    assert (await bench.get("/v1/events", secret)).status_code == 200
    listed = (await bench.get("/v1/api-keys", key)).json()["data"]
    assert secret not in str(listed)
    assert made.json()["id"] in {each["id"] for each in listed}
    stored = await bench.one("SELECT * FROM credential WHERE credential_id = $1", made.json()["id"])
    assert secret.split("_")[2][:64] not in str(dict(stored))


async def test_a_key_cannot_be_given_what_its_maker_has_not(bench: Bench) -> None:
    await grown(bench)
    poor = await bench.key("acme", scopes=frozenset({"keys:write"}))
    refused = await bench.post("/v1/api-keys", poor, {**MAKE, "scopes": ["payouts:write"]})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "scope_not_given")
    unknown = await bench.post("/v1/api-keys", poor, {**MAKE, "scopes": ["everything"]})
    assert unknown.status_code == 422


@pytest.mark.parametrize("whose", ["agg", "other"])
async def test_a_key_of_a_party_above_or_beside_cannot_be_made_or_listed(
    bench: Bench, whose: str
) -> None:
    key = await grown(bench)
    made = await bench.post("/v1/api-keys", key, {**MAKE, "party": party(whose)})
    listed = await bench.get("/v1/api-keys", key, party=party(whose))
    assert (made.status_code, listed.status_code) == (404, 404)


@pytest.mark.parametrize("kind", ["api-keys", "oauth-clients"])
async def test_f07_f26_a_secret_that_speaks_for_a_party_is_made_by_itself_or_the_operator(
    bench: Bench, kind: str
) -> None:
    mine = await grown(bench)
    above, operator = await bench.key("agg"), await bench.key("operator")
    for scope in ("transfers:write", "parties:write", "wallets:write", "claims:write"):
        spending = {**MAKE, "party": party("acme"), "scopes": ["events:read", scope]}
        refused = await bench.post(f"/v1/{kind}", above, spending)
        assert (refused.status_code, refused.json()["code"]) == (403, "mandate_missing"), scope
        assert refused.json()["field"] == "/scopes"
    assert (await bench.post(f"/v1/{kind}", operator, spending)).status_code == 201
    made = (await bench.post(f"/v1/{kind}", mine, spending)).json()
    rotated = await bench.post(f"/v1/{kind}/{made['id']}/rotate", above, {"overlap_hours": 1})
    assert (rotated.status_code, rotated.json()["code"]) == (403, "mandate_missing")
    assert "secret" not in rotated.json()
    reading = await bench.post(f"/v1/{kind}", above, {**MAKE, "party": party("acme")})
    assert reading.status_code == 201


async def test_a_missing_scope_is_named(bench: Bench) -> None:
    await grown(bench)
    poor = await bench.key("acme", scopes=frozenset({"events:read"}))
    refused = await bench.post("/v1/api-keys", poor, MAKE)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert "keys:write" in refused.json()["detail"]


async def test_a_rotated_key_works_beside_the_new_one_until_the_overlap_ends(
    bench: Bench,
) -> None:
    key = await grown(bench)
    made = (await bench.post("/v1/api-keys", key, MAKE)).json()
    rotated = await bench.post(f"/v1/api-keys/{made['id']}/rotate", key, {"overlap_hours": 1})
    assert rotated.status_code == 201, rotated.text
    new = rotated.json()["secret"]
    for secret in (made["secret"], new):
        assert (await bench.get("/v1/events", secret)).status_code == 200
    bench.clock.advance(timedelta(hours=1, seconds=3))
    assert (await bench.get("/v1/events", made["secret"])).status_code == 401
    assert (await bench.get("/v1/events", new)).status_code == 200


async def test_a_revoked_and_an_expired_key_open_nothing(bench: Bench) -> None:
    key = await grown(bench)
    made = (await bench.post("/v1/api-keys", key, MAKE)).json()
    assert (await bench.get("/v1/events", made["secret"])).status_code == 200
    await bench.post(f"/v1/api-keys/{made['id']}/revoke", key, {})
    refused = await bench.get("/v1/events", made["secret"])
    assert (refused.status_code, refused.json()["code"]) == (401, "credentials_invalid")
    body = {**MAKE, "expires_at": "2026-09-21T09:00:00Z"}
    short = (await bench.post("/v1/api-keys", key, body)).json()["secret"]
    assert (await bench.get("/v1/events", short)).status_code == 200
    bench.clock.advance(timedelta(hours=1))
    assert (await bench.get("/v1/events", short)).status_code == 401


async def test_a_revocation_holds_for_what_was_being_read_when_it_came(bench: Bench) -> None:
    key = await grown(bench)
    made = (await bench.post("/v1/api-keys", key, MAKE)).json()
    revoked = f"/v1/api-keys/{made['id']}/revoke"
    here, held, may_go_on = bench.gateway.credentials, asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def slow(**waits: float) -> AsyncIterator[Any]:
        async with bench.pool.acquire(**waits) as conn:
            yield conn
        held.set()
        await may_go_on.wait()

    assert (await bench.get("/v1/events", made["secret"])).status_code == 200
    bench.clock.advance(timedelta(seconds=3))
    pool, here.pool = here.pool, SimpleNamespace(acquire=slow)  # type: ignore[assignment]
    asking = asyncio.create_task(bench.get("/v1/events", made["secret"]))
    await held.wait()
    here.pool = pool
    assert (await bench.post(revoked, key, {})).status_code == 200
    may_go_on.set()
    assert (await asking).status_code == 401
    assert (await bench.get("/v1/events", made["secret"])).status_code == 401


async def test_making_a_key_twice_with_one_idempotency_key_makes_one(bench: Bench) -> None:
    key = await grown(bench)
    first = await bench.post("/v1/api-keys", key, MAKE, idempotency="same")
    again = await bench.post("/v1/api-keys", key, MAKE, idempotency="same")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert "secret" not in again.json()
    other = await bench.post("/v1/api-keys", key, {**MAKE, "label": "B"}, idempotency="same")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


async def test_requests_beyond_the_limit_are_told_when_to_come_back(bench: Bench) -> None:
    await grown(bench)
    slow = await bench.key("acme", requests_per_minute=2)
    answers = [await bench.get("/v1/events", slow) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "30"
    told = [
        [each.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")]
        for each in answers
    ]
    assert told == [["2", "1", "30"], ["2", "0", "60"], ["2", "0", "60"]]
    bench.clock.advance(timedelta(seconds=30))
    assert (await bench.get("/v1/events", slow)).status_code == 200


async def test_replicas_draw_from_one_limit_and_give_back_what_they_did_not_need(
    bench: Bench,
) -> None:
    await grown(bench)
    key = await bench.key("acme", requests_per_minute=60)
    one = bench.gateway.credentials
    replicas = [one, Credentials(one.pool, one.clock, one.ids, one.tokens)]

    async def passed(times: int, asked: Sequence[Credentials] = replicas) -> int:
        count = 0
        for _ in range(times):
            for replica in asked:
                with contextlib.suppress(Problem):
                    await replica.recognise(f"Bearer {key}")
                    count += 1
        return count

    assert await passed(50) == 60, "a full bucket, and nothing left in a block of either"
    bench.clock.advance(timedelta(seconds=10))
    assert await passed(2) == 4, "each has drawn a block of two"
    bench.clock.advance(timedelta(seconds=4))
    assert await passed(100, [one]) == 10, "what filled in since goes to whoever asks"


async def test_however_many_requests_wait_for_a_credential_it_is_read_once(bench: Bench) -> None:
    await grown(bench)
    key = await bench.key("acme", requests_per_minute=60_000)
    for _ in range(2):
        async with statements(bench) as seen:
            answers = []
            for number in range(400):
                answer = bench.gateway.credentials.recognise(f"Bearer {key}")
                answers.append(asyncio.create_task(answer))
                if number > 50:
                    # Some come together, and some at the very moment it has been read.
                    await asyncio.sleep(0)
            assert len({each[0] for each in await asyncio.gather(*answers)}) == 1
        assert len([text for text in seen if "FROM credential" in text]) <= 2
        bench.clock.advance(timedelta(seconds=3))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer tk_x", "Basic YTpi", "Bearer eyJhbGciOiJub25lIn0.e30.", "tk_1"],
)
async def test_anything_else_is_nobody(bench: Bench, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answered = await bench.client.get("/v1/events", headers=headers)
    assert answered.status_code == 401
    assert answered.headers["www-authenticate"].startswith("Bearer")


async def test_f29_credentials_of_a_merged_party_are_nobodys(bench: Bench) -> None:
    await grown(bench)
    for name in ("ann", "bob", "friend"):
        await bench.register(name, "payee", "acme")
    key = await bench.key("bob")
    made = (await bench.post("/v1/oauth-clients", key, MAKE)).json()
    client = {"client_id": made["id"], "client_secret": made["secret"]}
    token = (await form(bench, **client)).json()["access_token"]
    await bench.learn(connection_fact(bench, "bob", "friend"))
    friends = {"party": party("friend")}
    assert (await bench.get("/v1/events", key, **friends)).status_code == 200
    await bench.learn(bench.merge("ann", "bob"))
    bench.clock.advance(timedelta(seconds=3))
    contacts = f"/v1/parties/{party('ann')}/contacts"
    answers = [
        await bench.get("/v1/events", key, **friends),
        await bench.get("/v1/events", token, **friends),
        await bench.get("/v1/events", key),
        await bench.get(contacts, key, purpose="To see"),
        await bench.get("/v1/wallets", key),
        await bench.get("/v1/commands", key),
        await bench.post("/v1/api-keys", key, MAKE),
        await form(bench, **client),
    ]
    for answered in answers:
        assert (answered.status_code, answered.json()["code"]) == (401, "party_merged"), answered
        assert answered.json()["remedy"] == "Use credentials of the party it became."
        assert answered.headers["www-authenticate"].startswith("Bearer")
    assert (await bench.get("/v1/events", await bench.key("ann"))).status_code == 200


def connection_fact(bench: Bench, from_party: str, to_party: str) -> Raw:
    """The one may view the other."""
    return bench.fact(
        "directory.parties.v1",
        "directory.connection.changed.v1",
        {
            "connection_id": derived_id("con", from_party, to_party),
            "from_party": party(from_party),
            "to_party": party(to_party),
            "access": "view",
            "state": "accepted",
            "tenant": party("agg"),
            "who": {"actor": "key_1", "principal": party(to_party)},
            "reason": "test",
            "occurred_at": "2026-09-21T08:00:00Z",
        },
    )


async def form(bench: Bench, **fields: Any) -> Any:
    return await bench.client.post(
        "/v1/oauth/token", data={"grant_type": "client_credentials", **fields}
    )


async def test_a_client_gets_a_token_that_acts_for_its_party_within_its_scopes(
    bench: Bench,
) -> None:
    key = await grown(bench)
    scopes = ["events:read", "commands:read"]
    made = (await bench.post("/v1/oauth-clients", key, {**MAKE, "scopes": scopes})).json()
    got = await form(bench, client_id=made["id"], client_secret=made["secret"], scope="events:read")
    assert got.status_code == 200, got.text
    token = got.json()["access_token"]
    assert (await bench.get("/v1/events", token)).status_code == 200
    assert (await bench.get("/v1/commands", token)).status_code == 403
    basic = base64.b64encode(f"{made['id']}:{made['secret']}".encode()).decode()
    by_header = await bench.client.post(
        "/v1/oauth/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {basic}"},
    )
    assert by_header.json()["scope"] == "commands:read events:read"
    bench.clock.advance(timedelta(minutes=10))
    assert (await bench.get("/v1/events", token)).status_code == 401


async def test_a_token_ends_with_its_client_and_a_clients_secret_is_no_key(bench: Bench) -> None:
    key = await grown(bench)
    made = (await bench.post("/v1/oauth-clients", key, MAKE)).json()
    token = (await form(bench, client_id=made["id"], client_secret=made["secret"])).json()
    assert (await bench.get("/v1/events", made["secret"])).status_code == 401
    await bench.post(f"/v1/oauth-clients/{made['id']}/revoke", key, {})
    assert (await bench.get("/v1/events", token["access_token"])).status_code == 401
    assert (
        await form(bench, client_id=made["id"], client_secret=made["secret"])
    ).status_code == 401


async def test_more_scope_than_the_client_has_is_refused(bench: Bench) -> None:
    await grown(bench)
    secret = await bench.key("acme", kind=OAUTH_CLIENT, scopes=frozenset({"events:read"}))
    client_id = "client_" + secret.split("_")[1]
    refused = await form(
        bench, client_id=client_id, client_secret=secret, scope="events:read payouts:write"
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("fields", [{}, {"client_id": "c"}, {"surprise": "x"}])
async def test_a_form_that_says_too_little_or_too_much_is_refused(
    bench: Bench, fields: dict[str, str]
) -> None:
    assert (await form(bench, **fields)).status_code in {401, 422}
