"""What happened and when, a line of JSON each, in the manner of Jepsen: invoke, then ok, fail or info."""

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tally_runtime import Clock

Outcome = Literal["invoke", "ok", "fail", "info"]


class History:
    """Appends to one file. `info` is an operation whose outcome nobody can know."""

    def __init__(self, path: Path, clock: Clock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._clock = clock
        self._began = clock.monotonic()
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the history began."""
        return round((self._clock.monotonic() - self._began) * 1000)

    def add(self, process: str, outcome: Outcome, operation: str, **details: object) -> None:
        """Append one line and flush it, so that a run cut short has its history."""
        self.counts[outcome] += 1
        line = {
            "time_ms": self.elapsed_ms,
            "process": process,
            "type": outcome,
            "op": operation,
            **details,
        }
        self._file.write(json.dumps(line, default=str) + "\n")
        self._file.flush()
