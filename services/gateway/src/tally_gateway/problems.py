"""Problems as documents (RFC 9457), and what Pydantic says of a body as fields with remedies."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tally_gateway.errors import KINDS, FieldError, Problem

MEDIA_TYPE: Final = "application/problem+json"
_ERRORS_MAX: Final = 50
_DETAIL_CHARS: Final = 300

# Pydantic's own codes, where what to do can be said better than by its message.
_REMEDIES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("missing_field", "give the field"),
    "extra_forbidden": ("unknown_field", "leave the field out, or correct its name"),
    "string_pattern_mismatch": ("bad_format", "write it in the form the reference shows"),
    "string_too_long": ("too_long", "shorten it"),
    "string_too_short": ("too_short", "give more than this"),
    "too_long": ("too_long", "give fewer"),
    "too_short": ("too_short", "give more"),
    "string_type": ("wrong_type", "give a string"),
    "int_type": ("wrong_type", "give a whole number"),
    "bool_type": ("wrong_type", "give true or false"),
    "model_type": ("wrong_type", "give an object"),
    "model_attributes_type": ("wrong_type", "give an object"),
    "dict_type": ("wrong_type", "give an object"),
    "tuple_type": ("wrong_type", "give a list"),
    "amount_not_positive": ("amount_not_positive", "give an amount above zero"),
    "too_many_decimals": ("too_many_decimals", "give as many decimals as the currency has"),
    "unknown_currency": ("unknown_currency", "give an ISO 4217 code"),
    "bad_base64": ("bad_base64", "send the bytes in base64, whole and with its padding"),
    "time_not_utc": ("time_not_utc", "give a time in UTC that ends in Z"),
}


def document(problem: Problem, correlation_id: str) -> dict[str, Any]:
    """The body of a problem's answer."""
    kind = KINDS[problem.kind]
    body: dict[str, Any] = {
        "type": f"/v1/problems/{problem.shown_code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "code": problem.shown_code,
        "remedy": problem.remedy or kind.remedy,
        "correlation_id": correlation_id,
        **problem.extra,
    }
    field = problem.pointer or kind.field
    if field is not None:
        body["field"] = field
    if problem.errors:
        body["errors"] = [
            {
                "field": each.field,
                "code": each.code,
                "detail": each.detail,
                "remedy": each.remedy,
            }
            for each in problem.errors[:_ERRORS_MAX]
        ]
    return body


def field_errors(error: ValidationError, *, under: str = "") -> tuple[FieldError, ...]:
    """Each wrong field of a body, its place as a JSON pointer."""
    return tuple(
        _field_error(detail, under)
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    )


def unread(value: object, given: object, under: str = "") -> Iterator[FieldError]:
    """Each field that was sent within a body, and that nobody reads: it was meant to say something.

    Contracts ignore such fields, since facts of later versions have more; a request has none of those.
    """
    if isinstance(value, BaseModel) and isinstance(given, Mapping):
        names = {info.alias or name: name for name, info in type(value).model_fields.items()}
        for name, each in given.items():
            place = under + pointer((name,))
            if name in names:
                yield from unread(getattr(value, names[name]), each, place)
            else:
                code, remedy = _REMEDIES["extra_forbidden"]
                yield FieldError(place, code, "There is no such field here.", remedy)
    elif isinstance(value, tuple) and isinstance(given, list):
        for number, (one, each) in enumerate(zip(value, given, strict=False)):
            yield from unread(one, each, f"{under}/{number}")


def pointer(location: tuple[int | str, ...]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def _field_error(detail: ErrorDetails, under: str) -> FieldError:
    code, remedy = _REMEDIES.get(detail["type"], (detail["type"], "correct it"))
    return FieldError(
        field=under + pointer(detail["loc"]),
        code=code,
        detail=detail["msg"][:_DETAIL_CHARS],
        remedy=remedy,
    )
