"""Check migration files with squawk, under the conditions the runner gives them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tally_postgres.errors import PostgresError
from tally_postgres.migration_files import NO_TRANSACTION_MARK

EXCLUDED_RULES = (
    "prefer-bigint-over-int",  # counters with a small bound are int on purpose
    "prefer-bigint-over-smallint",
    "require-lock-timeout",  # the runner sets both time-outs for every file
    "require-statement-timeout",
)
_TIMEOUT_S = 60


class LinterMissing(PostgresError):  # noqa: N818 - named for what it says
    """squawk is not installed."""

    code = "linter_missing"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One remark: file, line counted from 1, squawk's rule and what it says."""

    path: Path
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def lint(paths: Iterable[Path]) -> list[LintFinding]:
    """Return squawk's findings for migration files, none if they are clean."""
    wrapped: list[Path] = []
    bare: list[Path] = []
    for path in paths:
        alone = path.read_text(encoding="utf-8").startswith(NO_TRANSACTION_MARK)
        (bare if alone else wrapped).append(path)
    return _squawk(wrapped, "--assume-in-transaction") + _squawk(bare, "--no-assume-in-transaction")


def _squawk(paths: list[Path], mode: str) -> list[LintFinding]:
    if not paths:
        return []
    beside = Path(sys.executable).with_name("squawk")
    program = str(beside) if beside.exists() else shutil.which("squawk")
    if program is None:
        raise LinterMissing("squawk is not installed: pip install squawk-cli")
    excluded = [f"--exclude={rule}" for rule in EXCLUDED_RULES]
    result = subprocess.run(
        [program, mode, "--reporter=json", *excluded, *map(str, paths)],
        capture_output=True,
        check=False,
        text=True,
        timeout=_TIMEOUT_S,
    )
    try:
        found = json.loads(result.stdout)
    except json.JSONDecodeError as error:
        raise PostgresError(f"squawk gave no findings to read: {result.stderr.strip()}") from error
    return [
        LintFinding(Path(item["file"]), item["line"] + 1, item["rule_name"], item["message"])
        for item in found
    ]
