"""JSON as rules need it: no field twice, every fault with its place, one canonical form."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from tally_funding.errors import RuleFault, RuleInvalid

DOCUMENT_BYTES_MAX = 256 * 1024
_CODES = {"extra_forbidden": "unknown_field", "missing": "missing_field"}
_REMEDIES = {
    "extra_forbidden": "remove the field or correct its name",
    "missing": "add the field",
}


def read_json(data: bytes) -> Mapping[str, Any]:
    """The document's object; raises `RuleInvalid` for anything else, and for a field given twice."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise RuleInvalid([too_large(len(data))])
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise RuleInvalid([RuleFault("", "not_json", f"correct the JSON: {error}")]) from None
    if not isinstance(document, dict):
        raise RuleInvalid([RuleFault("", "bad_value", "give a JSON object")])
    return document


def too_large(size: int) -> RuleFault:
    return RuleFault(
        "", "too_large", f"the document has {size} bytes, at most {DOCUMENT_BYTES_MAX} are read"
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """JSON readers keep the last of two fields of one name; which was meant, only a person knows."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RuleInvalid(
            [RuleFault("", "repeated_field", f"field {twice!r} stands twice: keep one")]
        )
    return fields


def validation_faults(error: ValidationError) -> list[RuleFault]:
    """What a model found, as faults."""
    return [_fault(detail["loc"], detail["type"], detail["msg"]) for detail in error.errors()]


def _fault(location: Sequence[str | int], kind: str, message: str) -> RuleFault:
    return RuleFault(
        pointer(*location), _CODES.get(kind, "bad_value"), _REMEDIES.get(kind, message.lower())
    )


def pointer(*location: str | int) -> str:
    """RFC 6901; a fault in a dictionary's key is placed at that entry."""
    parts = [str(part) for part in location if part not in {"[key]", "constrained-str"}]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def canonical(document: Mapping[str, Any]) -> str:
    """The document by RFC 8785; it has no floats, and its keys are ASCII."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest_of(text: str) -> str:
    """SHA-256 of a canonical document, in hexadecimal: what owners sign."""
    return hashlib.sha256(text.encode()).hexdigest()
