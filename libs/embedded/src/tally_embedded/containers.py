"""Postgres and Kafka in containers, for machines where the packages do not run."""

import socket
from abc import ABC, abstractmethod
from typing import Any

from tally_embedded.errors import (
    ContainerRefusedError,
    EngineMissingError,
    ServerStartError,
    ServerStoppedError,
)
from tally_embedded.jars import KAFKA_VERSION
from tally_embedded.kafka import HEAP_MB, probe_kafka
from tally_embedded.kafka import SETTINGS as KAFKA_SETTINGS
from tally_embedded.postgres import DATABASE, MAJOR, USER, probe_postgres
from tally_embedded.postgres import SETTINGS as POSTGRES_SETTINGS
from tally_embedded.process import free_ports, new_password, wait_until
from tally_embedded.server import START_SECONDS, STOP_SECONDS, ServerState, ServerStatus

LOG_LINES = 12
HANG_UP_SECONDS = 0.2
# The container's own: its published port needs every address, its tools need the socket.
IMAGE_SETTINGS = frozenset({"listen_addresses", "unix_socket_directories"})


class ContainerServer(ABC):
    """One container on a loopback port chosen beforehand, so that a restart keeps the address."""

    name: str

    def __init__(self) -> None:
        self._port = free_ports(1)[0]
        # Untyped third-party object; None until the first start.
        self._container: Any = None

    @property
    @abstractmethod
    def address(self) -> str: ...

    @abstractmethod
    def _describe(self, image_class: Any) -> Any: ...

    @abstractmethod
    def _probe(self) -> str | None: ...

    def describe(self, image_class: Any) -> Any:
        """Return the container as it will be created, its port on the loopback interface alone."""
        container = self._describe(image_class)
        # with_bind_ports knows no address and would publish the servers to the network.
        container.ports = {
            inside: ("127.0.0.1", outside) for inside, outside in container.ports.items()
        }
        return container

    def start(self) -> None:
        """Create or restart the container; returns when the server answers.

        Raises:
            EngineMissingError: no container engine answers.
            ContainerRefusedError: the engine has no such image or cannot start the container.
            ServerStartError: the server ended or does not answer; carries the end of its log.
        """
        if self._container is None:
            self._create()
        else:
            self._wrapped().start()
        try:
            wait_until(self.name, self._probe, START_SECONDS, is_alive=self._is_alive)
        except ServerStartError as error:
            raise ServerStartError(f"{error} The end of its log:\n{self._log_tail()}") from error

    def _create(self) -> None:
        image_class = _engine()
        from docker.errors import (  # type: ignore[import-untyped] # noqa: PLC0415 - as in _engine
            DockerException,
        )

        container = self.describe(image_class)
        try:
            container.start()
        except DockerException as error:
            # A container that was created and could not be started stays otherwise.
            container.stop(force=True, delete_volume=True)
            raise ContainerRefusedError(
                f"The container engine cannot start {container.image} ({error}). Check that it may "
                "pull this image and testcontainers' ryuk (which TESTCONTAINERS_RYUK_DISABLED=true "
                "does without), or unset TALLY_STACK to use the embedded servers."
            ) from error
        self._container = container

    def _is_alive(self) -> bool:
        wrapped = self._wrapped()
        wrapped.reload()
        return bool(wrapped.status == "running")

    def _log_tail(self) -> str:
        text = self._wrapped().logs(tail=LOG_LINES).decode(errors="replace")
        return "\n".join(f"  {line}" for line in text.splitlines())

    def stop(self) -> None:
        if self._container is not None:
            self._wrapped().stop(timeout=int(STOP_SECONDS))

    def release(self) -> None:
        """Remove the container with its data."""
        if self._container is not None:
            self._container.stop(force=True, delete_volume=True)
            self._container = None

    def reset(self) -> None:
        self.release()

    def kill(self) -> None:
        self._wrapped().kill()

    def pause(self) -> None:
        self._wrapped().pause()

    def resume(self) -> None:
        self._wrapped().unpause()

    def status(self) -> ServerStatus:
        if self._container is None:
            return ServerStatus(self.name, ServerState.STOPPED, self.address, detail="no container")
        trouble = self._probe()
        state = ServerState.FAILING if trouble else ServerState.RUNNING
        return ServerStatus(self.name, state, self.address, detail=trouble or "")

    def _wrapped(self) -> Any:
        if self._container is None:
            raise ServerStoppedError(f"The {self.name} container is not running; start it first.")
        return self._container.get_wrapped_container()


class PostgresContainer(ContainerServer):
    """The official Postgres image with the same superuser and database as the embedded one."""

    name = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self._password = new_password()

    @property
    def address(self) -> str:
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    def _describe(self, image_class: Any) -> Any:
        settings = {k: v for k, v in POSTGRES_SETTINGS.items() if k not in IMAGE_SETTINGS}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return (
            image_class(f"postgres:{MAJOR}")
            .with_command(["postgres", *options])
            .with_env("POSTGRES_USER", USER)
            .with_env("POSTGRES_PASSWORD", self._password)
            .with_env("POSTGRES_DB", DATABASE)
            .with_bind_ports(5432, self._port)
        )

    def _probe(self) -> str | None:
        return probe_postgres(self.address)


class KafkaContainer(ContainerServer):
    """Apache's Kafka image with the embedded broker's settings."""

    name = "kafka"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def _describe(self, image_class: Any) -> Any:
        settings = KAFKA_SETTINGS | {
            "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}",
            "controller.quorum.voters": "1@localhost:9093",
        }
        container = image_class(f"apache/kafka:{KAFKA_VERSION}")
        for key, value in settings.items():
            # The image maps KAFKA_A_B to a.b.
            container = container.with_env(f"KAFKA_{key.replace('.', '_').upper()}", value)
        container = container.with_env("KAFKA_HEAP_OPTS", f"-Xms64m -Xmx{HEAP_MB}m")
        return container.with_bind_ports(9092, self._port)

    def _probe(self) -> str | None:
        return hung_up(self._port) or probe_kafka(self.address)


def hung_up(port: int) -> str | None:
    """Say whether nobody stands behind a published port; a broker waits for the first request.

    The engine's proxy accepts before the server listens, then closes; a Kafka client would log an
    error at each try.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), HANG_UP_SECONDS) as connection:
            connection.settimeout(HANG_UP_SECONDS)
            connection.recv(1)
    except TimeoutError:
        return None
    except OSError as error:
        return f"127.0.0.1:{port}: {error}"
    return f"127.0.0.1:{port}: the connection was closed at once"


def _engine() -> Any:
    """Return testcontainers' container class once an engine has answered a ping."""
    remedy = "Start Docker or Podman, or unset TALLY_STACK to use the embedded servers."
    try:
        from docker.errors import DockerException  # noqa: PLC0415 - optional
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415
        from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415
    except ImportError as error:
        raise EngineMissingError(
            f"TALLY_STACK=containers needs the package testcontainers ({error}). {remedy}"
        ) from error
    try:
        DockerClient().client.ping()
    except (DockerException, OSError) as error:
        raise EngineMissingError(
            f"TALLY_STACK=containers, but no container engine answers ({error}). {remedy}"
        ) from error
    return DockerContainer
