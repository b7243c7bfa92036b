"""Write or check the generated artefacts: `python -m tally_contracts.generate --help`."""

import argparse
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tally_contracts.catalogue import Topic, catalogue
from tally_contracts.generate import examples
from tally_contracts.generate.artefacts import artefacts, drift, write
from tally_contracts.generate.baseline import broken_promises, release

_SOURCE_TREE = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one action; 0 when it is done or all is well, 1 when something must be mended."""
    options = _parser().parse_args(arguments)
    root: Path = options.root
    if not (root / "pyproject.toml").is_file():
        _say([f"{root} is not the contracts folder of a source tree; name it with --root"])
        return 1
    topics = list(catalogue().values())
    if options.check:
        return _check(root, topics)
    if options.check_compat:
        return _check_compat(root, topics)
    if options.freeze:
        return _freeze(root)
    if options.release:
        return _release(root, topics)
    write(root / "generated", _artefacts(root, topics))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tally_contracts.generate",
        description="Without an option: write contracts/generated from the models and topics.",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=_SOURCE_TREE,
        help="the contracts folder (default: this tree's)",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="fail if generated files have drifted")
    action.add_argument(
        "--check-compat", action="store_true", help="fail if a released promise is broken"
    )
    action.add_argument(
        "--freeze", action="store_true", help="list new examples as never to change again"
    )
    action.add_argument(
        "--release", action="store_true", help="make the current contracts the released baseline"
    )
    return parser


def _artefacts(root: Path, topics: Sequence[Topic]) -> dict[str, str]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    typical = examples.typical_examples(root / "examples")
    return dict(artefacts(topics, typical, project["version"]))


def _check(root: Path, topics: Sequence[Topic]) -> int:
    drifted = drift(root / "generated", _artefacts(root, topics))
    if drifted:
        _say([*(f"generated/{line}" for line in drifted), "Run `make contracts` and commit."])
    return 1 if drifted else 0


def _check_compat(root: Path, topics: Sequence[Topic]) -> int:
    broken = broken_promises(root / "released", topics)
    _say(str(one) for one in broken)
    return 1 if broken else 0


def _freeze(root: Path) -> int:
    changed = examples.thawed(root / "examples")
    if changed:
        _say(f"examples/{line}" for line in changed)
        return 1
    examples.freeze(root / "examples")
    return 0


def _release(root: Path, topics: Sequence[Topic]) -> int:
    if _check_compat(root, topics):
        return 1
    release(root / "released", topics)
    return 0


def _say(lines: Iterable[str]) -> None:
    sys.stderr.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
