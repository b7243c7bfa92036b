"""The compatibility gate: within a major version old and new readers read old and new records.

A *backward* break makes the new reader refuse, or misread, records that were published before. A
*forward* break makes readers of the released version refuse, or misread, records published from
now on. Both are refused, so an existing field keeps exactly its meaning and its bounds; what stays
possible is a new optional field, a new type, and better words. Whatever the rules do not know and
finds changed is a break in both directions.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Schema = Mapping[str, Any]


class Direction(StrEnum):
    BACKWARD = "backward: new readers fail on records already published"
    FORWARD = "forward: released readers fail on new records"
    BOTH = "both directions"


@dataclass(frozen=True, slots=True)
class Break:
    """One change that a major version does not allow; `field` is a dotted path, `[]` an item."""

    event_type: str
    field: str
    why: str
    direction: Direction
    remedy: str

    def __str__(self) -> str:
        return f"{self.event_type}: {self.field}: {self.why} ({self.direction}). {self.remedy}"


_NEW_FIELD: Final = (
    "Restore it, and add an optional field beside it or publish the next major version."
)
_GROWING: Final = (
    "A list of values that grows is a string with documented values, and readers map an unknown "
    "one to `unknown`; restore the list or publish the next major version."
)
_RETIRE: Final = (
    "Register it again; once the catalogue names no consumer, take it out of the released "
    "baseline in a change of its own."
)

_WORDS: Final = frozenset(
    {"$comment", "$defs", "$id", "$schema", "deprecated", "description", "examples", "title"}
)
_LOWER_BOUNDS: Final = (
    "exclusiveMinimum", "minItems", "minLength", "minProperties", "minimum",
)  # fmt: skip
_UPPER_BOUNDS: Final = (
    "exclusiveMaximum", "maxItems", "maxLength", "maxProperties", "maximum",
)  # fmt: skip
_RESTRICTIONS: Final = ("additionalProperties", "format", "not", "pattern", "uniqueItems")
_HANDLED: Final = frozenset(
    {"anyOf", "const", "default", "enum", "items", "oneOf", "patternProperties", "properties",
     "required", "type", *_LOWER_BOUNDS, *_UPPER_BOUNDS, *_RESTRICTIONS}
)  # fmt: skip
_ABSENT: Final = object()


def breaks(released: Mapping[str, Schema], current: Mapping[str, Schema]) -> list[Break]:
    """What in the current schemas breaks a promise made by the released ones, by type."""
    found: list[Break] = []
    for event_type, old in sorted(released.items()):
        new = current.get(event_type)
        if new is None:
            found.append(
                Break(event_type, "(type)", "no longer exists", Direction.BACKWARD, _RETIRE)
            )
        else:
            found.extend(_Comparison(event_type, old, new).run())
    return found


class _Comparison:
    """One type's released schema against its current one."""

    def __init__(self, event_type: str, old: Schema, new: Schema) -> None:
        self._type = event_type
        self._old = old
        self._new = new
        self._open_refs: set[tuple[object, object]] = set()

    def run(self) -> Iterator[Break]:
        yield from self._value("", self._old, self._new)

    def _break(self, path: str, why: str, direction: Direction, remedy: str = _NEW_FIELD) -> Break:
        return Break(self._type, path or "(payload)", why, direction, remedy)

    def _value(self, path: str, old: Schema, new: Schema) -> Iterator[Break]:
        before, after = old.get("default", _ABSENT), new.get("default", _ABSENT)
        if before != after or type(before) is not type(after):
            why = f"default changed from {_shown(before)} to {_shown(after)}: leaving the field out would mean something else"
            yield self._break(path, why, Direction.BOTH)
        olds, news = _alternatives(self._old, old), _alternatives(self._new, new)
        for kind in sorted(olds.keys() - news.keys()):
            yield self._break(path, f"no longer takes {kind}", Direction.BACKWARD)
        for kind in sorted(news.keys() - olds.keys()):
            yield self._break(path, f"now also takes {kind}", Direction.FORWARD)
        for kind in sorted(olds.keys() & news.keys()):
            yield from self._same_kind(path, olds[kind], news[kind])

    def _same_kind(self, path: str, old: Schema, new: Schema) -> Iterator[Break]:
        refs = (old.get("$ref"), new.get("$ref"))
        if refs in self._open_refs:  # a shape that holds itself is being compared already
            return
        if refs != (None, None):
            self._open_refs.add(refs)
        yield from self._resolved(path, _resolved(self._old, old), _resolved(self._new, new))
        self._open_refs.discard(refs)

    def _resolved(self, path: str, old: Schema, new: Schema) -> Iterator[Break]:
        yield from self._fields(path, old, new)
        yield from self._values_of_enum(path, old, new)
        for bound in _LOWER_BOUNDS:
            yield from self._bound(path, bound, old, new, raising_narrows=True)
        for bound in _UPPER_BOUNDS:
            yield from self._bound(path, bound, old, new, raising_narrows=False)
        for keyword in _RESTRICTIONS:
            yield from self._restriction(path, keyword, old, new)
        if "items" in old and "items" in new:
            yield from self._value(f"{path}[]", old["items"], new["items"])
        elif "items" in old or "items" in new:
            yield self._break(path, "the schema of items came or went", Direction.BOTH)
        for keyword in sorted((old.keys() | new.keys()) - _HANDLED - _WORDS):
            if old.get(keyword) != new.get(keyword):
                yield self._break(path, f"{keyword} changed", Direction.BOTH)

    def _fields(self, path: str, old: Schema, new: Schema) -> Iterator[Break]:
        olds, news = old.get("properties", {}), new.get("properties", {})
        must_old, must_new = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(olds.keys() | news.keys()):
            field = f"{path}.{name}" if path else name
            if name not in news:
                yield self._break(field, "removed", Direction.FORWARD)
                continue
            if name in must_new - must_old:
                yield self._break(
                    field,
                    "became required" if name in olds else "added as required",
                    Direction.BACKWARD,
                    "Make it optional, or publish the next major version.",
                )
            if name in olds:
                if name in must_old - must_new:
                    yield self._break(field, "is no longer required", Direction.FORWARD)
                yield from self._value(field, olds[name], news[name])
        for pattern in sorted(
            old.get("patternProperties", {}).keys() | new.get("patternProperties", {}).keys()
        ):
            both = [side.get("patternProperties", {}).get(pattern) for side in (old, new)]
            if None in both:
                yield self._break(path, f"keys like {pattern} came or went", Direction.BOTH)
            else:
                yield from self._value(f"{path}.*", both[0], both[1])

    def _values_of_enum(self, path: str, old: Schema, new: Schema) -> Iterator[Break]:
        before, after = _enum(old), _enum(new)
        if before is None and after is None:
            return
        if before is None or after is None:
            direction = Direction.BACKWARD if before is None else Direction.FORWARD
            yield self._break(path, "a fixed list of values came or went", direction, _GROWING)
            return
        if gone := sorted(before - after):
            why = f"values {', '.join(gone)} were taken away"
            yield self._break(path, why, Direction.BACKWARD, _GROWING)
        if added := sorted(after - before):
            why = f"values {', '.join(added)} were added"
            yield self._break(path, why, Direction.FORWARD, _GROWING)

    def _bound(
        self, path: str, keyword: str, old: Schema, new: Schema, *, raising_narrows: bool
    ) -> Iterator[Break]:
        before, after = old.get(keyword, _ABSENT), new.get(keyword, _ABSENT)
        if before == after:
            return
        if before is _ABSENT or after is _ABSENT:
            narrows = before is _ABSENT
        else:
            narrows = (after > before) == raising_narrows
        direction = Direction.BACKWARD if narrows else Direction.FORWARD
        why = f"{keyword} changed from {_shown(before)} to {_shown(after)}"
        yield self._break(path, why, direction)

    def _restriction(self, path: str, keyword: str, old: Schema, new: Schema) -> Iterator[Break]:
        before, after = old.get(keyword, _ABSENT), new.get(keyword, _ABSENT)
        if before == after:
            return
        direction = Direction.BOTH
        if before is _ABSENT:
            direction = Direction.BACKWARD
        elif after is _ABSENT:
            direction = Direction.FORWARD
        why = f"{keyword} changed from {_shown(before)} to {_shown(after)}"
        yield self._break(path, why, direction)


def _resolved(root: Schema, schema: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target: Schema = root["$defs"][reference.removeprefix("#/$defs/")]
    return target


def _alternatives(root: Schema, schema: Schema) -> dict[str, Schema]:
    """The kinds of value a schema takes, each with its own part of the schema."""
    kinds: dict[str, Schema] = {}
    for part in schema.get("anyOf", schema.get("oneOf", (schema,))):
        types = _resolved(root, part).get("type", "any value")
        for kind in [types] if isinstance(types, str) else types:
            again = kind in kinds
            name = f"{kind} like {json.dumps(part, sort_keys=True)}" if again else kind
            kinds[name] = part
    return kinds


def _enum(schema: Schema) -> frozenset[str] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else frozenset(json.dumps(value) for value in values)


def _shown(value: object) -> str:
    return "none" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
