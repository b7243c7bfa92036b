"""Operating-system side of a server: the process record, the file lock, ports and signals."""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TextIO

import psutil

from tally_embedded.errors import (
    PortInUseError,
    ServerStartError,
    ServerStopError,
    StackLockTimeoutError,
)

POLL_SECONDS = 0.05
PORT_SECONDS = 3.0
LOCK_SECONDS = 120.0
LOG_BYTES_MAX = 10 * 1024 * 1024
LOG_TAIL_BYTES = 3000
START_TOLERANCE_SECONDS = 2.0
# Below every system's range for outgoing connections: a client that keeps dialling a dead server
# inside that range may connect to itself and so take the server's port away.
PORT_FIRST = 20000
PORT_LAST = 29999
PORT_ATTEMPTS = 200


@dataclass(frozen=True)
class ProcessIdentity:
    """A process named so that a recycled pid is not mistaken for it; started is in seconds."""

    pid: int
    started: float

    @classmethod
    def current(cls) -> Self:
        return cls.of(psutil.Process())

    @classmethod
    def of(cls, process: psutil.Process) -> Self:
        return cls(process.pid, _started(process))

    def is_alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            same = abs(_started(process) - self.started) < START_TOLERANCE_SECONDS
            return same and is_running(process)
        except psutil.Error:
            return False


@dataclass(frozen=True)
class ProcessRecord:
    """What the pid file says: the server, its command line, and who must outlive it (if anyone)."""

    server: ProcessIdentity
    argv: tuple[str, ...]
    owner: ProcessIdentity | None

    def save(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read a pid file; None when there is none or it was cut short by a crash."""
        try:
            raw = json.loads(path.read_text())
            owner = raw["owner"]
            return cls(
                ProcessIdentity(**raw["server"]),
                tuple(raw["argv"]),
                None if owner is None else ProcessIdentity(**owner),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def find(self) -> psutil.Process | None:
        """Return the live server, or None when it is gone or its pid now names another program."""
        try:
            process = psutil.Process(self.server.pid)
            if not self.server.is_alive() or tuple(process.cmdline()) != self.argv:
                return None
        except psutil.Error:
            return None
        return process


def _started(process: psutil.Process) -> float:
    """Return when the process started: seconds after boot where the system tells, else epoch.

    An epoch figure moves when the clock is set (a resumed virtual machine); ticks after boot do
    not.
    """
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return process.create_time()


def is_running(process: psutil.Process) -> bool:
    """Say whether the process still executes; a zombie does not, and is reaped if it is ours.

    A killed program is a zombie as soon as its first thread ended; its ports are held until the
    last one has.
    """
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.is_running()
        if process.num_threads() > 1:
            return True
        process.wait(timeout=0)
    except psutil.Error:
        return False
    return False


def wait_gone(processes: Sequence[psutil.Process], seconds: float) -> bool:
    """Wait until none of the processes executes any more; False when time ran out."""
    deadline = time.monotonic() + seconds
    while any(is_running(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return the process and all its descendants, parent first."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return [process]


def signal_all(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill_family(name: str, process: psutil.Process, seconds: float) -> None:
    """SIGKILL the server and its children and wait for their end.

    Raises:
        ServerStopError: one of them is still there after that time.
    """
    members = family(process)
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    if not wait_gone(members, seconds):
        raise ServerStopError(
            f"{name} (pid {process.pid}) did not end within {seconds:.0f} s after SIGKILL; "
            "it is probably waiting for a disk: check the disk, then repeat the stop."
        )


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    run_as: tuple[int, int] | None = None,
) -> psutil.Process:
    """Start a program in its own session with stdout and stderr in the log file.

    The caller follows it by psutil, which also reaps it; run_as is (uid, gid).
    """
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.unlink()
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            user=None if run_as is None else run_as[0],
            group=None if run_as is None else run_as[1],
            extra_groups=None if run_as is None else [],
            start_new_session=True,
        )
    # Popen would warn about a server left running on purpose.
    child.returncode = 0
    return psutil.Process(child.pid)


@contextlib.contextmanager
def file_lock(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold an exclusive lock on the file; it ends with the process, however that ends.

    Raises:
        StackLockTimeoutError: another process kept it that long.
    """
    deadline = time.monotonic() + seconds
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            if _try_lock(handle, path):
                yield
                return
        if time.monotonic() > deadline:
            raise StackLockTimeoutError(
                f"Another process has been starting or stopping the server in {path.parent} for "
                f"{seconds:.0f} s; wait for it or end it, then repeat."
            )
        time.sleep(POLL_SECONDS)


def _try_lock(handle: TextIO, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A reset deletes the file with its folder; a lock on the deleted one excludes nobody.
        return os.fstat(handle.fileno()).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace the file's text so that a crash leaves either the old or the new one."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    partial.chmod(mode)
    partial.replace(path)


def new_password() -> str:
    return secrets.token_urlsafe(24)


def wait_until(
    name: str,
    probe: Callable[[], str | None],
    seconds: float,
    *,
    is_alive: Callable[[], bool] = lambda: True,
    logs: Sequence[Path] = (),
) -> None:
    """Repeat the probe until it answers None.

    Raises:
        ServerStartError: the process ended or time ran out; carries the end of the logs.
    """
    deadline = time.monotonic() + seconds
    while (trouble := probe()) is not None:
        words = "".join(f" The end of {path}:\n{log_tail(path)}\n" for path in logs)
        if not is_alive():
            raise ServerStartError(f"{name} ended while starting.{words}")
        if time.monotonic() > deadline:
            raise ServerStartError(
                f"{name} did not answer within {seconds:.0f} s ({trouble}).{words}"
            )
        time.sleep(POLL_SECONDS)


def remembered_ports(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return one loopback port per name: chosen free the first time, the same ever after."""
    try:
        known = json.loads(path.read_text())
        ports = {name: int(known[name]) for name in names}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        write_atomically(path, json.dumps(ports))
    return ports


def free_ports(count: int) -> list[int]:
    """Pick distinct loopback ports nobody listens on."""
    chosen: list[int] = []
    for _ in range(PORT_ATTEMPTS):
        if len(chosen) == count:
            return chosen
        port = PORT_FIRST + secrets.randbelow(PORT_LAST - PORT_FIRST + 1)
        if port not in chosen and is_free(port):
            chosen.append(port)
    raise PortInUseError(
        f"Found no {count} free ports between {PORT_FIRST} and {PORT_LAST} on 127.0.0.1; "
        "end the programs that hold them."
    )


def is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do, so that connections in TIME_WAIT do not count as use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def ensure_free(server: str, port: int, ports_file: Path) -> None:
    """Check a remembered port before a server is started on it.

    A server that was just killed may hold its port a moment longer, until its last child has ended.

    Raises:
        PortInUseError: names the port, the program that holds it where it may be seen, the remedy.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while not is_free(port):
        if time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            continue
        raise PortInUseError(
            f"{server} cannot listen on 127.0.0.1:{port}: {_holder(port)} does. End that program, "
            f"or delete {ports_file} to have other ports chosen."
        )


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp4"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return "another program"
    return "another program"


def log_tail(path: Path) -> str:
    """Return the last lines of a log, indented for an error message."""
    try:
        text = path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
    except FileNotFoundError:
        return "  (no log was written)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-12:])
