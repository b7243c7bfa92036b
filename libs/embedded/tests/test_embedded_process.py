import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tally_embedded.errors import PortInUseError, StackInUseError, StackLockTimeoutError
from tally_embedded.postgres import EmbeddedPostgres
from tally_embedded.process import (
    PORT_FIRST,
    PORT_LAST,
    ProcessIdentity,
    ProcessRecord,
    ensure_free,
    file_lock,
    is_running,
    remembered_ports,
    wait_gone,
)

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    with subprocess.Popen(SLEEPER) as process:
        yield psutil.Process(process.pid)
        process.kill()


def test_a_recorded_process_is_found_while_it_runs_and_not_after(
    sleeper: psutil.Process, tmp_path: Path
):
    ProcessRecord(ProcessIdentity.of(sleeper), SLEEPER, None).save(tmp_path / "process.json")
    record = ProcessRecord.load(tmp_path / "process.json")
    # Until it has become the program it was started for, it is not the one recorded.
    deadline = time.monotonic() + 10
    while (found := record.find()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found.pid == sleeper.pid
    sleeper.kill()
    assert wait_gone([found], 5)
    assert record.find() is None


def test_a_pid_reused_by_another_program_is_neither_found_nor_killed(
    sleeper: psutil.Process, tmp_path: Path
):
    server = EmbeddedPostgres(tmp_path / "postgres")
    (tmp_path / "postgres").mkdir()
    record_file = tmp_path / "postgres" / "process.json"
    identity = ProcessIdentity.of(sleeper)
    for identity_then, argv_then in (
        (identity, ("postgres", "-D", "/elsewhere")),
        (ProcessIdentity(identity.pid, identity.started - 100), SLEEPER),
    ):
        ProcessRecord(identity_then, argv_then, None).save(record_file)
        server.stop()
        assert not record_file.exists()
        assert is_running(psutil.Process(sleeper.pid))


def test_a_server_of_another_live_process_is_refused_and_left_alone(
    sleeper: psutil.Process, tmp_path: Path
):
    folder = tmp_path / "postgres"
    folder.mkdir()
    parent = ProcessIdentity.of(psutil.Process().parent())
    ProcessRecord(ProcessIdentity.of(sleeper), SLEEPER, parent).save(folder / "process.json")
    server = EmbeddedPostgres(folder, owner=ProcessIdentity.current())
    for act in (server.start, server.stop, server.reset):
        with pytest.raises(StackInUseError, match=str(parent.pid)):
            act()
    server.release()
    assert is_running(psutil.Process(sleeper.pid))
    assert folder.is_dir()


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"server": {"pid": 1}})])
def test_a_pid_file_cut_short_by_a_crash_counts_as_none(tmp_path: Path, text: str):
    (tmp_path / "process.json").write_text(text)
    assert ProcessRecord.load(tmp_path / "process.json") is None


def test_ports_are_chosen_once_below_the_range_of_outgoing_connections(tmp_path: Path):
    file = tmp_path / "ports.json"
    first = remembered_ports(file, ("broker", "controller"))
    assert len(set(first.values())) == 2
    assert all(PORT_FIRST <= port <= PORT_LAST for port in first.values())
    assert remembered_ports(file, ("broker", "controller")) == first


def test_a_taken_port_names_the_program_that_holds_it_and_the_file_to_delete(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            ensure_free("kafka", port, tmp_path / "ports.json")
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert f"pid {psutil.Process().pid}" in str(caught.value)
    assert str(tmp_path / "ports.json") in str(caught.value)
    ensure_free("kafka", port, tmp_path / "ports.json")


def test_the_lock_excludes_another_process_until_that_process_dies(tmp_path: Path):
    lock = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from tally_embedded.process import file_lock\n"
        "with file_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", script, str(lock)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StackLockTimeoutError, match=str(tmp_path)), file_lock(lock, 0.2):
            pytest.fail("two processes hold the lock")
        holder.kill()
        holder.wait()
        with file_lock(lock, 5):
            assert lock.exists()


def test_a_lock_file_deleted_by_a_reset_excludes_nobody_afterwards(tmp_path: Path):
    lock = tmp_path / "stack" / "lock"
    with file_lock(lock, 1):
        lock.unlink()
        with file_lock(lock, 1):
            assert lock.exists()
