"""A process of its own that makes requests from the API's description: `... DOCUMENT ADDRESS`.

The key comes in TALLY_KEY, how many requests an operation gets in TALLY_SCHEMA_EXAMPLES. What was
found is printed as a JSON list. It is no part of the tests' process: Hypothesis takes the chance that
services draw beside it for its own.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

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


def faults_of(document: dict[str, Any], address: str, key: str) -> list[str]:
    """What requests from the description find, operation by operation."""
    found: list[str] = []
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
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
            case.call_and_validate(base_url=address, headers=headers, checks=CHECKS, timeout=60)

        try:
            check()
        except Exception as error:  # noqa: BLE001 - every operation is tried, all faults are told
            causes = "; ".join(str(each) for each in getattr(error, "exceptions", (error,)))
            found.append(f"{operation.label}: {causes}"[:2000])
            sys.stderr.write(f"{found[-1]}\n")
    return found


if __name__ == "__main__":
    described = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(faults_of(described, sys.argv[2], os.environ["TALLY_KEY"])))
