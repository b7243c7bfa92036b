"""One embedded server on the loopback interface: its life, its faults, its place on disk."""

import logging
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

import psutil

from tally_embedded import process as proc
from tally_embedded.errors import (
    ServerStoppedError,
    StackConfigurationError,
    StackInUseError,
)
from tally_embedded.process import ProcessIdentity, ProcessRecord

START_SECONDS = 90.0
STOP_SECONDS = 8.0
KILL_SECONDS = 10.0
ABANDONED_SECONDS = 20.0

log = logging.getLogger(__name__)


class ServerState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    FAILING = "failing"  # the process lives and does not answer
    STOPPED = "stopped"


@dataclass(frozen=True)
class ServerStatus:
    """What a real question to the server brought back; detail says why it is not running."""

    name: str
    state: ServerState
    address: str
    pid: int | None = None
    data: str | None = None
    log: str | None = None
    detail: str = ""


class ServerControl(Protocol):
    """What a stack does with Postgres or Kafka, wherever it runs."""

    @property
    def address(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def release(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def reset(self) -> None: ...
    def status(self) -> ServerStatus: ...


class EmbeddedServer(ABC):
    """A server process started from packages, with its files in one folder.

    Every start comes back on the same port with the same data. The folder's lock makes start and
    stop safe against another process doing the same.
    """

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[int]

    def __init__(self, folder: Path, *, owner: ProcessIdentity | None = None) -> None:
        self.folder = folder
        self.owner = owner
        self.log_file = folder / f"{self.name}.log"
        self.console_file = self.log_file
        self._record_file = folder / "process.json"
        self._ports_file = folder / "ports.json"

    @property
    @abstractmethod
    def address(self) -> str:
        """DSN or host:port."""

    @property
    @abstractmethod
    def data(self) -> Path:
        """Where the server's own files are."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make the data folder ready for a start."""

    @abstractmethod
    def _argv(self) -> Sequence[str]: ...

    @abstractmethod
    def _run_as(self) -> tuple[int, int] | None: ...

    @abstractmethod
    def _probe(self) -> str | None:
        """Ask the server a real question; None when it answered, else why it did not."""

    def _after_start(self) -> None:
        """Bring a server that answers into its agreed shape."""
        return

    def start(self) -> None:
        """Start the server, or join the one that runs already; returns when it answers.

        Raises:
            StackInUseError: another live process owns the running server.
            PortInUseError, ServerStartError: see the messages.
        """
        self._make_folder()
        with proc.file_lock(self.folder / "lock"):
            if self._join():
                return
            self._prepare()
            for port in self.ports.values():
                proc.ensure_free(self.name, port, self._ports_file)
            argv = tuple(self._argv())
            server = proc.spawn(argv, log=self.console_file, run_as=self._run_as())
            ProcessRecord(ProcessIdentity.of(server), argv, self.owner).save(self._record_file)
            try:
                self._wait_ready(server)
                self._after_start()
            except BaseException:
                proc.kill_family(self.name, server, KILL_SECONDS)
                self._record_file.unlink(missing_ok=True)
                raise

    def stop(self) -> None:
        """Stop the server cleanly, by force after 8 s; does nothing when it is not running.

        Raises:
            StackInUseError: it belongs to another live process.
        """
        if self.folder.is_dir():
            with proc.file_lock(self.folder / "lock"):
                self._stop_if_ours()

    def _stop_if_ours(self) -> None:
        record, server = self._find()
        if record and server:
            if self._foreign_owner(record):
                raise self._in_use(record)
            self._stop(server)
        self._record_file.unlink(missing_ok=True)

    def release(self) -> None:
        """Stop the server only if this process is the one that must outlive it."""
        if not self.folder.is_dir():
            return
        with proc.file_lock(self.folder / "lock"):
            record, server = self._find()
            if record and server and record.owner == self.owner is not None:
                self._stop(server)
                self._record_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL the server and its children, as a power cut of this one machine would."""
        proc.kill_family(self.name, self._require(), KILL_SECONDS)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        proc.signal_all(proc.family(self._require()), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after a pause."""
        proc.signal_all(proc.family(self._require()), signal.SIGCONT)

    def reset(self) -> None:
        """Stop the server and delete its data, ports, password and log.

        Raises:
            StackInUseError: it belongs to another live process; nothing is deleted.
            StackConfigurationError: the files could not be deleted.
        """
        if not self.folder.is_dir():
            return
        with proc.file_lock(self.folder / "lock"):
            self._stop_if_ours()
            # Postgres' data of a root caller may be elsewhere, in a folder of its own.
            folders = dict.fromkeys([self.data.parent, self.folder])
            try:
                for folder in folders:
                    shutil.rmtree(folder)
            except OSError as error:
                raise StackConfigurationError(
                    f"Could not delete {error.filename} ({error.strerror}); delete it by hand as "
                    "the user who made it."
                ) from error

    def status(self) -> ServerStatus:
        """Ask the real server; never raises for one that is down."""
        _, server = self._find()
        if not self.folder.is_dir():
            return ServerStatus(self.name, ServerState.STOPPED, "", detail="never started here")
        if server is None:
            return self._status(ServerState.STOPPED, None, "no process; run `tally stack start`")
        if server.status() == psutil.STATUS_STOPPED:
            return self._status(ServerState.PAUSED, server.pid, "paused by SIGSTOP; send SIGCONT")
        trouble = self._probe()
        if trouble:
            return self._status(ServerState.FAILING, server.pid, trouble)
        return self._status(ServerState.RUNNING, server.pid, "")

    def _status(self, state: ServerState, pid: int | None, detail: str) -> ServerStatus:
        address = self.address if self._ports_file.exists() else ""
        return ServerStatus(
            self.name, state, address, pid, str(self.data), str(self.log_file), detail
        )

    @property
    def ports(self) -> dict[str, int]:
        """Listening ports by purpose; chosen at the first use of the folder."""
        self._make_folder()
        return proc.remembered_ports(self._ports_file, self.port_names)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackConfigurationError(
                f"Cannot make the folder {self.folder} ({error.strerror}); pass a folder this user "
                "may write to."
            ) from error

    def _find(self) -> tuple[ProcessRecord | None, psutil.Process | None]:
        record = ProcessRecord.load(self._record_file)
        return record, record.find() if record else None

    def _require(self) -> psutil.Process:
        _, server = self._find()
        if server is None:
            raise ServerStoppedError(
                f"{self.name} in {self.folder} is not running; start it first."
            )
        return server

    def _foreign_owner(self, record: ProcessRecord) -> bool:
        return record.owner is not None and record.owner != self.owner and record.owner.is_alive()

    def _in_use(self, record: ProcessRecord) -> StackInUseError:
        pid = record.owner.pid if record.owner else None
        return StackInUseError(
            f"The {self.name} of {self.folder} belongs to the running process {pid}; end that "
            "process first, or use another data folder."
        )

    def _join(self) -> bool:
        """Use the server that runs already; clear away one whose owner is gone."""
        record, server = self._find()
        if record is None or server is None:
            return False
        if self._foreign_owner(record):
            raise self._in_use(record)
        if record.owner not in {None, self.owner}:
            self._stop(server)
            return False
        proc.signal_all(proc.family(server), signal.SIGCONT)
        self._wait_ready(server)
        return True

    def _stop(self, server: psutil.Process) -> None:
        members = proc.family(server)
        proc.signal_all([server], self.stop_signal)
        proc.signal_all(members, signal.SIGCONT)
        if not proc.wait_gone([server], STOP_SECONDS):
            log.warning("%s did not stop within %.0f s and is killed", self.name, STOP_SECONDS)
            proc.kill_family(self.name, server, KILL_SECONDS)

    def _wait_ready(self, server: psutil.Process) -> None:
        proc.wait_until(
            f"{self.name} (pid {server.pid})",
            self._probe,
            START_SECONDS,
            is_alive=lambda: proc.is_running(server),
            logs=tuple(dict.fromkeys([self.console_file, self.log_file])),
        )
