"""Each case really happens: killed parents, planted files, races, foreign data."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tally_embedded import ServerState, embedded_stack, open_stack, running_stack
from tally_embedded.errors import (
    DataDamagedError,
    DataVersionError,
    NotControllableError,
    PortInUseError,
    ServerStartError,
    StackConfigurationError,
)
from tally_embedded.kafka import EmbeddedKafka
from tally_embedded.postgres import EmbeddedPostgres
from tally_embedded.privileges import can_enter, postgres_home

pytestmark = pytest.mark.stack
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only a root caller changes the user")

HOLD_STACK = """
import sys, time
from pathlib import Path
from tally_embedded import StackError, running_stack
try:
    with running_stack(Path(sys.argv[1]), kafka="kafka" in sys.argv, durable=False,
                       ephemeral="ephemeral" in sys.argv) as stack:
        print(*[s.pid for s in stack.status().servers], stack.status().servers[0].data, flush=True)
        time.sleep(60)
except StackError as error:
    print(error.code, flush=True)
"""


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "var"
    yield folder
    embedded_stack(folder).reset()


@pytest.fixture
def postgres(var: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(var / "stack" / "postgres", durable=False)


@pytest.fixture
def kafka(var: Path) -> EmbeddedKafka:
    return EmbeddedKafka(var / "stack" / "kafka")


def _holder(*arguments: object) -> subprocess.Popen:
    argv = [sys.executable, "-c", HOLD_STACK, *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def _eventually(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_killing_the_owner_ends_both_servers_and_removes_temporary_data(tmp_path: Path):
    with _holder(tmp_path, "kafka", "ephemeral") as holder:
        first, second, data = holder.stdout.readline().split()
        pids = [int(first), int(second)]
        assert all(psutil.pid_exists(pid) for pid in pids)
        holder.kill()
        holder.wait()
        assert _eventually(lambda: not any(map(_executes, pids)), 10)
        assert _eventually(lambda: not Path(data).exists(), 5)


def _executes(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_two_processes_starting_one_folder_at_once_get_one_stack_and_one_clear_refusal(var: Path):
    with _holder(var) as one, _holder(var) as other:
        answers = sorted([one.stdout.readline(), other.stdout.readline()])
        one.kill()
        other.kill()
    assert answers[1] == "stack_in_use\n"
    server = int(answers[0].split()[0])
    assert _eventually(lambda: not _executes(server), 10)


def test_a_stack_left_in_the_background_is_used_and_stays(var: Path):
    background = embedded_stack(var, kafka=False, durable=False)
    background.start()
    record = json.loads((var / "stack" / "postgres" / "process.json").read_text())
    assert record["owner"] is None
    pid = background.postgres.status().pid
    with running_stack(var, kafka=False) as joined:
        assert joined.address.postgres_dsn == background.address.postgres_dsn
    assert background.postgres.status().pid == pid
    background.stop()
    assert background.postgres.status().state is ServerState.STOPPED


def test_a_failed_start_leaves_nothing_running(var: Path):
    kafka_data = var / "stack" / "kafka" / "data" / "a.v1-0"
    kafka_data.mkdir(parents=True)
    (kafka_data / "00000000000000000000.log").write_bytes(b"record")
    with pytest.raises(DataDamagedError), running_stack(var, durable=False):
        pytest.fail("the block was entered")
    assert embedded_stack(var).postgres.status().state is ServerState.STOPPED


def test_a_half_formatted_kafka_folder_without_records_is_formatted_again(kafka: EmbeddedKafka):
    (kafka.data / "__cluster_metadata-0").mkdir(parents=True)
    (kafka.data / "__cluster_metadata-0" / "00000000000000000000.log").touch()
    (kafka.data / "meta.properties").write_text("#\nversion=1\n")
    kafka.start()
    assert kafka.status().state is ServerState.RUNNING
    before = time.monotonic()
    kafka.stop()
    assert time.monotonic() - before < 10
    assert (kafka.data / ".kafka_cleanshutdown").exists()
    (kafka.data / "meta.properties").unlink()
    records = [path for path in kafka.data.glob("*/*.log") if path.stat().st_size]
    with pytest.raises(DataDamagedError, match=r"meta\.properties"):
        kafka.start()
    assert all(path.exists() for path in records)


def test_data_of_another_postgres_major_is_refused_untouched(postgres: EmbeddedPostgres):
    postgres.data.mkdir(parents=True)
    (postgres.data / "PG_VERSION").write_text("17\n")
    (postgres.folder / "password").write_text("secret")
    with pytest.raises(DataVersionError, match="made by Postgres 17"):
        postgres.start()
    assert (postgres.data / "PG_VERSION").read_text() == "17\n"


def test_a_folder_that_is_not_postgres_data_is_refused_untouched(postgres: EmbeddedPostgres):
    postgres.data.mkdir(parents=True)
    (postgres.data / "letter.txt").write_text("mine")
    with pytest.raises(DataDamagedError, match="not a Postgres data folder"):
        postgres.start()
    assert (postgres.data / "letter.txt").read_text() == "mine"


def test_an_initdb_cut_short_is_repeated(postgres: EmbeddedPostgres):
    partial = postgres.data.with_name("data.new")
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")
    postgres.start()
    assert postgres.status().state is ServerState.RUNNING
    assert not partial.exists()


def test_a_lost_password_with_data_says_which_file_to_put_back(postgres: EmbeddedPostgres):
    postgres.data.mkdir(parents=True)
    (postgres.data / "PG_VERSION").write_text("18\n")
    with pytest.raises(DataDamagedError, match="password"):
        postgres.start()


def test_a_taken_port_stops_the_start_and_deleting_the_file_mends_it(postgres: EmbeddedPostgres):
    port = postgres.ports["postgres"]
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortInUseError, match=f"127.0.0.1:{port}") as caught:
            postgres.start()
        ports_file = postgres.folder / "ports.json"
        assert str(ports_file) in str(caught.value)
        ports_file.unlink()
        postgres.start()
    assert postgres.ports["postgres"] != port
    with psycopg.connect(postgres.address) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("tallystick",)


def test_a_server_that_ends_while_starting_shows_the_end_of_its_log(postgres: EmbeddedPostgres):
    postgres.start()
    postgres.stop()
    (postgres.data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ServerStartError, match="no_such_setting"):
        postgres.start()
    assert postgres.status().state is ServerState.STOPPED


def test_a_server_killed_behind_our_back_is_reported_and_starts_again(postgres: EmbeddedPostgres):
    postgres.start()
    psutil.Process(postgres.status().pid).kill()
    assert _eventually(lambda: postgres.status().state is ServerState.STOPPED, 5)
    postgres.start()
    assert postgres.status().state is ServerState.RUNNING


@as_root
def test_root_runs_postgres_as_another_user_in_a_folder_that_user_can_reach(tmp_path: Path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    postgres = EmbeddedPostgres(private / "postgres", durable=False)
    postgres.start()
    status = postgres.status()
    assert psutil.Process(status.pid).uids().real != 0
    data = Path(status.data)
    assert not data.is_relative_to(private)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    postgres.reset()
    assert not data.parent.exists()
    assert not postgres.folder.exists()


@as_root
def test_binaries_below_a_folder_only_root_can_enter_are_copied_to_one_others_can(tmp_path: Path):
    tmp_path.chmod(0o700)
    installed = tmp_path / "pginstall"
    shutil.copytree(postgres_home().binaries.parent, installed)
    home = postgres_home(installed)
    assert not home.binaries.is_relative_to(tmp_path)
    assert can_enter(home.binaries, home.run_as)
    assert {path.name for path in home.binaries.iterdir()} >= {"initdb", "postgres", "pg_ctl"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TALLY_POSTGRES_DSN": "postgresql://x"}, "TALLY_KAFKA is not"),
        ({"TALLY_KAFKA": "x:1"}, "TALLY_POSTGRES_DSN is not"),
        ({"TALLY_STACK": "docker"}, "expected embedded or containers"),
    ],
)
def test_contradicting_variables_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
):
    for name in ("TALLY_POSTGRES_DSN", "TALLY_KAFKA", "TALLY_STACK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StackConfigurationError, match=expected):
        open_stack(tmp_path)


def test_an_external_server_that_does_not_answer_is_named_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TALLY_POSTGRES_DSN", "postgresql://u:p@127.0.0.1:9/d")
    monkeypatch.setenv("TALLY_KAFKA", "127.0.0.1:9")
    with pytest.raises(NotControllableError, match="TALLY_"), running_stack(tmp_path):
        pytest.fail("the block was entered")


def test_an_unwritable_place_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StackConfigurationError, match="Cannot make the folder"):
        embedded_stack(tmp_path / "file", kafka=False).start()
