"""Rules every event and command keeps, read from the schemas that other parties read."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from tally_contracts.base import (
    Amount,
    AskedAmount,
    AssetAmount,
    MoneyEvent,
    PositiveAmount,
    Shape,
    UtcTime,
)
from tally_contracts.generate.asyncapi import envelope_schema
from tally_contracts.generate.schemas import all_schemas
from tally_contracts.registry import BY_TYPE, EVENTS

SCHEMAS = all_schemas()
# A dry run divides money that is made up or long since booked: nothing moves, so there is no why.
ABOUT_NO_MOVEMENT = {"funding.rule.dry_run.v1", "funding.rule.dry_ran.v1"}
TYPE_NAME = re.compile(r"[a-z]+\.[a-z_]+\.[a-z_]+\.v[1-9][0-9]*")
MONEY_SHAPES = {"Amount", "AskedAmount", "AssetAmount", "PositiveAmount"}


def _parts(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        yield path, part
        for key, inner in part.items():
            yield from _parts(inner, f"{path}.{key}")
    elif isinstance(part, list):
        for inner in part:
            yield from _parts(inner, f"{path}[]")


def _kinds(part: dict[str, Any]) -> set[str]:
    kinds = part.get("type", ())
    return {kinds} if isinstance(kinds, str) else {kind for kind in kinds if isinstance(kind, str)}


def test_types_are_registered_once_under_their_own_domain() -> None:
    assert len(BY_TYPE) == len(EVENTS)
    for event in EVENTS:
        assert TYPE_NAME.fullmatch(event.TYPE)
        module = f"tally_contracts.{event.TYPE.partition('.')[0]}"
        assert event.__module__ == module or event.__module__.startswith(f"{module}_")


def test_one_name_means_one_shape() -> None:
    """AsyncAPI components share a name space, and readers take one name for one meaning."""
    shapes: dict[str, list[Any]] = {}
    for schema in SCHEMAS.values():
        for name, shape in schema.get("$defs", {}).items():
            shapes.setdefault(name, []).append(shape)
    assert [name for name, found in shapes.items() if any(one != found[0] for one in found)] == []
    assert shapes.keys().isdisjoint(event.__name__ for event in EVENTS)


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_no_floating_point_number_anywhere(event_type: str) -> None:
    floats = [path for path, part in _parts(SCHEMAS[event_type]) if "number" in _kinds(part)]
    assert floats == []


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_every_number_is_bounded_to_what_every_json_reader_keeps_exact(event_type: str) -> None:
    for path, part in _parts(SCHEMAS[event_type]):
        if "integer" in _kinds(part):
            assert -(2**53) < part["minimum"] <= part["maximum"] < 2**53, path


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_every_text_is_bounded_by_length_or_pattern(event_type: str) -> None:
    for path, part in _parts(SCHEMAS[event_type]):
        if "string" in _kinds(part):
            assert {"maxLength", "pattern", "format"} & part.keys(), path


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_every_time_is_utc_with_z(event_type: str) -> None:
    for path, part in _parts(SCHEMAS[event_type]):
        if part.get("format") == "date-time":
            assert part.get("pattern") == "Z$", path


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_lists_of_values_that_may_grow_are_strings(event_type: str) -> None:
    closed = [path for path, part in _parts(SCHEMAS[event_type]) if {"enum", "const"} & part.keys()]
    assert closed == []


@pytest.mark.parametrize("event_type", SCHEMAS)
def test_objects_stay_open_for_fields_of_later_versions(event_type: str) -> None:
    for path, part in _parts(SCHEMAS[event_type]):
        if "properties" in part and "object" in _kinds(part):
            assert part.get("additionalProperties", True) is True, path


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.TYPE)
def test_event_about_money_names_the_five_ws(event: type[Any]) -> None:
    schema = SCHEMAS[event.TYPE]
    if event.TYPE in ABOUT_NO_MOVEMENT:
        assert not issubclass(event, MoneyEvent)
        return
    if not MONEY_SHAPES & schema.get("$defs", {}).keys() and not issubclass(event, MoneyEvent):
        return
    assert issubclass(event, MoneyEvent), "an event that carries an amount is a MoneyEvent"
    assert {"who", "where", "why", "occurred_at"} <= set(schema["required"])
    definitions = schema["$defs"]
    assert {"actor", "principal"} <= set(definitions["Who"]["required"])
    assert "channel" in definitions["Where"]["required"]
    assert {"program", "event", "reason"} <= set(definitions["Why"]["required"])


def test_money_events_are_known_by_their_amounts() -> None:
    """The guard above is worth nothing if the money shapes are renamed."""
    shapes = (Amount, AskedAmount, AssetAmount, PositiveAmount)
    assert {shape.__name__ for shape in shapes} == MONEY_SHAPES
    carrying = [t for t, schema in SCHEMAS.items() if MONEY_SHAPES & schema.get("$defs", {}).keys()]
    assert "ledger.journal.post.v1" in carrying
    assert len(carrying) > 10


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.TYPE)
def test_ids_are_type_ids_except_those_others_mint(event: type[Any]) -> None:
    for path, part in _parts(SCHEMAS[event.TYPE]):
        for name, field in part.get("properties", {}).items():
            if name.endswith("_id") and name != "external_id":
                patterns = {inner.get("pattern", "") for _, inner in _parts(field)}
                assert any("_[0-7]" in pattern for pattern in patterns), f"{path}.{name}"


def test_shapes_are_frozen_and_ignore_unknown_fields_on_read() -> None:
    pending: list[type[Shape]] = [Shape]
    while pending:
        shape = pending.pop()
        assert shape.model_config["frozen"] is True, shape
        assert shape.model_config["extra"] == "ignore", shape
        pending.extend(shape.__subclasses__())


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ({"currency": "USD", "amount": "-1.00"}, "amount_format"),
        ({"currency": "USD", "amount": "-0"}, "amount_format"),
        ({"currency": "USD", "amount": "+1"}, "amount_format"),
        ({"currency": "USD", "amount": "NaN"}, "amount_format"),
        ({"currency": "USD", "amount": "Infinity"}, "amount_format"),
        ({"currency": "USD", "amount": "1e400"}, "amount_format"),
        ({"currency": "USD", "amount": "1."}, "amount_format"),
        ({"currency": "USD", "amount": ".5"}, "amount_format"),
        ({"currency": "USD", "amount": "01"}, "amount_format"),
        ({"currency": "USD", "amount": " 1"}, "amount_format"),
        ({"currency": "USD", "amount": "\uff11"}, "amount_format"),
        ({"currency": "USD", "amount": 0.1}, "string_type"),
        ({"currency": "USD", "amount": 1}, "string_type"),
        ({"currency": "USD", "amount": True}, "string_type"),
        ({"currency": "JPY", "amount": "1.0"}, "too_many_decimals"),
        ({"currency": "KWD", "amount": "1.0000"}, "too_many_decimals"),
        ({"currency": "CLF", "amount": "1.00000"}, "too_many_decimals"),
        ({"currency": "USD", "amount": "1" + "0" * 36}, "amount_too_large"),
        ({"currency": "usd", "amount": "1"}, "string_pattern_mismatch"),
        ({"currency": "DEM", "amount": "1"}, "unknown_currency"),
        ({"currency": "XXX", "amount": "1"}, "unknown_currency"),
        ({"currency": "USD"}, "missing"),
        ("1.00 USD", "model_type"),
    ],
)
def test_bad_money_is_refused_with_a_code(amount: object, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Amount.model_validate_json(json.dumps(amount))
    assert code in {detail["type"] for detail in refused.value.errors()}


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00"])
def test_zero_is_refused_where_money_must_move(zero: str) -> None:
    assert not Amount(currency="USD", amount=zero).money()
    with pytest.raises(ValidationError) as refused:
        PositiveAmount(currency="USD", amount=zero)
    assert [detail["type"] for detail in refused.value.errors()] == ["amount_not_positive"]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-31T08:00:00", "2026-01-31T08:00:00+01:00", "2026-01-31T08:00:00+00:00",
        "2026-01-31T08:00:00z", "2026-02-31T08:00:00Z", "2026-01-31T23:59:60Z", "1767225600",
        1767225600, 1767225600.5, True, None, "", "Z",
    ],
)  # fmt: skip
def test_time_that_is_not_utc_text_is_refused(moment: object) -> None:
    class Happened(Shape):
        at: UtcTime

    with pytest.raises(ValidationError):
        Happened.model_validate_json(json.dumps({"at": moment}))
    read = Happened.model_validate_json('{"at": "2026-01-31T08:00:00Z"}')
    assert read.at == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert read.model_dump_json() == '{"at":"2026-01-31T08:00:00Z"}'
    assert get_args(UtcTime)[0] is not datetime, "a plain datetime would take a naive time"


@pytest.mark.parametrize("damage", [r"\u0000", r"\ud800", r"\n", r"\u007f", r"\u001b"])
def test_control_characters_and_half_characters_are_refused_in_text(damage: str) -> None:
    command = (
        '{"payout_id": "po_00000000000000000000000000", "reason": "a%sb", '
        '"who": {"actor": "a", "principal": "b"}, "occurred_at": "2026-01-31T08:00:00Z"}'
    )
    cancel = BY_TYPE["payouts.payout.cancel.v1"]
    assert cancel.model_validate_json(command % " ")
    with pytest.raises(ValidationError):
        cancel.model_validate_json(command % damage)


def test_documented_envelope_requires_times_with_z() -> None:
    assert envelope_schema()["properties"]["ce_time"]["pattern"] == "Z$"
