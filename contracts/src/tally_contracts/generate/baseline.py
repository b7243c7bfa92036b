"""The released baseline: schemas and topics that outside parties build on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tally_contracts.catalogue import Topic
from tally_contracts.generate.artefacts import json_text
from tally_contracts.generate.compatibility import Break, Direction, breaks
from tally_contracts.generate.schemas import all_schemas

_TOPICS = "topics.json"
_MOVE = "Restore it, and publish to a topic of the next major version instead."


def broken_promises(folder: Path, topics: Sequence[Topic]) -> list[Break]:
    """What the current contracts break of the baseline under `folder`."""
    return [
        *breaks(_released_schemas(folder), all_schemas()),
        *topic_breaks(_released_topics(folder), _topic_promises(topics)),
    ]


def release(folder: Path, topics: Sequence[Topic]) -> None:
    """Make the current contracts the baseline; the caller has made sure that no promise breaks."""
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for event_type, schema in all_schemas().items():
        (folder / "schemas" / f"{event_type}.json").write_text(json_text(schema), encoding="utf-8")
    (folder / _TOPICS).write_text(json_text(_topic_promises(topics)), encoding="utf-8")


def topic_breaks(
    released: Mapping[str, Mapping[str, Any]], current: Mapping[str, Mapping[str, Any]]
) -> list[Break]:
    """Topics that went, lost a type, or changed what the order of their records rests on."""
    found: list[Break] = []
    for name, old in sorted(released.items()):
        new = current.get(name)
        if new is None:
            found.append(Break(name, "(topic)", "no longer exists", Direction.BOTH, _MOVE))
            continue
        found.extend(
            Break(
                name,
                setting,
                f"changed from {old[setting]} to {new[setting]}: records of one key would no longer keep their order",
                Direction.BOTH,
                _MOVE,
            )
            for setting in ("key", "partitions")
            if old[setting] != new[setting]
        )
        found.extend(
            Break(name, event_type, "is no longer published here", Direction.FORWARD, _MOVE)
            for event_type in old["types"]
            if event_type not in new["types"]
        )
    return found


def _topic_promises(topics: Sequence[Topic]) -> dict[str, dict[str, Any]]:
    return {
        topic.name: {
            "key": topic.key,
            "partitions": topic.partitions,
            "types": list(topic.types),
        }
        for topic in topics
    }


def _released_schemas(folder: Path) -> Mapping[str, Any]:
    return {
        path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "schemas").glob("*.json"))
    }


def _released_topics(folder: Path) -> Mapping[str, Any]:
    path = folder / _TOPICS
    if not path.exists():
        return {}
    released: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return released
