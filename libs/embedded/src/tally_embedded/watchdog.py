"""A small process that stops the servers when the process they belong to is killed."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tally_embedded import process as proc
from tally_embedded.process import ProcessIdentity

POLL_SECONDS = 0.2
STOP_SECONDS = 5.0


class Watchdog:
    """While entered, the servers in `var` do not outlive the owner, however it ends."""

    def __init__(self, var: Path, owner: ProcessIdentity, *, remove: bool) -> None:
        self._var = var
        self._owner = owner
        self._remove = remove
        self._process: psutil.Process | None = None

    def __enter__(self) -> Self:
        argv = [
            sys.executable,
            "-m",
            "tally_embedded.watchdog",
            str(self._var),
            str(self._owner.pid),
            str(self._owner.started),
            "remove" if self._remove else "keep",
        ]
        child = subprocess.Popen(
            argv,
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


def watch(var: Path, owner: ProcessIdentity, *, remove: bool) -> None:
    """Wait for the end of the parent, then stop what it left behind."""
    from tally_embedded.stack import open_stack  # noqa: PLC0415 - stack starts this module

    while os.getppid() == owner.pid and owner.is_alive():
        time.sleep(POLL_SECONDS)
    stack = open_stack(var, owner=owner)
    if remove:
        stack.reset()
        shutil.rmtree(var, ignore_errors=True)
    else:
        stack.release()


def main() -> None:
    """Entry point: var, pid and start of the owner, `remove` or `keep`."""
    logging.basicConfig(level=logging.ERROR)
    var, pid, started, fate = sys.argv[1:]
    watch(Path(var), ProcessIdentity(int(pid), float(started)), remove=fate == "remove")


if __name__ == "__main__":
    main()
