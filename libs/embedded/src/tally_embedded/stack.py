"""The stack: Postgres and Kafka together, and the context manager everybody uses."""

import concurrent.futures
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tally_embedded.address import Origin, StackAddress, chosen_origin
from tally_embedded.errors import NotControllableError
from tally_embedded.external import ExternalServer
from tally_embedded.kafka import EmbeddedKafka, probe_kafka
from tally_embedded.postgres import EmbeddedPostgres, probe_postgres
from tally_embedded.process import ProcessIdentity
from tally_embedded.server import ServerControl, ServerState, ServerStatus
from tally_embedded.watchdog import Watchdog


@dataclass(frozen=True)
class StackStatus:
    """The answer of each server to a real question."""

    origin: str
    servers: tuple[ServerStatus, ...]

    @property
    def is_running(self) -> bool:
        return all(server.state is ServerState.RUNNING for server in self.servers)


class Stack:
    """The servers of one data folder; synchronous, for use through asyncio.to_thread."""

    def __init__(
        self, origin: Origin, postgres: ServerControl | None, kafka: ServerControl | None
    ) -> None:
        self.origin = origin
        self._postgres = postgres
        self._kafka = kafka

    @property
    def address(self) -> StackAddress:
        return StackAddress(
            postgres_dsn=self._postgres.address if self._postgres else "",
            kafka=self._kafka.address if self._kafka else "",
            origin=self.origin.value,
        )

    @property
    def postgres(self) -> ServerControl:
        """Postgres alone, for faults: kill, start, pause, resume."""
        return self._asked_for("postgres", self._postgres)

    @property
    def kafka(self) -> ServerControl:
        """Kafka alone, for faults: kill, start, pause, resume."""
        return self._asked_for("kafka", self._kafka)

    def start(self) -> None:
        """Start both at once; when one cannot start, those this call owns are released again."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            starts = [pool.submit(server.start) for server in self._servers()]
        failures = [error for start in starts if (error := start.exception())]
        if failures:
            self.release()
            raise failures[0]

    def stop(self) -> None:
        """Stop both cleanly; data stays."""
        self._each("stop")

    def release(self) -> None:
        """Stop what was started to live as long as this process."""
        self._each("release")

    def reset(self) -> None:
        """Stop both and delete their data."""
        self._each("reset")

    def status(self) -> StackStatus:
        """Ask both a real question."""
        return StackStatus(self.origin.value, tuple(server.status() for server in self._servers()))

    def _servers(self) -> list[ServerControl]:
        return [server for server in (self._postgres, self._kafka) if server is not None]

    def _each(self, act: str) -> None:
        servers = self._servers()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = [pool.submit(getattr(server, act)) for server in servers]
        for outcome in done:
            outcome.result()

    @staticmethod
    def _asked_for(name: str, server: ServerControl | None) -> ServerControl:
        if server is None:
            raise NotControllableError(
                f"This stack was opened without {name}; pass {name}=True to have one."
            )
        return server


def open_stack(
    var: Path,
    *,
    postgres: bool = True,
    kafka: bool = True,
    durable: bool = True,
    owner: ProcessIdentity | None = None,
    lasting: bool = False,
) -> Stack:
    """Describe the stack the environment asks for, without starting anything.

    With an owner, servers belong to that process; without, they stay when it ends. `lasting` ones
    are to run for hours: they warm up more slowly and use less from then on.

    Raises:
        StackConfigurationError: the environment variables contradict each other.
    """
    origin = chosen_origin(postgres=postgres, kafka=kafka)
    if origin is Origin.EXTERNAL:
        dsn, bootstrap = os.environ.get("TALLY_POSTGRES_DSN"), os.environ.get("TALLY_KAFKA")
        return Stack(
            origin,
            ExternalServer("postgres", "TALLY_POSTGRES_DSN", dsn, probe_postgres)
            if postgres and dsn
            else None,
            ExternalServer("kafka", "TALLY_KAFKA", bootstrap, probe_kafka)
            if kafka and bootstrap
            else None,
        )
    if origin is Origin.CONTAINERS:
        # The container library is a development dependency and slow to import.
        from tally_embedded.containers import KafkaContainer, PostgresContainer  # noqa: PLC0415

        return Stack(
            origin, PostgresContainer() if postgres else None, KafkaContainer() if kafka else None
        )
    return embedded_stack(
        var, postgres=postgres, kafka=kafka, durable=durable, owner=owner, lasting=lasting
    )


def embedded_stack(
    var: Path,
    *,
    postgres: bool = True,
    kafka: bool = True,
    durable: bool = True,
    owner: ProcessIdentity | None = None,
    lasting: bool = False,
) -> Stack:
    """Describe the servers started from packages in `var/stack`, whatever the environment says."""
    folder = var.absolute() / "stack"
    return Stack(
        Origin.EMBEDDED,
        EmbeddedPostgres(folder / "postgres", owner=owner, durable=durable) if postgres else None,
        EmbeddedKafka(folder / "kafka", owner=owner, lasting=lasting) if kafka else None,
    )


@contextlib.contextmanager
def running_stack(
    var: Path,
    *,
    postgres: bool = True,
    kafka: bool = True,
    ephemeral: bool = False,
    durable: bool = True,
    lasting: bool = False,
) -> Iterator[Stack]:
    """Give a running stack for the time of the block; what it started ends with this process.

    TALLY_POSTGRES_DSN and TALLY_KAFKA name servers to use instead; TALLY_STACK=containers uses
    a container engine. Servers that `tally stack start` left running in `var` are used and stay.
    ephemeral keeps the data in a fresh temporary folder, removed at the end. durable=False turns
    Postgres' fsync off, for tests: commits outlive its processes, not the machine. lasting=True is
    for what runs for hours: the servers warm up more slowly and use less from then on.

    Raises:
        StackError: see the subclasses in errors.py; nothing keeps running.
    """
    owner = ProcessIdentity.current()
    with contextlib.ExitStack() as cleanup:
        folder = var
        if ephemeral:
            folder = Path(tempfile.mkdtemp(prefix="tally-stack-"))
            # Postgres may run as another user, who has to pass through.
            folder.chmod(0o711)
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        stack = open_stack(
            folder, postgres=postgres, kafka=kafka, durable=durable, owner=owner, lasting=lasting
        )
        if stack.origin is Origin.EMBEDDED:
            cleanup.enter_context(Watchdog(folder, owner, remove=ephemeral))
        cleanup.callback(stack.reset if ephemeral else stack.release)
        stack.start()
        yield stack
