"""Checks of our own that no linter has: sizes, names, left-overs, floats near money.

Run by `make check`; prints each fault with its place and the remedy, exits 1 if there is one.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES_MAX, TEST_LINES_MAX = 600, 800
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "misc"}
MONEY_PATHS = ("libs/money/", "contracts/src/", "services/")
LEFT_OVER = re.compile(r"\b(TODO|FIXME)\b|NotImplementedError|# type: ignore$|# noqa$")
NAIVE_TIME = re.compile(r"\bdatetime\.(now|utcnow)\(|\btime\.time\(|\bdate\.today\(")
CLOCKS = ("libs/runtime/", "tools/bank_simulator/")


def main() -> int:
    """Check every tracked and new Python file."""
    root = Path(__file__).resolve().parents[1]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", "*.py"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    faults = [
        fault
        for name in sorted(set(listed))
        if (root / name).exists()
        for fault in check(root, name)
    ]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def check(root: Path, name: str) -> Iterator[str]:
    """The faults of one file."""
    text = (root / name).read_text(encoding="utf-8")
    lines = text.splitlines()
    is_test = any(part in {"tests", "bench"} for part in Path(name).parts)
    limit = TEST_LINES_MAX if is_test else MODULE_LINES_MAX
    if len(lines) > limit:
        yield f"{name}: {len(lines)} lines, at most {limit}: make it a folder of the same name"
    for part in Path(name).with_suffix("").parts:
        if part in FORBIDDEN_NAMES:
            yield f"{name}: '{part}' says nothing: name the file after the question it answers"
    if is_test or name == "tools/tidy.py":
        return
    for number, line in enumerate(lines, start=1):
        if LEFT_OVER.search(line):
            yield f"{name}:{number}: a left-over: finish it or delete it"
        if NAIVE_TIME.search(line) and not name.startswith(CLOCKS):
            yield f"{name}:{number}: time comes from the Clock"
    if name.startswith(MONEY_PATHS):
        yield from floats(name, ast.parse(text))


def floats(name: str, tree: ast.AST) -> Iterator[str]:
    """Float annotations and calls where money is handled; seconds of waiting are named `..._s`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "float"
        ):
            yield f"{name}:{node.lineno}: float() near money: use integers of minor units or Decimal"
        if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Name):
            target = ast.unparse(node.target)
            if node.annotation.id == "float" and not target.rpartition(".")[2].endswith(
                ("_s", "_seconds")
            ):
                yield f"{name}:{node.lineno}: '{target}' is a float near money; seconds end in _s"


if __name__ == "__main__":
    sys.exit(main())
