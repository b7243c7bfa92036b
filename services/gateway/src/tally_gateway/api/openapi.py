"""The OpenAPI 3.1 document, made of the same operations that are served."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tally_gateway.api.commands import WAIT_MAX_S
from tally_gateway.api.model import Operation
from tally_gateway.errors import KINDS, Problem
from tally_gateway.problems import MEDIA_TYPE, document
from tally_gateway.step_up import HEADER

_LATER: Final = frozenset({429, 503})
VERSION: Final = "1.0.0"
_ENCODED: Final = {"description": "as it was given, percent-encoded: a slash is %2F"}
_REF: Final = "#/components/schemas/{model}"
_REFERENCE: Final = re.compile(r'"#/components/schemas/([^"]+)"')
_CORRELATION: Final = "0192156b-1bb0-7d0f-a1d5-6e5f4c6b7a80"

_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "New for each command, the same for each repetition of it.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    "example": "order-17-payout-1",
}
_PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "description": f"wait=N: answer with the outcome, if it comes within N <= {WAIT_MAX_S} seconds.",
    "schema": {"type": "string", "pattern": "^wait=([0-9]|[12][0-9]|30)$"},
    "example": "wait=5",
}
_STEP_UP: Final = {
    "name": HEADER,
    "in": "header",
    "description": "Where a person is asked for a code: the challenge, a colon, and the code they got.",
    "schema": {"type": "string", "pattern": "^chl_[0-9a-z]{26}:[0-9A-Za-z]{8}$"},
    "example": "chl_01h455vb4pex5vsknk084sn02q:7Q4X9KMD",
}
_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code", "remedy", "correlation_id"],
    "properties": {
        "type": {"type": "string", "description": "where the code is explained"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "remedy": {"type": "string", "description": "what to do"},
        "field": {"type": "string", "description": "JSON pointer into the body, or a header"},
        "correlation_id": {"type": "string"},
        "challenge": {"type": "string", "description": "of step_up_required: what the code is for"},
        "expires_at": {
            "type": "string",
            "format": "date-time",
            "description": "until when it holds",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail", "remedy"],
                "properties": {
                    name: {"type": "string"} for name in ("field", "code", "detail", "remedy")
                },
            },
        },
    },
}
_HEADERS: Final = {
    name: {"description": description, "schema": {"type": "integer", "minimum": 0}}
    for name, description in (
        (
            "RateLimit-Limit",
            "Requests a minute these credentials may send, to all replicas together.",
        ),
        ("RateLimit-Remaining", "How many may follow at once."),
        ("RateLimit-Reset", "Seconds until as many as the limit may be sent at once again."),
        ("Retry-After", "Seconds to wait before the same request is sent again."),
    )
}
_LIMITED: Final = {
    name: {"$ref": f"#/components/headers/{name}"}
    for name in _HEADERS
    if name.startswith("RateLimit")
}
_RETRY: Final = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
_DESCRIPTION: Final = """\
Commands are answered with 202 and an id, or with their outcome when `Prefer: wait=N` is sent. Every
command has an `Idempotency-Key`: repeated with the same body it gets the same answer. What a caller
may not see is answered like what does not exist. Amounts are decimal strings with their currency.
"""


def openapi(operations: Iterable[Operation], public_url: str) -> dict[str, Any]:
    """The whole document."""
    listed = list(operations)
    models = {
        model
        for operation in listed
        for model in (
            operation.body,
            *(answer.model for answer in operation.answers.values()),
        )
        if model is not None
    }
    _, schemas = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda each: each.__name__)],
        ref_template=_REF,
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallystick",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "paths": paths,
        "components": {
            "schemas": {
                **_closed(schemas.get("$defs", {}), [each.body for each in listed if each.body]),
                "Problem": _PROBLEM_SCHEMA,
            },
            "headers": _HEADERS,
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key."},
                "oauth": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": f"{public_url}/v1/oauth/token",
                            "scopes": {
                                operation.scope: f"needed by {operation.tag}"
                                for operation in listed
                                if operation.scope is not None
                            },
                        }
                    },
                },
            },
        },
    }


def _closed(
    schemas: dict[str, dict[str, Any]], bodies: Iterable[type[BaseModel]]
) -> dict[str, dict[str, Any]]:
    """The schemas, where those of bodies and all within them take no field but their own."""
    left, seen = [model.__name__ for model in bodies], set[str]()
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += _REFERENCE.findall(json.dumps(schemas[name]))
    return {
        name: {"additionalProperties": False, **schema}
        if name in seen and "properties" in schema
        else schema
        for name, schema in schemas.items()
    }


def _described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": _responses(operation),
        "security": []
        if operation.scope is None
        else [{"apiKey": []}, {"oauth": [operation.scope]}],
    }
    if operation.body is not None:
        content: dict[str, Any] = {"schema": _ref(operation.body)}
        if operation.body_example is not None:
            content["example"] = operation.body_example
        found["requestBody"] = {"required": True, "content": {operation.body_media: content}}
    elif operation.body_media != "application/json":
        found["requestBody"] = {
            "required": True,
            "content": {
                media: {"schema": {"type": "string"}, "example": operation.body_example}
                for media in operation.body_media.split()
            },
        }
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
            **(_ENCODED if operation.slashes else {}),
        }
        for name in operation.path_names
    ]
    if operation.is_command:
        found += [_IDEMPOTENCY_KEY, _PREFER, *([_STEP_UP] if operation.step_up else [])]
    elif "idempotency_key_missing" in operation.problems:
        found.append(_IDEMPOTENCY_KEY)
    if operation.query is not None:
        found += _query_parameters(operation.query)
    return found


def _query_parameters(query: type[BaseModel]) -> Iterable[dict[str, Any]]:
    schema = query.model_json_schema()
    for name, shape in schema.get("properties", {}).items():
        # An absent parameter is absent: it is never null.
        options = [each for each in shape.get("anyOf", [shape]) if each.get("type") != "null"]
        only = {**options[0]}
        only.pop("title", None)
        parameter = {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": only,
        }
        if only.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
            only.pop("x-comma-list", None)
        if "description" in shape:
            parameter["description"] = shape["description"]
        yield parameter


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    limited = {} if operation.scope is None else _LIMITED
    for status, answer in operation.answers.items():
        schema = {"type": "string"} if answer.model is None else _ref(answer.model)
        content: dict[str, Any] = {"schema": schema}
        if answer.example is not None:
            content["example"] = answer.example
        found[str(status)] = {
            "description": answer.description,
            "headers": limited,
            "content": {answer.media: content},
        }
    by_status: dict[int, list[str]] = {}
    for kind in operation.all_problems:
        by_status.setdefault(KINDS[kind].status, []).append(kind)
    for status, kinds in sorted(by_status.items()):
        found[str(status)] = {
            "description": "; ".join(KINDS[kind].title for kind in kinds),
            "headers": _RETRY if status in _LATER else {},
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {kind: {"value": _example(kind)} for kind in kinds},
                }
            },
        }
    return found


def _example(kind: str) -> Mapping[str, Any]:
    return document(Problem(kind, KINDS[kind].title + "."), _CORRELATION)


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
