"""A service started as its image starts it: a process of its own, told everything by variables."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tally_messaging.launch import UnknownService, service_package
from tally_postgres import Schema
from tally_testkit import ServiceDatabase, Topics
from tally_testkit.toy import SCHEMA

START_S = 60


@pytest.fixture
def toyshop(tmp_path: Path) -> dict[str, str]:
    """An environment in which a package `tally_toyshop` is a service, and nothing else is set."""
    package = tmp_path / "tally_toyshop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "app.py").write_text("from tally_testkit.toy import SCHEMA, build_app\n")
    (package / "settings.py").write_text(
        "from tally_testkit.toy import ToySettings\nclass ToyshopSettings(ToySettings):\n    pass\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    return {**kept, "PYTHONPATH": str(tmp_path)}


def launch(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tally_messaging.launch", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


@pytest.mark.parametrize(
    "name", ["nosuch", "messaging", "../ledger", "Ledger", "", "toyshop.app", "_"]
)
def test_what_is_no_service_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnknownService, match="is no service installed here") as caught:
        service_package(name)
    assert repr(name) in str(caught.value)


def test_an_unknown_service_ends_the_process_as_a_usage_error(toyshop: dict[str, str]) -> None:
    done = launch("nosuch", env=toyshop)
    assert done.returncode == 2
    assert done.stderr.startswith("error [unknown_service]: 'nosuch' is no service")


@pytest.mark.parametrize("arguments", [(), ("toyshop", "toyshop")])
def test_anything_but_one_argument_is_answered_by_the_usage(
    arguments: tuple[str, ...], toyshop: dict[str, str]
) -> None:
    done = launch(*arguments, env=toyshop)
    assert done.returncode == 2
    assert done.stderr == "usage: python -m tally_messaging.launch SERVICE\n"


def test_wrong_settings_end_the_process_with_every_variable_named(toyshop: dict[str, str]) -> None:
    done = launch("toyshop", env={**toyshop, "TALLY_POOL_SIZE": "0"})
    assert done.returncode == 1
    assert done.stderr.startswith("error [settings_invalid]: 3 settings are wrong")
    for variable in ("TALLY_TOY_POSTGRES_DSN", "TALLY_KAFKA", "TALLY_POOL_SIZE"):
        assert variable in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sample_secret_keeps_production_from_starting_and_is_not_shown(
    toyshop: dict[str, str],
) -> None:
    dsn = "postgresql://tally_toy:sample-password@127.0.0.1:1/none"
    done = launch(
        "toyshop", env={**toyshop, "TALLY_TOY_POSTGRES_DSN": dsn, "TALLY_KAFKA": "127.0.0.1:1"}
    )
    assert done.returncode == 1
    assert "TALLY_TOY_POSTGRES_DSN: must be a secret of your own in production" in done.stderr
    assert "sample-password" not in done.stderr


def test_a_module_missing_inside_a_service_is_no_unknown_service(
    tmp_path: Path, toyshop: dict[str, str]
) -> None:
    (tmp_path / "tally_toyshop" / "app.py").write_text("import tally_not_installed\n")
    done = launch("toyshop", env=toyshop)
    assert done.returncode == 1
    assert "No module named 'tally_not_installed'" in done.stderr


@pytest.mark.stack
async def test_it_runs_until_sigterm_and_answers_the_probes(
    fresh_database: Callable[[Schema], ServiceDatabase], topics: Topics, toyshop: dict[str, str]
) -> None:
    database = fresh_database(SCHEMA)
    await topics.create(topics.name("in"), topics.name("out"))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tally_messaging.launch", "toyshop"),
        env={
            **toyshop,
            "TALLY_TOY_POSTGRES_DSN": database.dsn("toy"),
            "TALLY_KAFKA": topics.kafka,
            "TALLY_TOY_INPUT": topics.name("in"),
            "TALLY_TOY_OUTPUT": topics.name("out"),
            "TALLY_HEALTH_PORT": str(port),
            "TALLY_NICENESS": "7",
        },
        stderr=subprocess.PIPE,
    )
    try:
        for path in ("/live", "/ready"):
            assert await asyncio.to_thread(wait_for, port, path) == 200
        assert psutil.Process(process.pid).nice() == min(19, os.nice(0) + 7)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_S):
            _, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log
    assert b'"event": "app_stopped"' in log


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port


def wait_for(port: int, path: str) -> int:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return int(answer.status)
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
