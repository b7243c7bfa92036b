"""What the Dockerfile and the lock files promise; needs no container engine."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tally_cli.platform import SERVICES

IMAGES = (*SERVICES, "bank_simulator", "cli")
FINAL = ("service", "bank_simulator", "cli")
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


@pytest.fixture(scope="session")
def instructions(project_root: Path) -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined, comments gone."""
    text = (project_root / "deploy/docker/Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


@pytest.fixture(scope="session")
def stages(instructions: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Each stage's instructions, those of the stages it starts from first."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for instruction, rest in instructions:
        if instruction == "FROM":
            parent, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()  # type: ignore[union-attr]
            found[name] = [*found.get(parent, [])]
        else:
            found[name].append((instruction, rest))
    return found


def last(stage: list[tuple[str, str]], instruction: str) -> str:
    return [rest for name, rest in stage if name == instruction][-1]


def test_foreign_base_images_have_a_version(instructions: list[tuple[str, str]]) -> None:
    parents = [rest.split()[0] for name, rest in instructions if name == "FROM"]
    named = {rest.split()[2] for name, rest in instructions if name == "FROM"}
    foreign = set(parents) - named
    assert foreign == {"python:3.11-slim-bookworm"}


@pytest.mark.parametrize("target", FINAL)
def test_every_image_runs_as_a_numbered_user(
    target: str, stages: dict[str, list[tuple[str, str]]]
) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(stages[target], "USER"))


@pytest.mark.parametrize("target", FINAL)
def test_every_image_starts_without_a_shell(
    target: str, stages: dict[str, list[tuple[str, str]]]
) -> None:
    assert last(stages[target], "ENTRYPOINT").startswith('["')


@pytest.mark.parametrize("target", ["service", "bank_simulator"])
def test_a_server_is_probed_without_tools_an_image_lacks(
    target: str, stages: dict[str, list[tuple[str, str]]]
) -> None:
    probe = last(stages[target], "HEALTHCHECK")
    assert 'CMD ["python", "-c", ' in probe
    assert not re.search(r"curl|wget", probe)


def test_the_service_is_probed_for_liveness_where_it_listens(
    stages: dict[str, list[tuple[str, str]]],
) -> None:
    assert "'/live'" in last(stages["service"], "HEALTHCHECK")
    assert "TALLY_HEALTH_HOST=0.0.0.0" in last(stages["service"], "ENV")
    assert "TALLY_HEALTH_PORT=8080" in last(stages["service"], "ENV")


def test_assertions_are_never_optimised_away(project_root: Path) -> None:
    for path in ("deploy/docker/Dockerfile", "docker-compose.yml"):
        text = (project_root / path).read_text()
        assert not re.search(r"PYTHONOPTIMIZE|[\"'\s]-OO?[\"'\s]", text), path


def test_everything_from_outside_is_locked_by_hash(instructions: list[tuple[str, str]]) -> None:
    runs = [rest for name, rest in instructions if name == "RUN"]
    installs = [part for run in runs for part in run.split("&&") if re.search(r"\binstall\b", part)]
    pip = [part for part in installs if "pip" in part]
    assert len(pip) == 3
    for part in pip:
        locked = "--require-hashes" in part and "--only-binary :all:" in part
        assert locked or "--no-index" in part, part
    assert not re.search(r"apt-get|\bADD\b|https?://", " ".join(runs).replace("http.client", ""))
    assert [part for part in runs if "uv build" in part and "--offline" in part]


def needed_by(root: Path, name: str) -> list[str]:
    return subprocess.run(
        [sys.executable, root / "deploy/docker/members.py", name],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.split()


@pytest.mark.parametrize("name", [*SERVICES, "bank_simulator"])
def test_an_image_holds_no_other_service_and_no_test_tools(name: str, project_root: Path) -> None:
    folders = needed_by(project_root, name)
    own = f"tools/{name}" if name == "bank_simulator" else f"services/{name}"
    assert folders[-1] == own
    assert [f for f in folders if f.startswith(("services/", "tools/"))] == [own]
    assert not {"libs/testkit", "libs/embedded"} & set(folders)


def test_the_bank_shares_no_code_with_the_platform(project_root: Path) -> None:
    assert needed_by(project_root, "bank_simulator") == ["tools/bank_simulator"]


def test_a_name_that_is_no_member_is_refused_with_those_that_are(project_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, project_root / "deploy/docker/members.py", "nosuch"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "funding" in done.stderr


def lock_file(root: Path, name: str) -> Path:
    return root / f"requirements/{name}.txt"


def direct_dependencies(root: Path, folder: str) -> Iterator[str]:
    project = tomllib.loads((root / folder / "pyproject.toml").read_text())["project"]
    for line in project.get("dependencies", []):
        name = re.split(r"[\[<>=;~! ]", line, maxsplit=1)[0].lower()
        if not name.startswith("tally-"):
            yield name


@pytest.mark.parametrize("name", IMAGES)
def test_the_lock_of_an_image_has_all_that_its_members_declare(
    name: str, project_root: Path
) -> None:
    pinned = {found for found, _ in PIN.findall(lock_file(project_root, name).read_text())}
    declared = {
        dependency
        for folder in needed_by(project_root, name)
        for dependency in direct_dependencies(project_root, folder)
    }
    assert declared <= pinned, "a member's pyproject.toml changed after the lock: run `make lock`"


@pytest.mark.parametrize("name", IMAGES)
def test_images_use_the_versions_that_were_tested(name: str, project_root: Path) -> None:
    tested = dict(PIN.findall((project_root / "requirements/workspace.txt").read_text()))
    for package, version in PIN.findall(lock_file(project_root, name).read_text()):
        assert tested.get(package) == version, f"{package}: run `make lock`"


def test_the_build_sees_sources_alone(project_root: Path) -> None:
    rules = [
        line
        for line in (project_root / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "**"
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert not [rule for rule in allowed if re.search(r"\.env|secret|tests|\.git|^\*\*", rule)]
