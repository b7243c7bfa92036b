"""JSON Schemas of every event and command."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from tally_contracts.base import Event
from tally_contracts.registry import BY_TYPE

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMPONENT_REF = "#/components/schemas/{model}"


def schema_id(event_type: str) -> str:
    """The `ce_dataschema` of the type."""
    return f"urn:tallystick:schema:{event_type}"


def schema_of(event: type[Event]) -> Schema:
    """What a reader accepts of this type; unknown fields are ignored, so objects stay open."""
    return {"$schema": DIALECT, "$id": schema_id(event.TYPE), **event.model_json_schema()}


def all_schemas() -> Mapping[str, Schema]:
    """The schema of every registered type, by type."""
    return {event_type: schema_of(BY_TYPE[event_type]) for event_type in sorted(BY_TYPE)}


def components(events: list[type[Event]]) -> Mapping[str, Schema]:
    """These events and the shapes they share as AsyncAPI components, by class name."""
    _, document = models_json_schema(
        [(event, "validation") for event in events], ref_template=COMPONENT_REF
    )
    definitions: Mapping[str, Schema] = document["$defs"]
    return dict(sorted(definitions.items()))
