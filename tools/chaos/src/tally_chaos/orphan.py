"""A process that must not outlive the one that started it, even if that one is killed."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

_POLL_S = 0.5
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Kill this process when its parent is gone. Call it first thing.

    Where the kernel offers it (Linux), it also ends a process that is stopped by SIGSTOP.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_follow, args=(parent,), daemon=True, name="follow-parent").start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)
