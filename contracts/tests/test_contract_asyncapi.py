"""The AsyncAPI documents are valid AsyncAPI 3.0, whole, and say what the catalogue says."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tally_contracts.catalogue import catalogue

CONTRACTS = Path(__file__).parents[1]
FILES = sorted((CONTRACTS / "generated" / "asyncapi").glob("*.yaml"))
NAMES = [path.stem for path in FILES]
TOPICS = list(catalogue().values())


@cache
def _official() -> jsonschema.Draft7Validator:
    schema = (CONTRACTS / "tests" / "data" / "asyncapi-3.0.0.schema.json").read_text()
    return jsonschema.Draft7Validator(json.loads(schema))


@cache
def _document(name: str) -> Any:
    text = (CONTRACTS / "generated" / "asyncapi" / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def _target(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), f"{reference} leaves the document"
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_every_party_has_a_document_and_nobody_else_does() -> None:
    parties = {name for topic in TOPICS for name in (*topic.producers, *topic.consumers)}
    assert set(NAMES) == {*parties, "tallystick"}


@pytest.mark.parametrize("name", NAMES)
def test_document_satisfies_the_official_schema(name: str) -> None:
    _official().validate(_document(name))


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.pop("info"),
        lambda document: document.update(asyncapi="2.6.0"),
        lambda document: next(iter(document["channels"].values())).update(place="x"),
        lambda document: next(iter(document["operations"].values())).update(action="publish"),
    ],
)
def test_official_schema_refuses_a_damaged_document(damage: Any) -> None:
    document = copy.deepcopy(_document("ledger"))
    damage(document)
    assert not _official().is_valid(document)


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_resolves_inside_the_document(name: str) -> None:
    document = _document(name)
    references = list(_references(document))
    assert references
    for reference in references:
        assert _target(document, reference)


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_those_of_the_catalogue(name: str) -> None:
    document = _document(name)
    found = {
        (
            operation["tags"][0]["name"],
            operation["action"],
            _target(document, operation["channel"]["$ref"])["address"],
            tuple(message["$ref"].rpartition("/")[2] for message in operation["messages"]),
        )
        for operation in document["operations"].values()
    }
    declared = {
        (party, action, topic.name, topic.types)
        for topic in TOPICS
        for action, parties in (("send", topic.producers), ("receive", topic.consumers))
        for party in parties
        if name in (party, "tallystick")
    }
    assert found == declared


@pytest.mark.parametrize("name", NAMES)
def test_message_examples_satisfy_their_own_payload_schema(name: str) -> None:
    document = _document(name)
    for message in document["components"]["messages"].values():
        schema = {**document, "$ref": message["payload"]["$ref"]}
        for example in message["examples"]:
            jsonschema.Draft202012Validator(schema).validate(example["payload"])


def test_documents_hold_no_yaml_alias() -> None:
    assert [path.name for path in FILES if "&id0" in path.read_text(encoding="utf-8")] == []
