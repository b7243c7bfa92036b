"""Requests made from the API's own description: nothing answers with 5xx or outside of it (F57)."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)

from tally_testkit import ServiceDatabase

from .api_platform import Platform, free_port, schemas, start_platform

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1800)]
SERVICES = ("directory", "portfolio")
EXAMPLES = int(os.environ.get("TALLY_SCHEMA_EXAMPLES", "3"))
STREAMS = {"event_stream"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    use_after_free,
]


@pytest.fixture
async def platform(
    fresh_database: Callable[..., ServiceDatabase], fresh_kafka: str
) -> AsyncIterator[Platform]:
    database = fresh_database(*schemas((*SERVICES, "gateway")))
    platform = await start_platform(SERVICES, database, fresh_kafka, read_port=free_port())
    yield platform
    await platform.stop()


async def test_no_request_made_from_the_description_leads_outside_of_it(
    platform: Platform,
) -> None:
    operator = await platform.operator()
    made = await operator.do("/v1/parties", {"kind": "aggregator", "reason": "Signed"})
    company = await platform.client(made["subject"], made["subject"])
    document = (await platform.http.get("/v1/openapi.json")).json()
    assert await asyncio.to_thread(faults_of, document, platform.address, company.key) == []


def faults_of(document: dict[str, Any], address: str, key: str) -> list[str]:
    """What requests from the description find, operation by operation."""
    schema = schemathesis.openapi.from_dict(document)
    found: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.definition.raw["operationId"] in STREAMS:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            headers = {"Authorization": f"Bearer {key}"}
            if "Prefer" in (case.headers or {}):
                # Nobody is there to carry the command out: not worth the wait.
                headers["Prefer"] = "wait=0"
            case.call_and_validate(base_url=address, headers=headers, checks=CHECKS, timeout=30)

        try:
            check()
        except Exception as error:  # noqa: BLE001 - every operation is tried, all faults are told
            causes = "; ".join(str(each) for each in getattr(error, "exceptions", (error,)))
            found.append(f"{operation.label}: {causes}"[:2000])
            logging.getLogger(__name__).warning("%s", found[-1])
    return found
