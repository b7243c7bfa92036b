"""The README's examples work as they stand: publish an event, follow it, trace it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def example(root: Path, name: str) -> str:
    """The README's code block that starts with `# example: <name>`."""
    blocks = re.findall(
        r"```(?:python|sh)\n(# example: (\w+)\n.*?)```", (root / "README.md").read_text(), re.DOTALL
    )
    return {label: code for code, label in blocks}[name]


@pytest.fixture
def published(up: Any, project_root: Path) -> str:
    """Publishes with the README's code; the external id it printed."""
    done = subprocess.run(
        [sys.executable, "-c", example(project_root, "publish")],
        env={**os.environ, **up.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_f52_an_event_published_as_the_readme_says_is_booked_and_traced(
    up: Any, published: str, wait_for: Callable[..., None]
) -> None:
    def traced() -> bool:
        told = up.tally("trace", published)
        return told.returncode == 0 and "claimable" in told.stdout

    wait_for("the payment is traced to its claimable payout", traced)
    told = up.tally("trace", published).stdout
    assert "125.00 EUR" in told
    assert "Commission for October" in told


def follow(
    command: list[str], environment: dict[str, str], published: Callable[[str], bool]
) -> None:
    """Run a follower until a line satisfies the condition."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert any(published(line) for line in process.stdout)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_readmes_python_follows_payout_statuses(
    up: Any, published: str, project_root: Path
) -> None:
    follow(
        [sys.executable, "-c", example(project_root, "follow")],
        up.environment,
        lambda line: "claimable" in line and "EUR" in line and "payee" in line,
    )


def test_the_readmes_kcat_shows_payout_statuses(
    up: Any, published: str, project_root: Path, wait_for: Callable[..., None]
) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed: the README offers it beside Python")

    def shown() -> bool:
        done = subprocess.run(
            ["bash", "-c", example(project_root, "kcat")],
            env={**os.environ, **up.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return published in done.stdout

    wait_for("kcat shows the payout", shown)
