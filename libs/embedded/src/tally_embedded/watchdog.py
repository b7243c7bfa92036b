"""A small process that stops the servers when the process they belong to is killed."""

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tally_embedded import process as proc
from tally_embedded.process import ProcessIdentity

STOP_SECONDS = 5.0


class Watchdog:
    """While entered, the servers in `var` do not outlive the owner, however it ends.

    A process of its own, because the kernel's parent-death signal (Linux only) fires at the end of
    the thread that started the child, and callers start servers from pool threads.
    """

    def __init__(self, var: Path, owner: ProcessIdentity, *, remove: bool) -> None:
        self._var = var
        self._owner = owner
        self._remove = remove
        self._process: psutil.Process | None = None

    def __enter__(self) -> Self:
        sweep = [sys.executable, "-m", "tally_embedded.sweeper", str(self._var)]
        sweep += [str(self._owner.pid), str(self._owner.started)]
        sweep += ["remove" if self._remove else "keep"]
        waiter = Path(__file__).with_name("waiter.py")
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(waiter), str(self._owner.pid), *sweep],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        # Reaped by psutil below; Popen would warn when it is collected first.
        child.returncode = 0
        self._process = psutil.Process(child.pid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            proc.signal_all([self._process], signal.SIGKILL)
            proc.wait_gone([self._process], STOP_SECONDS)
