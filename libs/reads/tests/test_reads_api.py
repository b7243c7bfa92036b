"""What any read API answers to whom it does not believe, and to what it cannot answer."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from tally_reads import AskedTooOften, NotFound, QuestionRefused, ReadSettings, guarded, viewer_of
from tally_runtime import SettingsError, load_settings
from tally_security.internal import VIEWER_HEADER, InternalKeys, Persona, Viewer, sign_viewer

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
KEYS = InternalKeys(b"k" * 32)
VIEWER = Viewer(party="party_1", tenant="party_1", persona=Persona.COMPANY, scopes=frozenset())


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = 0


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """An API that tells whoever may ask what its raising of each error looks like."""
    app = guarded("test")
    errors = {
        "refused": QuestionRefused("not so", "/number"),
        "missing": NotFound(),
        "often": AskedTooOften("enough", 7),
        "away": ConnectionRefusedError(),
        "broken": RuntimeError("a secret"),
    }

    def viewer(request: Request) -> Viewer:
        return viewer_of(request, KEYS, NOW)

    @app.get("/{name}")
    async def answer(
        name: str,
        asked: Annotated[Question, Query()],
        seen_by: Annotated[Viewer, Depends(viewer)],
    ) -> dict[str, object]:
        if name in errors:
            raise errors[name]
        return {"party": seen_by.party, "number": asked.number}

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://reads") as found:
        yield found


def signed(at: datetime = NOW) -> dict[str, str]:
    return {VIEWER_HEADER: sign_viewer(VIEWER, KEYS, now=at)}


async def test_whom_the_gateway_signed_is_answered(client: httpx.AsyncClient) -> None:
    answered = await client.get("/thing?number=3", headers=signed())
    assert (answered.status_code, answered.json()) == (200, {"party": "party_1", "number": 3})


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "viewer_missing"),
        ({VIEWER_HEADER: "v1.e30.AA"}, "viewer_refused"),
        (signed(NOW - timedelta(minutes=2)), "viewer_expired"),
    ],
)
async def test_nobody_else_is(
    client: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    answered = await client.get("/thing", headers=headers)
    assert answered.status_code == 401
    told = answered.json()
    assert (told["code"], told["field"]) == (code, f"/{VIEWER_HEADER}")


@pytest.mark.parametrize(
    ("path", "status", "code", "field"),
    [
        ("/refused", 422, "question_refused", "/number"),
        ("/missing", 404, "not_found", None),
        ("/often", 429, "rate_limited", None),
        ("/away", 503, "temporarily_unavailable", None),
        ("/broken", 500, "internal_error", None),
        ("/thing?number=x", 422, "parameter_invalid", "/number"),
        ("/thing?other=1", 422, "parameter_unknown", "/other"),
        ("/a/route/of/none", 404, "not_found", None),
    ],
)
async def test_what_is_not_answered_has_a_code_a_field_and_a_remedy(
    client: httpx.AsyncClient, path: str, status: int, code: str, field: str | None
) -> None:
    answered = await client.get(path, headers=signed())
    told = answered.json()
    assert (answered.status_code, told["code"], told["field"]) == (status, code, field)
    assert told["remedy"]
    assert "secret" not in answered.text
    assert answered.headers.get("Retry-After") == ("7" if path == "/often" else None)


async def test_nothing_but_questions_is_taken(client: httpx.AsyncClient) -> None:
    answered = await client.post("/thing", headers=signed())
    assert (answered.status_code, answered.json()["code"]) == (405, "not_allowed")


def test_it_does_not_start_without_the_key_that_viewers_are_signed_with() -> None:
    given = {"environment": "test", "kafka": "h:1", "postgres_dsn": "postgresql://h/d"}
    assert load_settings(ReadSettings, **given).read_port == 0
    with pytest.raises(SettingsError, match="TALLY_INTERNAL_KEY is needed where TALLY_READ_PORT"):
        load_settings(ReadSettings, **given, read_port=8090)
