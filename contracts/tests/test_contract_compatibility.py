"""The gate lets a contract grow and stops every change that would break a reader."""

import copy
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_contracts.generate.__main__ import main
from tally_contracts.generate.baseline import topic_breaks
from tally_contracts.generate.compatibility import Direction, breaks
from tally_contracts.generate.schemas import all_schemas

CONTRACTS = Path(__file__).parents[1]
SCHEMAS = all_schemas()
TYPE = "orders.order.placed.v1"
RELEASED: dict[str, Any] = {
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {
                "sku": {"type": "string", "pattern": "^[a-z]+$"},
                "count": {"type": "integer", "minimum": 1, "maximum": 99},
            },
            "required": ["sku", "count"],
        },
        "Tree": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 5},
                "parent": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
            },
        },
    },
    "type": "object",
    "properties": {
        "id": {"type": "string", "maxLength": 43},
        "note": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}], "default": None},
        "at": {"type": "string", "format": "date-time", "pattern": "Z$"},
        "side": {"type": "string", "enum": ["buy", "sell"]},
        "kind": {"const": "order"},
        "lines": {
            "type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 1, "maxItems": 9,
        },
        "first": {"$ref": "#/$defs/Line"},
        "tree": {"$ref": "#/$defs/Tree"},
        "labels": {"type": "object", "patternProperties": {"^[a-z]+$": {"type": "string"}}},
        "value": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["id", "lines"],
}  # fmt: skip

Change = Callable[[dict[str, Any]], object]


def _changed(change: Change) -> dict[str, Any]:
    schema = copy.deepcopy(RELEASED)
    change(schema)
    return schema


def _prop(schema: dict[str, Any], name: str) -> dict[str, Any]:
    field: dict[str, Any] = schema["properties"][name]
    return field


def _line(schema: dict[str, Any], name: str) -> dict[str, Any]:
    field: dict[str, Any] = schema["$defs"]["Line"]["properties"][name]
    return field


BACKWARD, FORWARD, BOTH = Direction.BACKWARD, Direction.FORWARD, Direction.BOTH
BREAKING: list[tuple[str, Change, str, Direction]] = [
    ("removed optional", lambda s: s["properties"].pop("note"), "note", FORWARD),
    ("removed required", lambda s: s["properties"].pop("id"), "id", FORWARD),
    ("newly required", lambda s: s["required"].append("at"), "at", BACKWARD),
    ("no longer required", lambda s: s["required"].remove("id"), "id", FORWARD),
    ("added as required",
     lambda s: (s["properties"].update(new={"type": "string"}), s["required"].append("new")),
     "new", BACKWARD),
    ("nested field removed",
     lambda s: s["$defs"]["Line"]["properties"].pop("sku"), "lines[].sku", FORWARD),
    ("nested newly required",
     lambda s: (s["$defs"]["Line"]["properties"].update(x={}),
                s["$defs"]["Line"]["required"].append("x")), "lines[].x", BACKWARD),
    ("narrower text", lambda s: _prop(s, "id").update(maxLength=42), "id", BACKWARD),
    ("wider text", lambda s: _prop(s, "id").update(maxLength=44), "id", FORWARD),
    ("new bound", lambda s: _prop(s, "id").update(minLength=1), "id", BACKWARD),
    ("dropped bound", lambda s: _prop(s, "id").pop("maxLength"), "id", FORWARD),
    ("bound from zero", lambda s: _line(s, "count").update(minimum=0), "lines[].count", FORWARD),
    ("narrower number", lambda s: _line(s, "count").update(maximum=98), "lines[].count", BACKWARD),
    ("wider number", lambda s: _line(s, "count").update(maximum=100), "lines[].count", FORWARD),
    ("fewer items", lambda s: _prop(s, "lines").update(maxItems=8), "lines", BACKWARD),
    ("emptier list", lambda s: _prop(s, "lines").update(minItems=0), "lines", FORWARD),
    ("unique items", lambda s: _prop(s, "lines").update(uniqueItems=True), "lines", BACKWARD),
    ("items of no schema", lambda s: _prop(s, "lines").pop("items"), "lines", BOTH),
    ("pattern changed",
     lambda s: _line(s, "sku").update(pattern="^[a-z0-9]+$"), "lines[].sku", BOTH),
    ("pattern dropped", lambda s: _line(s, "sku").pop("pattern"), "lines[].sku", FORWARD),
    ("pattern added", lambda s: _prop(s, "id").update(pattern="^x"), "id", BACKWARD),
    ("format dropped", lambda s: _prop(s, "at").pop("format"), "at", FORWARD),
    ("type changed", lambda s: _prop(s, "id").update(type="integer"), "id", BACKWARD),
    ("integer to number", lambda s: _line(s, "count").update(type="number"),
     "lines[].count", FORWARD),
    ("null refused", lambda s: _prop(s, "note")["anyOf"].pop(), "note", BACKWARD),
    ("null allowed",
     lambda s: s["properties"].update(first={"anyOf": [_prop(s, "first"), {"type": "null"}]}),
     "first", FORWARD),
    ("bound inside an optional",
     lambda s: _prop(s, "note")["anyOf"][0].update(minLength=2), "note", BACKWARD),
    ("one more kind", lambda s: _prop(s, "value")["anyOf"].append({"type": "boolean"}),
     "value", FORWARD),
    ("default changed", lambda s: _prop(s, "note").update(default="none"), "note", BOTH),
    ("default false instead of null", lambda s: _prop(s, "note").update(default=False),
     "note", BOTH),
    ("default dropped", lambda s: _prop(s, "note").pop("default"), "note", BOTH),
    ("enum grew", lambda s: _prop(s, "side")["enum"].append("swap"), "side", FORWARD),
    ("enum shrank", lambda s: _prop(s, "side")["enum"].pop(), "side", BACKWARD),
    ("enum freed", lambda s: _prop(s, "side").pop("enum"), "side", FORWARD),
    ("enum imposed", lambda s: _prop(s, "id").update(enum=["a"]), "id", BACKWARD),
    ("constant changed", lambda s: _prop(s, "kind").update(const="offer"), "kind", BACKWARD),
    ("closed object", lambda s: s.update(additionalProperties=False), "(payload)", BACKWARD),
    ("keys of a map",
     lambda s: _prop(s, "labels").update(patternProperties={"^[a-z0-9]+$": {"type": "string"}}),
     "labels", BOTH),
    ("values of a map",
     lambda s: _prop(s, "labels")["patternProperties"]["^[a-z]+$"].update(maxLength=3),
     "labels.*", BACKWARD),
    ("inside a shape that holds itself",
     lambda s: s["$defs"]["Tree"]["properties"]["name"].update(maxLength=4), "tree.name", BACKWARD),
    ("a keyword the rules do not know",
     lambda s: _prop(s, "id").update(contentEncoding="base64"), "id", BOTH),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field", "direction"),
    [case[1:] for case in BREAKING],
    ids=[case[0] for case in BREAKING],
)
def test_breaking_change_is_stopped(change: Change, field: str, direction: Direction) -> None:
    found = breaks({TYPE: RELEASED}, {TYPE: _changed(change)})
    assert (field, direction) in {(one.field, one.direction) for one in found}
    assert all(one.event_type == TYPE and one.why and one.remedy for one in found)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["properties"].update(new={"type": "string"}),
        lambda s: s["$defs"]["Line"]["properties"].update(new={"type": "integer"}),
        lambda s: s.update(title="Order", description="Better words."),
        lambda s: _prop(s, "id").update(description="Better words.", examples=["x"]),
        lambda s: s["required"].reverse(),
        lambda s: _prop(s, "side")["enum"].reverse(),
        lambda s: _prop(s, "note")["anyOf"].reverse(),
        lambda s: _prop(s, "kind").update(enum=[_prop(s, "kind").pop("const")]),
        lambda s: (s["$defs"].update(Row=s["$defs"].pop("Line")),
                   _prop(s, "lines").update(items={"$ref": "#/$defs/Row"}),
                   _prop(s, "first").update({"$ref": "#/$defs/Row"})),
        lambda s: _prop(s, "value").update(anyOf=[{"type": ["integer", "string"]}]),
    ],
    ids=["optional field", "nested optional field", "title", "field words", "order of required",
         "order of enum", "order of kinds", "const as enum", "shape renamed", "kinds as a list"],
)  # fmt: skip
def test_growth_and_better_words_pass(change: Change) -> None:
    assert breaks({TYPE: RELEASED}, {TYPE: _changed(change)}) == []


def test_message_names_type_field_reason_and_remedy() -> None:
    def grow(schema: dict[str, Any]) -> None:
        _prop(schema, "side")["enum"].append("swap")

    (one,) = breaks({TYPE: RELEASED}, {TYPE: _changed(grow)})
    assert str(one) == (
        'orders.order.placed.v1: side: values "swap" were added (forward: released readers fail on '
        "new records). A list of values that grows is a string with documented values, and readers "
        "map an unknown one to `unknown`; restore the list or publish the next major version."
    )


def test_new_type_passes_and_a_vanished_one_is_stopped() -> None:
    assert breaks({}, {TYPE: RELEASED}) == []
    (one,) = breaks({TYPE: RELEASED}, {})
    assert (one.event_type, one.field) == (TYPE, "(type)")


@given(st.sampled_from(sorted(SCHEMAS)), st.data())
def test_optional_field_anywhere_in_a_real_contract_passes(
    event_type: str, data: st.DataObject
) -> None:
    schema = SCHEMAS[event_type]
    grown = copy.deepcopy(schema)
    shapes = [grown, *grown.get("$defs", {}).values()]
    data.draw(st.sampled_from(shapes))["properties"]["a_new_field"] = {"type": "string"}
    assert breaks({event_type: schema}, {event_type: grown}) == []


@given(st.sampled_from(sorted(SCHEMAS)), st.data())
def test_field_removed_anywhere_from_a_real_contract_is_stopped(
    event_type: str, data: st.DataObject
) -> None:
    schema = SCHEMAS[event_type]
    shrunk = copy.deepcopy(schema)
    shapes = [shrunk, *shrunk.get("$defs", {}).values()]
    fields = data.draw(st.sampled_from(shapes))["properties"]
    name = data.draw(st.sampled_from(sorted(fields)))
    del fields[name]
    found = breaks({event_type: schema}, {event_type: shrunk})
    assert {one.field.rpartition(".")[2] for one in found} == {name}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 2}),
        ({"type": "integer", "maximum": 9}, {"type": "integer", "maximum": 8}),
        ({"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 8}),
        ({"type": "string", "minLength": 1}, {"type": "string", "minLength": 2}),
        ({"type": "string"}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "string"}, {"type": "string", "pattern": "^ab?$"}),
        ({"type": ["string", "null"]}, {"type": "string"}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "integer"}),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 3},
         {"type": "array", "items": {"type": "integer"}, "maxItems": 2}),
    ],
)  # fmt: skip
def test_direction_of_a_break_is_what_jsonsubschema_proves(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its sources hold invalid escapes
        from jsonsubschema import isSubschema

        narrowed = isSubschema(new, old) and not isSubschema(old, new)
    assert narrowed
    assert {one.direction for one in breaks({TYPE: old}, {TYPE: new})} == {BACKWARD}
    assert {one.direction for one in breaks({TYPE: new}, {TYPE: old})} == {FORWARD}


TOPIC = {"key": "order_id", "partitions": 6, "types": [TYPE]}


@pytest.mark.parametrize(
    ("current", "field"),
    [
        ({}, "(topic)"),
        ({"orders.v1": {**TOPIC, "key": "customer_id"}}, "key"),
        ({"orders.v1": {**TOPIC, "partitions": 12}}, "partitions"),
        ({"orders.v1": {**TOPIC, "types": ["orders.order.shipped.v1"]}}, TYPE),
    ],
)
def test_topic_that_loses_its_order_or_its_types_is_stopped(
    current: dict[str, Any], field: str
) -> None:
    assert [one.field for one in topic_breaks({"orders.v1": TOPIC}, current)] == [field]


def test_topic_may_gain_types_and_topics_may_be_added() -> None:
    more = {"orders.v1": {**TOPIC, "types": [TYPE, "orders.order.shipped.v1"]}, "other.v1": TOPIC}
    assert topic_breaks({"orders.v1": TOPIC}, more) == []


def test_current_contracts_keep_every_released_promise(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--check-compat"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_every_released_type_has_its_schema_in_the_baseline() -> None:
    released = {path.stem for path in (CONTRACTS / "released" / "schemas").glob("*.json")}
    assert "funding.inbound.received.v1" in released
    assert "payouts.status.changed.v1" in released


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(CONTRACTS / "released", tmp_path / "released")
    shutil.copy(CONTRACTS / "pyproject.toml", tmp_path)
    return tmp_path


def test_broken_promise_fails_the_check_and_blocks_a_release(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tree / "released" / "schemas" / "payouts.status.changed.v1.json"
    released = json.loads(path.read_text(encoding="utf-8"))
    released["properties"]["iban"] = {"type": "string"}
    path.write_text(json.dumps(released), encoding="utf-8")
    assert main(["--root", str(tree), "--check-compat"]) == 1
    assert "payouts.status.changed.v1: iban: removed" in capsys.readouterr().err
    assert main(["--root", str(tree), "--release"]) == 1
    assert json.loads(path.read_text(encoding="utf-8")) == released


def test_release_makes_the_current_contracts_the_baseline(tree: Path) -> None:
    shutil.rmtree(tree / "released")
    assert main(["--root", str(tree), "--release"]) == 0
    assert main(["--root", str(tree), "--check-compat"]) == 0
    released = {path.stem for path in (tree / "released" / "schemas").glob("*.json")}
    assert released == set(SCHEMAS)
