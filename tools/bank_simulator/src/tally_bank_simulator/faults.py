"""Misbehaviour of the transport and of the process itself, posted to the admin API.

Faults live in memory: they are for one run and end with the process.
"""

import os
import signal
from enum import StrEnum
from threading import Lock
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tally_bank_simulator.rules import CERTAIN, falls

_MILLISECONDS_MAX = 600_000


class FaultKind(StrEnum):
    """What goes wrong."""

    DROP_BEFORE_RENAME = "drop_before_rename"
    DROP_AFTER_RENAME = "drop_after_rename"
    DROP_ON_WRITE = "drop_on_write"
    SLOW = "slow"
    REFUSE_LOGIN = "refuse_login"
    HANG_ON_READ = "hang_on_read"
    OUT_OF_SPACE = "out_of_space"
    CRASH = "crash"


class CrashPoint(StrEnum):
    """Where a crash fault kills the process (SIGKILL)."""

    RENAMED = "renamed"
    CLAIMED = "claimed"
    DECIDING = "deciding"
    DECIDED = "decided"
    ACK_WRITTEN = "ack_written"
    DAY_RUNNING = "day_running"
    DAY_CLOSED = "day_closed"
    RETURN_WRITTEN = "return_written"


class Fault(BaseModel):
    """One fault; `milliseconds` belongs to `slow`, `point` to `crash`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: FaultKind
    times: Annotated[int, Field(ge=1, strict=True)] | None = None
    chance_bp: Annotated[int, Field(ge=1, le=CERTAIN, strict=True)] = CERTAIN
    milliseconds: Annotated[int, Field(ge=1, le=_MILLISECONDS_MAX, strict=True)] | None = None
    point: CrashPoint | None = None

    @model_validator(mode="after")
    def _details_fit(self) -> Self:
        if (self.fault is FaultKind.SLOW) != (self.milliseconds is not None):
            raise ValueError("milliseconds: give it for slow and for nothing else")
        if (self.fault is FaultKind.CRASH) != (self.point is not None):
            raise ValueError("point: give it for crash and for nothing else")
        return self


class Faults:
    """The faults in force. Safe to ask from the event loop and from the bank's thread."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lock = Lock()
        self._next_id = 1
        self._asked = 0
        self._active: dict[int, tuple[Fault, int | None]] = {}

    def add(self, fault: Fault) -> int:
        """Put a fault in force; gives its number."""
        with self._lock:
            number = self._next_id
            self._next_id += 1
            self._active[number] = (fault, fault.times)
            return number

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._active.clear()

    def listed(self) -> list[dict[str, object]]:
        """The faults in force, with the uses left."""
        with self._lock:
            return [
                {"fault_id": number, "left": left, **fault.model_dump(mode="json")}
                for number, (fault, left) in self._active.items()
            ]

    def strike(self, kind: FaultKind, point: CrashPoint | None = None) -> Fault | None:
        """The fault of this kind that happens now, if any; counts as one use."""
        with self._lock:
            for number, (fault, left) in self._active.items():
                if fault.fault is not kind or fault.point is not point:
                    continue
                self._asked += 1
                if not falls(self._seed, f"fault|{number}|{self._asked}", fault.chance_bp):
                    continue
                if left == 1:
                    del self._active[number]
                elif left is not None:
                    self._active[number] = (fault, left - 1)
                return fault
        return None

    def crash_here(self, point: CrashPoint) -> None:
        """Kill this process at once if a crash fault names the point."""
        if self.strike(FaultKind.CRASH, point):
            os.kill(os.getpid(), signal.SIGKILL)
