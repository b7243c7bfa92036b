"""The whole platform as `tally up` runs it, and the command line beside it."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

START_S = 90


@dataclass(frozen=True)
class Up:
    """A platform that is up: its data folder and what it printed for another terminal."""

    var: Path
    environment: dict[str, str]

    def tally(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `tally` as an operator would."""
        return subprocess.run(
            [sys.executable, "-m", "tally_cli", *arguments],
            env={**os.environ, "TALLY_VAR": str(self.var), **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`tally up`, started once for all tests that only use the platform."""
    var = tmp_path_factory.mktemp("up")
    log = (var / "up.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "tally_cli", "up", "--var", str(var)],
        stdout=subprocess.PIPE,
        stderr=log,
    )
    try:
        yield Up(var, _exports(process, var / "up.log"))
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
        log.close()
        assert code == 0, (var / "up.log").read_text()[-3000:]


def _exports(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = {}
    for raw in process.stdout:
        line = raw.decode().strip()
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = shlex.split(value)[0]
        if "TALLY_BANK_ADMIN_URL" in found:
            return found
    raise AssertionError(f"tally up ended early:\n{log.read_text()[-3000:]}")


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Poll a condition that the platform must reach by itself."""

    def wait(what: str, condition: Callable[[], bool], timeout_s: float = 60) -> None:
        from time import monotonic, sleep

        end = monotonic() + timeout_s
        while not condition():
            assert monotonic() < end, f"not within {timeout_s} s: {what}"
            sleep(0.3)

    return wait
