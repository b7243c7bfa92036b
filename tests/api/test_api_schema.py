"""Requests made from the API's own description: nothing answers with 5xx or outside of it (F57)."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tally_testkit import ServiceDatabase

from .api_platform import Platform, free_port, schemas, start_platform

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1800)]
SERVICES = ("directory", "kyc", "portfolio")
PROGRAM = Path(__file__).with_name("requests_from_description.py")


@pytest.fixture
async def platform(
    fresh_database: Callable[..., ServiceDatabase], fresh_kafka: str
) -> AsyncIterator[Platform]:
    database = fresh_database(*schemas((*SERVICES, "gateway")))
    platform = await start_platform(
        SERVICES,
        database,
        fresh_kafka,
        read_port=free_port(),
        contacts_port=free_port(),
        identity_port=free_port(),
    )
    yield platform
    await platform.stop()


async def test_no_request_made_from_the_description_leads_outside_of_it(
    platform: Platform, tmp_path: Path
) -> None:
    operator = await platform.operator()
    made = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"})
    client = await platform.client(made["subject"], made["subject"])
    document = tmp_path / "openapi.json"
    document.write_bytes((await platform.http.get("/v1/openapi.json")).content)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        str(document),
        platform.address,
        env={**os.environ, "TALLY_KEY": client.key},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(told) == []
