"""Which Python a figure was taken with, and how fast it runs: builds differ by up to twice.

A build without profile-guided optimisation is not told by its version, and distributions hide their
flags, so a loop is timed in the same run.
"""

import hashlib
import platform
import sysconfig
import time
from collections.abc import Callable, Mapping

_ROUNDS = 7
_LOOPS = 100_000
_HASHED = bytes(1 << 20)
_FLAGS = ("--enable-optimizations", "--with-lto", "-fprofile-use", "-flto")


def interpreter() -> Mapping[str, str]:
    """For the table of a benchmark: version, flags the build admits, and a calibration.

    `python_speed` is processor time of 1,000 turns of a loop of Python with a call in it, and beside
    it of hashing a megabyte in C: the first tells builds apart where the second is alike.
    """
    settings = " ".join(
        str(sysconfig.get_config_var(name))
        for name in ("CONFIG_ARGS", "PY_CFLAGS", "PY_CFLAGS_NODIST", "PY_CORE_LDFLAGS")
    )
    admitted = [flag for flag in _FLAGS if flag in settings]
    turns = _least(_python) / _LOOPS * 1000
    hashing = _least(lambda: hashlib.sha256(_HASHED).digest())
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_build": " ".join(admitted) or "no flags of optimisation admitted",
        "python_speed": f"1,000 turns {turns * 1e6:.0f} us, 1 MiB hashed {hashing * 1e6:.0f} us",
    }


def _least(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return min(taken)


def _python() -> int:
    seen: dict[int, int] = {}
    for turn in range(_LOOPS):
        seen[turn & 255] = _sum(seen.get(turn & 255, 0), turn)
    return len(seen)


def _sum(left: int, right: int) -> int:
    return left + right
