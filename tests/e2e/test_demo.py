"""The demo ends green, small, and says what it did."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def test_x11_the_demo_books_every_event_once_and_proves_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tally_cli", "demo", "--events", "300", "--var", str(tmp_path)],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["verify"] == "green"
    assert report["booked"] == 300 + 12
    assert report["quarantined"] == 6
    assert report["suspense"] == 9 + 4
    assert report["duplicates"] == 15
    assert report["paid"] > 200
    assert report["returned"] > 0
    assert report["failed"] > 0
    assert report["story"]["failed"] is None
    assert report["story_steps"] == len(report["story"]["steps"]) == 10
    assert "alarm" in done.stderr
    for name in ("funding_events", "payouts", "seconds", "payments_per_s"):
        assert report[name] > 0, name
