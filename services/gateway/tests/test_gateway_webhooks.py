"""Webhooks: a good signature is one command however often it comes; any other changes nothing."""

import base64
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tally_contracts.funding_sources import ReceiveWebhook
from tally_gateway.api.app import build_api
from tally_security.webhooks import WebhookSecrets, sign_stripe

from .gateway_bench import Bench, party

SECRET, OLD = "whsec_0123456789abcdef", "whsec_fedcba9876543210"
EVENT = json.dumps({"id": "evt_1", "type": "charge.succeeded"}).encode()


@pytest.fixture
async def shop(bench: Bench) -> Bench:
    """The bench with one source whose secret is changing."""
    await bench.register("agg", "aggregator")
    await bench.register("acme", "company", "agg")
    sources = {"stripe": {"company": party("acme"), "secrets": [SECRET, OLD]}}
    settings = bench.gateway.settings.model_copy(
        update={"webhooks": SecretStr(json.dumps(sources))}
    )
    app = build_api(replace(bench.gateway, settings=settings))
    bench.client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://gateway.test"
    )
    return bench


async def send(shop: Bench, secret: str, body: bytes = EVENT, source: str = "stripe") -> Any:
    headers = sign_stripe(EVENT, WebhookSecrets.stripe(secret), now=shop.clock.now())
    return await shop.client.post(f"/v1/webhooks/{source}", content=body, headers=headers)


@pytest.mark.parametrize("secret", [SECRET, OLD])
async def test_a_signed_body_goes_on_as_it_came_in_the_companys_name(
    shop: Bench, secret: str
) -> None:
    assert (await send(shop, secret)).status_code == 202
    ((topic, _, told),) = await shop.commands_told()
    assert topic == "funding.sources.commands.v1"
    assert isinstance(told, ReceiveWebhook)
    assert base64.b64decode(told.content) == EVENT
    assert told.who.principal == party("acme")


async def test_a_body_that_comes_again_is_one_command(shop: Bench) -> None:
    answers = [await send(shop, SECRET) for _ in range(3)]
    assert len({each.json()["id"] for each in answers}) == 1
    assert len(await shop.commands_told()) == 1


@pytest.mark.parametrize(
    ("secret", "body", "source", "code"),
    [
        ("whsec_somebody_elses_key", EVENT, "stripe", "signature_wrong"),
        (SECRET, EVENT + b" ", "stripe", "signature_wrong"),
        (SECRET, EVENT, "adyen", "not_found"),
    ],
)
async def test_any_other_body_is_refused_and_changes_nothing(
    shop: Bench, secret: str, body: bytes, source: str, code: str
) -> None:
    answered = await send(shop, secret, body, source)
    assert answered.status_code in {401, 404}
    assert answered.json()["code"] == code
    assert await shop.commands_told() == []
