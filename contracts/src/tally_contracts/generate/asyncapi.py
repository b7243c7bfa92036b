"""AsyncAPI 3.0 documents: one for each service or outside party, and one for the whole system.

A party is whoever the catalogue names as a producer or consumer. Source of the format:
https://www.asyncapi.com/docs/reference/specification/v3.0.0 and the Kafka bindings 0.5.0.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tally_contracts.catalogue import RAILS, Topic
from tally_contracts.generate.schemas import components, schema_id
from tally_contracts.registry import BY_TYPE

Document = dict[str, Any]

WHOLE_SYSTEM = "tallystick"
_BINDING_VERSION = "0.5.0"
_ENVELOPE = "Envelope"
_OUTSIDE: Mapping[str, str] = {
    "upstream": "Systems that announce money coming in.",
    "downstream": "Applications that follow the status of payouts.",
    "cli": "The operator's command line.",
}
_PARAMETERS: Mapping[str, Document] = {
    "source": {"description": "An upstream source registered with the installation."},
    "rail": {"description": "A rail of the installation.", "enum": list(RAILS)},
}


def parties(topics: Iterable[Topic]) -> tuple[str, ...]:
    """Every producer and consumer, in order of name."""
    return tuple(
        sorted({name for topic in topics for name in (*topic.producers, *topic.consumers)})
    )


def party_document(
    party: str, topics: Sequence[Topic], examples: Mapping[str, Any], version: str
) -> Document:
    """What one party sends and receives."""
    used = [topic for topic in topics if party in topic.producers or party in topic.consumers]
    description = _OUTSIDE.get(party, f"What the {party} service sends and receives.")
    return _document(f"Tallystick {party}", party, description, [party], used, examples, version)


def system_document(topics: Sequence[Topic], examples: Mapping[str, Any], version: str) -> Document:
    """Every topic with every party's operations."""
    description = "Every topic, with who sends and who receives."
    return _document(
        "Tallystick", WHOLE_SYSTEM, description, parties(topics), topics, examples, version
    )


def _document(  # noqa: PLR0917 - the six parts of one document, called from two lines above
    title: str,
    name: str,
    description: str,
    speakers: Sequence[str],
    topics: Sequence[Topic],
    examples: Mapping[str, Any],
    version: str,
) -> Document:
    types = sorted({event_type for topic in topics for event_type in topic.types})
    keys = {event_type: topic.key for topic in topics for event_type in topic.types}
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:tallystick:service:{name}",
        "info": {
            "title": title,
            "version": version,
            "description": description,
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The brokers of the installation.",
                "variables": {"bootstrap": {"default": "localhost:9092"}},
            }
        },
        "channels": {_channel_id(topic): _channel(topic) for topic in topics},
        "operations": {
            f"{speaker}.{action}.{_channel_id(topic)}": _operation(speaker, action, topic)
            for speaker in speakers
            for topic in topics
            for action in _actions(speaker, topic)
        },
        "components": {
            "messages": {t: _message(t, keys[t], examples.get(t)) for t in types},
            "schemas": {
                _ENVELOPE: envelope_schema(),
                **components([BY_TYPE[event_type] for event_type in types]),
            },
        },
    }


def _channel_id(topic: Topic) -> str:
    return topic.name.replace("{", "").replace("}", "")


def _channel(topic: Topic) -> Document:
    reach = "Public" if topic.public else "Internal"
    settings: Document = {
        "max.message.bytes": int(topic.config()["max.message.bytes"]),
        "cleanup.policy": [topic.config()["cleanup.policy"]],
    }
    if "retention.ms" in topic.config():
        settings["retention.ms"] = int(topic.config()["retention.ms"])
    channel: Document = {
        "address": topic.name,
        "description": f"{reach}, owned by {topic.owner}, keyed by {topic.key}.",
        "messages": {t: {"$ref": f"#/components/messages/{t}"} for t in topic.types},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": settings,
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }
    if topic.placeholder is not None:
        channel["parameters"] = {topic.placeholder: dict(_PARAMETERS[topic.placeholder])}
    return channel


def _actions(speaker: str, topic: Topic) -> tuple[str, ...]:
    sends = ("send",) if speaker in topic.producers else ()
    receives = ("receive",) if speaker in topic.consumers else ()
    return (*sends, *receives)


def _operation(speaker: str, action: str, topic: Topic) -> Document:
    channel = f"#/channels/{_channel_id(topic)}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "tags": [{"name": speaker}],
        "messages": [{"$ref": f"{channel}/messages/{t}"} for t in topic.types],
    }


def _message(event_type: str, key: str, example: object) -> Document:
    event = BY_TYPE[event_type]
    summary = (event.__doc__ or "").partition("\n")[0]
    message: Document = {
        "name": event_type,
        "title": event.__name__,
        "summary": summary,
        "contentType": "application/json",
        "headers": {
            "allOf": [
                {"$ref": f"#/components/schemas/{_ENVELOPE}"},
                {
                    "type": "object",
                    "properties": {
                        "ce_type": {"const": event_type},
                        "ce_dataschema": {"const": schema_id(event_type)},
                    },
                },
            ]
        },
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": key},
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }
    if example is not None:
        message["examples"] = [{"name": "typical", "payload": example}]
    return message


def envelope_schema() -> Document:
    """The record headers: CloudEvents 1.0 in Kafka's binary mode, W3C Trace Context, and ours."""
    text = {"type": "string", "minLength": 1, "maxLength": 512}
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary mode; every value is UTF-8 text.",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
        "properties": {
            "content-type": {"type": "string", "default": "application/json"},
            "ce_specversion": {"const": "1.0"},
            "ce_id": {
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "description": "Stays the same when a record is published again.",
            },
            "ce_source": text,
            "ce_type": text,
            "ce_time": {"type": "string", "format": "date-time", "pattern": "Z$"},
            "ce_subject": text,
            "ce_dataschema": text,
            "traceparent": {"type": "string", "description": "W3C Trace Context."},
            "tally_correlation_id": {**text, "description": "One id for every hop of a payment."},
            "tally_causation_id": {**text, "description": "The ce_id this record follows from."},
            "tally_tenant": text,
            "tally_actor": text,
        },
    }
