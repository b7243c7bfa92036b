"""The bank beside a sandbox: it ends with whoever started it, and says why it does not start."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tally_cli.bank import bank_simulator

_OWNER = """
import sys, time
from pathlib import Path
from tally_cli.bank import bank_simulator
with bank_simulator(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_bank_whose_owner_was_killed_leaves_its_folder_to_the_next(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path / "bank")], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    with (
        pytest.raises(OSError, match=r"did not start: folder_in_use: .* is held by another"),
        bank_simulator(tmp_path / "bank"),
    ):
        pass
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 30
    while True:
        try:
            with bank_simulator(tmp_path / "bank") as bank:
                assert bank.admin_port > 0
                return
        except OSError:
            assert time.monotonic() < deadline, "the bank outlives its owner"
            time.sleep(0.2)
