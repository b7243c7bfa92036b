"""Frozen examples parse for ever, and model and generated schema give the same verdict on them."""

import copy
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from tally_contracts.base import AskedAmount
from tally_contracts.catalogue import MAX_RECORD_BYTES
from tally_contracts.generate import examples
from tally_contracts.generate.schemas import schema_of
from tally_contracts.registry import BY_TYPE

FOLDER = Path(__file__).parents[1] / "examples"
FILES = examples.example_files(FOLDER)
TYPICAL = examples.typical_examples(FOLDER)
PYDANTIC_ERRORS = frozenset(get_args(ErrorType))
# JSON Schema says of these no more than "a string of this format".
FORMAT_ERRORS = ("date_", "datetime_", "timezone_", "time_")
WRONG: tuple[object, ...] = (
    None, True, 0, 1, -1, 1.5, 2**53, "", " ", "1", "true", "x", "\x00", "é", "A" * 5000, "1e400",
    "NaN", "2026-02-31", "2026-01-01T00:00:00", "2026-01-01T00:00:00+01:00", [], [None], {}, {"x": 1},
)  # fmt: skip


def _read(name: str) -> str:
    return FILES[name].read_text(encoding="utf-8")


@cache
def _validator(event_type: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(BY_TYPE[event_type]))


def _schema_refuses(event_type: str, payload: object) -> bool:
    return not _validator(event_type).is_valid(payload)


def _model_errors(event_type: str, payload: object) -> list[str]:
    try:
        BY_TYPE[event_type].model_validate_json(json.dumps(payload))
    except ValidationError as error:
        return [detail["type"] for detail in error.errors()]
    return []


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths to every value in a payload, the first item standing for all of a list."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _places(part, (*path, key))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def _holder(payload: Any, path: tuple[str | int, ...]) -> Any:
    for step in path[:-1]:
        payload = payload[step]
    return payload


def _keeps(written: Any, given: Any) -> bool:
    """Whether everything given was written; defaults may have come on top."""
    if isinstance(given, dict):
        return all(key in written and _keeps(written[key], part) for key, part in given.items())
    if isinstance(given, list):
        return len(written) == len(given) and all(map(_keeps, written, given))
    return bool(written == given)


def test_every_type_has_at_least_two_examples_and_no_example_lacks_a_type() -> None:
    names = [path.parent.name for path in FILES.values()]
    assert set(names) == set(BY_TYPE)
    assert [event_type for event_type in BY_TYPE if names.count(event_type) < 2] == []
    assert set(TYPICAL) == set(BY_TYPE)


@pytest.mark.parametrize("name", FILES)
def test_example_reads_and_writes_without_loss(name: str) -> None:
    model = BY_TYPE[name.partition("/")[0]]
    event = model.model_validate_json(_read(name))
    written = event.model_dump_json()
    assert model.model_validate_json(written) == event
    assert model.model_validate_json(written).model_dump_json() == written
    assert _keeps(json.loads(written), json.loads(_read(name)))
    assert len(written.encode()) < MAX_RECORD_BYTES


@pytest.mark.parametrize("name", FILES)
def test_example_satisfies_the_generated_schema_as_given_and_as_written(name: str) -> None:
    event_type = name.partition("/")[0]
    validator = jsonschema.Draft202012Validator(
        schema_of(BY_TYPE[event_type]),
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )
    given = json.loads(_read(name))
    validator.validate(given)
    validator.validate(json.loads(BY_TYPE[event_type].model_validate(given).model_dump_json()))


@pytest.mark.parametrize("event_type", TYPICAL)
def test_unknown_fields_are_ignored_at_every_level(event_type: str) -> None:
    payload = copy.deepcopy(TYPICAL[event_type])
    for path in list(_places(payload)):
        inner = _holder(payload, (*path, ""))
        if isinstance(inner, dict) and path[-1] != "references":
            inner["a_field_of_a_later_version"] = {"nested": [1, "two"]}
    payload["a_field_of_a_later_version"] = 1.5
    model = BY_TYPE[event_type]
    assert model.model_validate(payload) == model.model_validate(TYPICAL[event_type])
    assert not _schema_refuses(event_type, payload)


@pytest.mark.parametrize("event_type", TYPICAL)
def test_model_and_schema_agree_on_every_field_left_out(event_type: str) -> None:
    for path in _places(TYPICAL[event_type]):
        payload = copy.deepcopy(TYPICAL[event_type])
        del _holder(payload, path)[path[-1]]
        errors = _model_errors(event_type, payload)
        refused = [error for error in errors if error in PYDANTIC_ERRORS]
        assert bool(refused) == _schema_refuses(event_type, payload), path


def _owner(event_type: str, path: tuple[str | int, ...]) -> tuple[object, str | int]:
    """Where the field at a path is declared: a base and what is nested serve many types."""
    held: Any = BY_TYPE[event_type].model_validate(TYPICAL[event_type])
    for step in path[:-1]:
        held = (
            getattr(held, step)
            if isinstance(step, str) and isinstance(held, BaseModel)
            else held[step]
        )
    if not isinstance(held, BaseModel):
        return (event_type, *path[:-1]), path[-1]
    declared = (
        model for model in type(held).__mro__ if path[-1] in vars(model).get("__annotations__", {})
    )
    return next(declared), path[-1]


@cache
def _own_places() -> dict[str, list[tuple[str | int, ...]]]:
    """Paths of each type, without those whose field another type has shown already."""
    shown: set[object] = set()
    own: dict[str, list[tuple[str | int, ...]]] = {}
    for event_type, payload in TYPICAL.items():
        of_type = {path: _owner(event_type, path) for path in _places(payload)}
        own[event_type] = [path for path, owner in of_type.items() if owner not in shown]
        shown |= set(of_type.values())
    return own


@pytest.mark.parametrize("event_type", TYPICAL)
def test_model_and_schema_agree_on_every_value_of_a_wrong_kind(event_type: str) -> None:
    for path in _own_places()[event_type]:
        for wrong in WRONG:
            payload = copy.deepcopy(TYPICAL[event_type])
            _holder(payload, path)[path[-1]] = wrong
            errors = _model_errors(event_type, payload)
            refused = _schema_refuses(event_type, payload)
            if refused and not _read_leniently(payload, path, wrong):
                assert errors, f"{path} = {wrong!r}: only the schema refuses"
            for error in errors:
                own = error not in PYDANTIC_ERRORS or error.startswith(FORMAT_ERRORS)
                assert own or refused, f"{path} = {wrong!r}: only the model refuses, with {error}"


def _read_leniently(payload: object, path: Sequence[str | int], wrong: object) -> bool:
    """Whether this is the text of an amount whose reader answers a wrong one itself."""
    if path[-1] != "amount" or not isinstance(wrong, str):
        return False
    try:
        AskedAmount.model_validate(_holder(payload, path))
    except ValidationError:
        return False
    return True


def test_no_frozen_example_has_changed_or_gone() -> None:
    assert examples.thawed(FOLDER) == []


def test_every_example_is_frozen() -> None:
    """Remedy: `python -m tally_contracts.generate --freeze`."""
    assert examples.unfrozen(FOLDER) == []


@pytest.fixture
def frozen_copy(tmp_path: Path) -> Path:
    folder = tmp_path / "examples"
    (folder / "a.b.c.v1").mkdir(parents=True)
    (folder / "a.b.c.v1" / "typical.json").write_text("{}")
    (folder / "a.b.c.v1" / "limits.json").write_text("{}")
    examples.freeze(folder)
    return folder


def test_changed_and_removed_examples_are_named(frozen_copy: Path) -> None:
    (frozen_copy / "a.b.c.v1" / "typical.json").write_text("{} ")
    (frozen_copy / "a.b.c.v1" / "limits.json").unlink()
    assert examples.thawed(frozen_copy) == [
        "a.b.c.v1/limits.json: gone since it was frozen; restore it",
        "a.b.c.v1/typical.json: changed since it was frozen; restore it",
    ]


def test_new_example_is_named_until_it_is_frozen(frozen_copy: Path) -> None:
    (frozen_copy / "a.b.c.v1" / "more.json").write_text("{}")
    assert examples.unfrozen(frozen_copy) == ["a.b.c.v1/more.json"]
    examples.freeze(frozen_copy)
    assert examples.unfrozen(frozen_copy) == examples.thawed(frozen_copy) == []
