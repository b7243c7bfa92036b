"""The files under `generated/`: what they must hold, writing them, and finding drift."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tally_contracts.catalogue import Topic
from tally_contracts.generate.asyncapi import WHOLE_SYSTEM, parties, party_document, system_document
from tally_contracts.generate.schemas import all_schemas
from tally_contracts.generate.system_map import system_map


class _PlainDumper(yaml.CSafeDumper):
    """Writes equal parts out in full: readers of AsyncAPI do not all follow YAML aliases.

    By libyaml, which every wheel of PyYAML holds: in Python alone it takes ten times as long.
    """

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def json_text(value: object) -> str:
    """JSON as committed: two spaces, text as it is, a final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def yaml_text(value: object) -> str:
    """YAML as committed: keys in the order given, no aliases."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100)


def artefacts(
    topics: Sequence[Topic], examples: Mapping[str, Any], version: str
) -> Mapping[str, str]:
    """Every generated file: path below `generated/`, and text."""
    files = {
        f"schemas/{event_type}.json": json_text(schema)
        for event_type, schema in all_schemas().items()
    }
    for party in parties(topics):
        document = party_document(party, topics, examples, version)
        files[f"asyncapi/{party}.yaml"] = yaml_text(document)
    files[f"asyncapi/{WHOLE_SYSTEM}.yaml"] = yaml_text(system_document(topics, examples, version))
    files["system-map.md"] = system_map(topics)
    return files


def drift(folder: Path, files: Mapping[str, str]) -> list[str]:
    """One line for each file that is missing, differs, or should not be there."""
    found = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    lines = [f"{name}: missing" for name in files.keys() - found.keys()]
    lines += [f"{name}: nothing generates it" for name in found.keys() - files.keys()]
    lines += [
        f"{name}: differs from the models or the catalogue"
        for name in files.keys() & found.keys()
        if found[name].read_text(encoding="utf-8") != files[name]
    ]
    return sorted(lines)


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Make `folder` hold exactly these files."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
