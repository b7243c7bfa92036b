"""The images and the whole installation on a real container engine: `pytest -m containers`."""

import json
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tally_cli.platform import SERVICES

BASE_IMAGES = ("python:3.11-slim-bookworm", "postgres:18", "apache/kafka:4.3.1")
BUILD_S, UP_S, RECOVERY_S = 1800, 600, 60
EVENTS = 200

Docker = Callable[..., subprocess.CompletedProcess[str]]


def run(
    *arguments: object, timeout: float = 120, **more: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **more,
    )


def engine_missing() -> str | None:
    if shutil.which("docker") is None:
        return "no container engine: the program docker is not on PATH"
    for command in (("docker", "info"), ("docker", "compose", "version")):
        done = run(*command)
        if done.returncode != 0:
            return f"no container engine: `{' '.join(command)}` says {done.stderr.strip()[:200]}"
    for image in BASE_IMAGES:
        if run("docker", "image", "inspect", image).returncode == 0:
            continue
        done = run("docker", "pull", "--quiet", image, timeout=BUILD_S)
        if done.returncode != 0:
            return f"the image {image} cannot be had: {done.stderr.strip()[:200]}"
    return None


@pytest.fixture(scope="module")
def engine() -> None:
    reason = engine_missing()
    if reason is not None:
        pytest.skip(reason)


def copy_sources(root: Path, target: Path) -> None:
    """Copy what git knows or would add, so that the build sees what a clone would give it."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", cwd=root).stdout.splitlines()
    for name in listed:
        source = root / name
        if source.is_file() and name != ".env":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)


@pytest.fixture(scope="module")
def docker(
    engine: None, project_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Docker]:
    """`docker …` in a clone with an installation of its own, built, up, and removed at the end."""
    root = tmp_path_factory.mktemp("clone")
    copy_sources(project_root, root)
    made = run(root / "deploy/docker/make-env.sh")
    assert made.returncode == 0, made.stderr
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    env_file = root / ".env"
    env_file.write_text(env_file.read_text().replace("KAFKA_PORT=9092", f"KAFKA_PORT={port}"))
    project = f"tallystick-test-{secrets.token_hex(4)}"

    def docker(
        *arguments: object, timeout: float = 120, **more: object
    ) -> subprocess.CompletedProcess[str]:
        head = ["docker", "compose", "-p", project] if arguments[0] == "compose" else ["docker"]
        rest = arguments[1:] if arguments[0] == "compose" else arguments
        return run(*head, *rest, timeout=timeout, cwd=root, **more)

    try:
        built = docker("compose", "--profile", "tools", "build", timeout=BUILD_S)
        assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
        up = docker("compose", "up", "--wait", timeout=UP_S)
        assert up.returncode == 0, up.stderr[-4000:]
        yield docker
    finally:
        docker("compose", "--profile", "*", "down", "--volumes", timeout=UP_S)


def container(docker: Docker, service: str) -> dict[str, object]:
    name = docker("compose", "ps", "--all", "--quiet", service).stdout.strip()
    found: list[dict[str, object]] = json.loads(docker("inspect", name).stdout)
    return found[0]


def events(prefix: str, count: int) -> str:
    return "".join(
        json.dumps(
            {
                "external_id": f"{prefix}-{n}",
                "amount": {"currency": "EUR", "amount": f"{n + 1}.25"},
                "originator": {"reference": "customer-1", "country": "DE"},
                "company": "co_1",
                "beneficiary": {"party": f"pty_{n % 20}"},
                "value_date": "2026-01-02",
                "who": {"actor": "test", "principal": "co_1"},
                "where": {"channel": "invoice", "country": "DE"},
                "why": {"program": "affiliates", "event": "test", "reason": "Commission"},
                "occurred_at": "2026-01-02T03:04:05Z",
            }
        )
        + "\n"
        for n in range(count)
    )


def cli(docker: Docker, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return docker("compose", "run", "--rm", "-T", "cli", *arguments, input=text, timeout=180)


def still_to_do(docker: Docker) -> int:
    done = cli(docker, "lag", "--json")
    assert done.returncode == 0, done.stderr
    return sum(
        sum(one["behind"].values()) + one["outbox_records"] for one in json.loads(done.stdout)
    )


KILL = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) not in {1, os.getpid()}:
        with open(f"/proc/{pid}/cmdline", "rb") as line:
            if b"tally_messaging.launch" in line.read():
                os.kill(int(pid), signal.SIGKILL)
"""


pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(BUILD_S + UP_S)]


@pytest.mark.parametrize("name", [*SERVICES, "bank", "postgres", "kafka"])
def test_it_is_healthy_unprivileged_and_cannot_write_its_image(name: str, docker: Docker) -> None:
    state = container(docker, name)
    assert state["State"]["Health"]["Status"] == "healthy"  # type: ignore[index]
    assert state["HostConfig"]["ReadonlyRootfs"] is True  # type: ignore[index]
    shown = docker("compose", "exec", "-T", name, "sh", "-c", "id -u; touch /x; cat /proc/1/status")
    assert shown.stdout.split()[0] != "0"
    assert "Read-only file system" in shown.stderr
    assert re.search(r"CapEff:\s+0{16}\n", shown.stdout)
    assert re.search(r"NoNewPrivs:\s+1\n", shown.stdout)


@pytest.mark.parametrize("name", SERVICES)
def test_its_image_holds_one_service_and_asserts(name: str, docker: Docker) -> None:
    code = (
        "import pkgutil, sys; assert __debug__; "
        "print(*sorted(m.name for m in pkgutil.iter_modules() if m.name.startswith('tally_')))"
    )
    found = docker("compose", "exec", "-T", name, "python", "-c", code).stdout.split()
    assert f"tally_{name}" in found
    assert not [m for m in found if m.removeprefix("tally_") in set(SERVICES) - {name}]
    assert not {"tally_cli", "tally_testkit", "tally_embedded"} & set(found)


def test_an_image_without_settings_says_what_is_missing(docker: Docker) -> None:
    done = docker(
        "run", "--rm", "--read-only", "--network", "none", "tallystick/ledger:dev", "ledger"
    )
    assert done.returncode == 1
    assert "TALLY_LEDGER_POSTGRES_DSN: is required" in done.stderr


def test_a_service_cannot_reach_the_outside(docker: Docker) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=3)"
    done = docker("compose", "exec", "-T", "ledger", "python", "-c", code)
    # Older engines leave a route in an internal network and drop what takes it.
    assert "Network is unreachable" in done.stderr or "TimeoutError" in done.stderr
    for network in container(docker, "ledger")["NetworkSettings"]["Networks"]:
        (about,) = json.loads(docker("network", "inspect", network).stdout)
        assert about["Internal"], network


def test_a_service_killed_at_work_comes_back_and_nothing_is_lost(docker: Docker) -> None:
    first = cli(docker, "fund", "/dev/stdin", text=events("before", EVENTS))
    assert first.returncode == 0, first.stderr
    docker("compose", "exec", "-T", "ledger", "python", "-c", KILL)
    second = cli(docker, "fund", "/dev/stdin", text=events("after", EVENTS))
    assert second.returncode == 0, second.stderr
    deadline = time.monotonic() + RECOVERY_S
    while left := still_to_do(docker):
        assert time.monotonic() < deadline, f"{left} records still wait"
        time.sleep(1)
    assert container(docker, "ledger")["RestartCount"] == 1
    judged = cli(docker, "verify", "--wait", "60")
    assert judged.returncode == 0, judged.stdout
    assert f"{2 * EVENTS} allocated" in judged.stdout


def test_migrating_again_changes_nothing(docker: Docker) -> None:
    again = docker("compose", "run", "--rm", "-T", "migrate", timeout=180)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {"migrations": [], "topics": []}
