"""The container files as data, and an installation's secrets made by the script that makes them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture(scope="session")
def compose(project_root: Path) -> dict[str, Any]:
    """docker-compose.yml with its anchors resolved and its variables untouched."""
    parsed: dict[str, Any] = yaml.safe_load((project_root / "docker-compose.yml").read_text())
    return parsed


@pytest.fixture
def checkout(project_root: Path, tmp_path: Path) -> Path:
    """A folder of its own with the container files in their places."""
    root = tmp_path / "checkout"
    (root / "deploy/docker").mkdir(parents=True)
    shutil.copy(project_root / "docker-compose.yml", root)
    for file in (project_root / "deploy/docker").iterdir():
        if file.is_file():
            shutil.copy(file, root / "deploy/docker")
    return root


@pytest.fixture
def make_env(checkout: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Run make-env.sh in `checkout`."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("make-env.sh needs ssh-keygen (OpenSSH's client)")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [checkout / "deploy/docker/make-env.sh"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
