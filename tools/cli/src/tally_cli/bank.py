"""The bank simulator beside a demo or a sandbox: a process of its own, told apart by its ports."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_TIMEOUT_S = 30
_USER = "tallystick"
_PASSWORD_VARIABLE = "TALLY_BANK_SIMULATOR_PASSWORD"  # noqa: S105 - the name of one

SANDBOX_ORIGINATOR: Mapping[str, str] = {
    "TALLY_RAILS_ACH_IMMEDIATE_DESTINATION": "121042882",
    "TALLY_RAILS_ACH_IMMEDIATE_DESTINATION_NAME": "SIMULATED BANK",
    "TALLY_RAILS_ACH_IMMEDIATE_ORIGIN": "1234567890",
    "TALLY_RAILS_ACH_IMMEDIATE_ORIGIN_NAME": "TALLYSTICK SANDBOX",
    "TALLY_RAILS_ACH_ODFI": "12104288",
    "TALLY_RAILS_ACH_COMPANY_NAME": "TALLYSTICK",
    "TALLY_RAILS_ACH_COMPANY_IDENTIFICATION": "1234567890",
    "TALLY_RAILS_ACH_WINDOW_S": "1",
    "TALLY_RAILS_ACH_POLL_MS": "300",
}
"""Who the sandbox is to its simulated bank, and pauses short enough to watch."""


@dataclass(frozen=True, slots=True)
class BankAddress:
    """Where the simulator listens."""

    sftp_port: int
    admin_port: int
    fingerprint: str
    password: str

    @property
    def admin_url(self) -> str:
        """Base URL of the admin API."""
        return f"http://127.0.0.1:{self.admin_port}"

    def rails_environment(self) -> dict[str, str]:
        """The settings by which the rails service finds this bank."""
        return {
            "TALLY_RAILS_ACH_HOST": "127.0.0.1",
            "TALLY_RAILS_ACH_PORT": str(self.sftp_port),
            "TALLY_RAILS_ACH_USER": _USER,
            "TALLY_RAILS_ACH_PASSWORD": self.password,
            "TALLY_RAILS_ACH_HOST_KEY_FINGERPRINT": self.fingerprint,
            "TALLY_RAILS_ACH_SANDBOX_CLOCK_URL": f"{self.admin_url}/clock",
            **SANDBOX_ORIGINATOR,
        }


@contextmanager
def bank_simulator(folder: Path) -> Iterator[BankAddress]:
    """Start the simulator with its book in `folder`; it ends with the context, or with this process.

    Raises `OSError` with the simulator's own words if it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    with (folder / "simulator.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tally_bank_simulator.main"),
                *("--folder", str(folder), "--user", _USER),
                *("--password-env", _PASSWORD_VARIABLE),
                "--stop-at-end-of-input",
            ],
            stdin=subprocess.PIPE,
            env={**os.environ, _PASSWORD_VARIABLE: password},
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            assert process.stdout is not None, "stdout is a pipe"
            line = process.stdout.readline()
            if not line:
                raise OSError(_did_not_start(folder / "simulator.log"))
            ready = json.loads(line)
            yield BankAddress(
                ready["sftp_port"], ready["admin_port"], ready["host_key_fingerprint"], password
            )
        finally:
            process.terminate()
            process.wait(_START_TIMEOUT_S)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _did_not_start(log: Path) -> str:
    words = log.read_text(errors="replace").rstrip().splitlines()[-1:]
    return f"the bank simulator did not start: {''.join(words)} (more in {log})"
