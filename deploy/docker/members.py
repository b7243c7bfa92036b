#!/usr/bin/env python3
"""Print the workspace members one of them needs, itself last: what its image holds, and no more.

`python deploy/docker/members.py funding` reads the members' own pyproject.toml files; it runs in the
build stage, so it imports the standard library alone.
"""

import sys
import tomllib
from pathlib import Path

FOLDERS = ("contracts", "libs/*", "services/*", "tools/*")
PREFIX = "tally-"


def members(root: Path) -> dict[str, tuple[Path, list[str]]]:
    """Return each member's package name with its folder and the members it depends on."""
    found: dict[str, tuple[Path, list[str]]] = {}
    for pattern in FOLDERS:
        for file in sorted(root.glob(f"{pattern}/pyproject.toml")):
            project = tomllib.loads(file.read_text())["project"]
            needs = [name for name in project.get("dependencies", []) if name.startswith(PREFIX)]
            found[project["name"]] = (file.parent.relative_to(root), needs)
    return found


def needed_by(name: str, known: dict[str, tuple[Path, list[str]]]) -> list[Path]:
    """Return the folders of `name` and of all it depends on, directly or not, each once.

    Raises `KeyError` for a package that is no member.
    """
    order: dict[str, Path] = {}

    def visit(package: str) -> None:
        if package not in order:
            folder, needs = known[package]
            for need in needs:
                visit(need)
            order[package] = folder

    visit(name)
    return list(order.values())


def main(arguments: list[str]) -> int:
    """Print one folder a line; exit code 2 for anything but one known name."""
    known = members(Path(__file__).resolve().parents[2])
    package = PREFIX + arguments[0].replace("_", "-") if len(arguments) == 1 else ""
    if package not in known:
        names = ", ".join(name.removeprefix(PREFIX).replace("-", "_") for name in known)
        sys.stderr.write(f"give the SERVICE to build, one of: {names}\n")
        return 2
    for folder in needed_by(package, known):
        sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
