"""Frozen examples: `examples/<type>/<name>.json`, at least two for each type.

`examples/frozen.sha256` lists the SHA-256 of each in the format of `sha256sum`. A listed example
never changes and never goes, since records like it may lie in a topic or a backup somewhere.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "frozen.sha256"
TYPICAL = "typical.json"


def example_files(folder: Path) -> Mapping[str, Path]:
    """Every example by its path below `folder`, `<type>/<name>.json`."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob("*/*.json"))}


def typical_examples(folder: Path) -> Mapping[str, Any]:
    """The payload of each type's typical example, by type."""
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in example_files(folder).values()
        if path.name == TYPICAL
    }


def frozen(folder: Path) -> Mapping[str, str]:
    """SHA-256 by example path, as the manifest says."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        return {}
    rows = [line.split("  ", 1) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return {path: digest for digest, path in rows}


def thawed(folder: Path) -> list[str]:
    """One line for each frozen example that has changed or gone."""
    now = _digests(folder)
    return [
        f"{path}: {'changed' if path in now else 'gone'} since it was frozen; restore it"
        for path, digest in frozen(folder).items()
        if now.get(path) != digest
    ]


def unfrozen(folder: Path) -> list[str]:
    """Paths of examples that the manifest does not list yet."""
    return sorted(_digests(folder).keys() - frozen(folder).keys())


def freeze(folder: Path) -> None:
    """List every example in the manifest; the caller has made sure that none is thawed."""
    assert not thawed(folder)
    rows = [f"{digest}  {path}\n" for path, digest in sorted(_digests(folder).items())]
    (folder / MANIFEST).write_text("".join(rows), encoding="utf-8")


def _digests(folder: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in example_files(folder).items()
    }
