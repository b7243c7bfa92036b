"""What docker-compose.yml and make-env.sh promise; needs no container engine."""

import base64
import re
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tally_cli.bank import SANDBOX_ORIGINATOR
from tally_cli.platform import SERVICES
from tally_messaging.launch import service_package
from tally_postgres import login_role
from tally_runtime import load_settings

OPERATORS = ("migrate", "cli", "demo")
FOREIGN = ("postgres", "kafka")
OURS = (*SERVICES, "bank", *OPERATORS)
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
SECRET = re.compile(r"PASSWORD$|DSN$|SEALING_KEY$|SIGNING_KEY$|TOKEN_KEY$|INTERNAL_KEY$")
MakeEnv = Callable[[], subprocess.CompletedProcess[str]]


def environment(compose: Mapping[str, Any], name: str) -> dict[str, str]:
    found: dict[str, str] = compose["services"][name].get("environment", {})
    return found


def read_env(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def rendered(value: object, given: Mapping[str, str]) -> str:
    """A value with its variables filled in, as Compose does it."""

    def fill(found: re.Match[str]) -> str:
        default = found["rest"] if found["kind"] == "-" else None
        return given.get(found["name"]) or default or ""

    return VARIABLE.sub(fill, str(value))


def test_every_part_of_the_platform_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*OURS, *FOREIGN}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_its_own_role_and_nobody_elses(name: str, compose: dict[str, Any]) -> None:
    given = environment(compose, name)
    own = f"TALLY_{name.upper()}_POSTGRES_DSN"
    assert [key for key in given if "POSTGRES" in key] == [own]
    password = f"${{{name.upper()}_DB_PASSWORD:?"
    assert given[own].startswith(f"postgresql://{login_role(name)}:{password}")
    text = str(compose["services"][name])
    others = [other for other in SERVICES if other != name]
    assert not [other for other in others if f"{other.upper()}_DB_PASSWORD" in text]
    assert "ADMIN" not in text


MONEY_PATH = ("funding", "ledger", "payouts", "rails")


@pytest.mark.parametrize("name", SERVICES)
def test_of_a_full_machine_money_gets_the_larger_share(name: str, compose: dict[str, Any]) -> None:
    """Containers are weighed by shares (1024 if none are given), processes by niceness."""
    niceness = service_package(name).settings.model_fields["niceness"].default
    shares = compose["services"][name].get("cpu_shares", 1024)
    assert (niceness > 0) == (shares < 1024) == (name not in MONEY_PATH)


@pytest.mark.parametrize("name", ["bank", "kafka"])
def test_what_needs_no_database_knows_none(name: str, compose: dict[str, Any]) -> None:
    assert not re.search("postgres|DB_PASSWORD", str(environment(compose, name)), re.IGNORECASE)


@pytest.mark.parametrize("name", [*OURS, *FOREIGN])
def test_every_container_is_hardened_and_bounded(name: str, compose: dict[str, Any]) -> None:
    container = compose["services"][name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["mem_limit"]
    assert container["pids_limit"]
    assert container["restart"]
    assert container["logging"]["options"]["max-size"]
    assert any(mount.startswith("/tmp:") for mount in container["tmpfs"])
    forbidden = {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"}
    assert not forbidden & set(container)
    assert "docker.sock" not in str(container)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_image_runs_as_a_numbered_user_and_is_probed(
    name: str, compose: dict[str, Any]
) -> None:
    container = compose["services"][name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", container["user"])
    assert container["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", OURS)
def test_our_containers_keep_the_images_user_and_probe(name: str, compose: dict[str, Any]) -> None:
    assert not {"user", "healthcheck", "entrypoint"} & set(compose["services"][name])


@pytest.mark.parametrize("name", [*OURS, *FOREIGN])
def test_every_image_has_a_version(name: str, compose: dict[str, Any]) -> None:
    tag = compose["services"][name]["image"].partition(":")[2]
    assert tag not in {"", "latest"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_starts_after_broker_database_and_migrations(
    name: str, compose: dict[str, Any]
) -> None:
    waits = {k: v["condition"] for k, v in compose["services"][name]["depends_on"].items()}
    assert waits["migrate"] == "service_completed_successfully"
    assert waits["kafka"] == waits["postgres"] == "service_healthy"
    assert compose["services"][name]["command"] == [name]
    assert compose["services"][name]["build"]["args"] == {"SERVICE": name}


def test_only_broker_and_api_are_reachable_and_only_from_this_machine(
    compose: dict[str, Any],
) -> None:
    ports = {k: v["ports"] for k, v in compose["services"].items() if "ports" in v}
    assert ports == {
        "kafka": ["127.0.0.1:${KAFKA_PORT:-9092}:9092"],
        "gateway": ["127.0.0.1:${API_PORT:-8000}:8000"],
    }
    inside = {name for name, it in compose["networks"].items() if it.get("internal")}
    assert inside == {"core", "bank"}
    outside = {k for k, v in compose["services"].items() if set(v["networks"]) - inside}
    assert outside == {"kafka", "gateway"}


def test_no_secret_stands_in_the_file_or_has_a_default(compose: dict[str, Any]) -> None:
    found = 0
    for name in compose["services"]:
        for key, value in environment(compose, name).items():
            if SECRET.search(key):
                found += 1
                kinds = [m["kind"] for m in VARIABLE.finditer(value) if SECRET.search(m["name"])]
                assert kinds == ["?"], f"{name}: {key} must be ${{NAME:?remedy}}"
    assert found > len(SERVICES)


def test_the_broker_creates_no_topic_by_itself(compose: dict[str, Any]) -> None:
    given = environment(compose, "kafka")
    assert given["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert given["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"
    assert given["KAFKA_PROCESS_ROLES"] == "broker,controller"


def test_the_simulated_bank_knows_us_as_the_demo_does(compose: dict[str, Any]) -> None:
    given = environment(compose, "rails")
    assert {key: given.get(key) for key in SANDBOX_ORIGINATOR} == dict(SANDBOX_ORIGINATOR)


def test_the_script_writes_every_variable_the_file_requires(
    checkout: Path, make_env: MakeEnv
) -> None:
    done = make_env()
    assert done.returncode == 0, done.stderr
    text = (checkout / "docker-compose.yml").read_text()
    required = {m["name"] for m in VARIABLE.finditer(text) if m["kind"] == "?"}
    written = read_env(checkout / ".env")
    assert required <= set(written)
    assert all(written.values())


def test_secrets_are_private_random_and_never_the_same(checkout: Path, make_env: MakeEnv) -> None:
    env_file, folder = checkout / ".env", checkout / "deploy/docker/secrets"
    seen: list[str] = []
    for _ in range(2):
        assert make_env().returncode == 0
        assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        written = read_env(env_file)
        seen += [value for key, value in written.items() if SECRET.search(key)]
        for key in (
            "SEALING_KEY",
            "LEDGER_SIGNING_KEY",
            "DIRECTORY_SEALING_KEY",
            "CLAIM_SEALING_KEY",
            "DIRECTORY_TOKEN_KEY",
            "INTERNAL_KEY",
            "ACCESS_TOKEN_KEY",
        ):
            assert len(base64.b64decode(written[key], validate=True)) == 32
        env_file.unlink()
    assert len(seen) == 36
    assert len(set(seen)) == len(seen)
    assert all(len(value) >= 44 for value in seen)


def test_an_existing_installation_keeps_its_secrets(checkout: Path, make_env: MakeEnv) -> None:
    make_env()
    key = checkout / "deploy/docker/secrets/bank_host_key"
    before = [(checkout / ".env").read_bytes(), key.read_bytes()]
    again = make_env()
    assert again.returncode == 1
    assert "docker compose down --volumes" in again.stderr
    assert [(checkout / ".env").read_bytes(), key.read_bytes()] == before


def test_the_fingerprint_is_that_of_the_banks_key(checkout: Path, make_env: MakeEnv) -> None:
    make_env()
    key = checkout / "deploy/docker/secrets/bank_host_key"
    key.chmod(0o600)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", key], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert shown.split()[1] == read_env(checkout / ".env")["BANK_HOST_KEY_FINGERPRINT"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_accept_what_the_file_gives_them(
    name: str,
    compose: dict[str, Any],
    checkout: Path,
    make_env: MakeEnv,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_env()
    written = read_env(checkout / ".env")
    for key, value in environment(compose, name).items():
        monkeypatch.setenv(key, rendered(value, written))
    found = service_package(name)
    settings = load_settings(found.settings)
    assert settings.environment == ("test" if name == "rails" else "production")
    assert found.build_app(settings).name == name


@pytest.mark.parametrize("name", SERVICES)
def test_made_secrets_are_good_enough_for_production(
    name: str,
    compose: dict[str, Any],
    checkout: Path,
    make_env: MakeEnv,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_env()
    written = read_env(checkout / ".env")
    for key, value in environment(compose, name).items():
        monkeypatch.setenv(key, rendered(value, written))
    monkeypatch.setenv("TALLY_ENVIRONMENT", "production")
    assert load_settings(service_package(name).settings).environment == "production"


def test_secrets_cannot_be_committed_by_accident(project_root: Path) -> None:
    for path in (".env", "deploy/docker/secrets/bank_host_key"):
        ignored = subprocess.run(
            ["git", "check-ignore", "--quiet", "--no-index", path], cwd=project_root, check=False
        )
        assert ignored.returncode == 0, f"{path} is not ignored: add it to .gitignore"
