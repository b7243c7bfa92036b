"""Postgres and Kafka in containers: what can be said without an engine, and with one the whole."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tally_embedded import running_stack
from tally_embedded.containers import ContainerServer, KafkaContainer, PostgresContainer, hung_up
from tally_embedded.errors import ContainerRefusedError, ServerStartError


class Recorded:
    """A container as described, never created: what `describe` asks of testcontainers' class."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.env: dict[str, str] = {}
        self.ports: dict[str, object] = {}
        self.command: list[str] = []

    def with_env(self, key: str, value: str) -> "Recorded":
        self.env[key] = value
        return self

    def with_command(self, command: list[str]) -> "Recorded":
        self.command = command
        return self

    def with_bind_ports(self, container: int, host: int) -> "Recorded":
        self.ports[str(container)] = host
        return self


@pytest.mark.parametrize(
    ("make", "image", "inside"),
    [(PostgresContainer, "postgres:18", "5432"), (KafkaContainer, "apache/kafka:4.3.1", "9092")],
)
def test_a_server_is_published_on_the_loopback_interface_alone(
    make: Callable[[], ContainerServer], image: str, inside: str
):
    server = make()
    described = server.describe(Recorded)
    port = int(server.address.rpartition(":")[2].partition("/")[0])
    assert described.image == image
    assert described.ports == {inside: ("127.0.0.1", port)}


def test_the_containers_have_the_settings_of_the_embedded_servers():
    postgres = PostgresContainer().describe(Recorded).command
    assert postgres[0] == "postgres"
    assert "max_connections=200" in postgres
    # Otherwise neither the published port nor the image's own tools reach the server.
    assert not [option for option in postgres if "listen_addresses" in option or "unix" in option]
    kafka = KafkaContainer().describe(Recorded).env
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert kafka["KAFKA_HEAP_OPTS"] == "-Xms64m -Xmx384m"


@contextmanager
def _listener(then: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept one connection on a loopback port and do `then` with it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=lambda: then(listening.accept()[0]))
        accepting.start()
        yield listening.getsockname()[1]
        accepting.join()


def test_a_port_whose_proxy_hangs_up_has_no_broker_behind_it_yet():
    with _listener(lambda accepted: accepted.close()) as port:
        assert "closed at once" in (hung_up(port) or "")


def test_a_broker_waits_for_the_first_request():
    held: list[socket.socket] = []
    with _listener(held.append) as port:
        assert hung_up(port) is None
    held[0].close()


def test_a_port_nobody_listens_on_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert f"127.0.0.1:{port}" in (hung_up(port) or "")


def test_containers_without_an_engine_say_how_to_go_on(tmp_path: Path):
    # In a process of its own: the container library leaks the socket it failed to connect.
    script = (
        "import sys; from pathlib import Path; from tally_embedded import StackError, running_stack\n"
        "try:\n"
        "    with running_stack(Path(sys.argv[1])): print('entered')\n"
        "except StackError as error: print(error.code, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ
        | {"TALLY_STACK": "containers", "DOCKER_HOST": "unix:///nonexistent/engine.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("container_engine_missing ")
    assert "unset TALLY_STACK" in done.stdout


@pytest.fixture
def engine() -> str:
    """The engine's program, once it has answered."""
    found = shutil.which("docker")
    if not found or subprocess.run([found, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no container engine answers")
    return found


def _containers(engine: str) -> set[str]:
    listed = subprocess.run(
        [engine, "ps", "--all", "--quiet"], capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


@pytest.mark.containers
def test_containers_give_the_same_stack_and_come_back_on_their_ports(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TALLY_STACK", "containers")
    before = _containers(engine)
    with running_stack(tmp_path) as stack:
        address = stack.address
        assert address.origin == "containers"
        with psycopg.connect(address.postgres_dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
            shown = connection.execute("SHOW server_version_num").fetchone()
        assert shown is not None
        assert shown[0].startswith("18")
        for server in (stack.postgres, stack.kafka):
            server.kill()
            server.start()
        assert stack.address == address
        assert stack.status().is_running
        with psycopg.connect(address.postgres_dsn) as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
        port = address.kafka.rpartition(":")[2]
        published = subprocess.run(
            [engine, "ps", "--filter", f"publish={port}", "--format", "{{.Ports}}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"127.0.0.1:{port}->9092/tcp" in published
        assert "0.0.0.0" not in published
    assert _containers(engine) - before <= _ryuk(engine)


def _ryuk(engine: str) -> set[str]:
    """testcontainers' own container, which ends by itself after the test process."""
    listed = subprocess.run(
        [engine, "ps", "--all", "--quiet", "--filter", "name=testcontainers-ryuk"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.split())


@pytest.mark.containers
def test_an_image_the_engine_cannot_get_is_named_with_the_remedy(
    engine: str,
):
    class Unknown(PostgresContainer):
        def _describe(self, image_class: Callable[[str], object]) -> object:
            return image_class("localhost:9/no-such:1")

    before = _containers(engine)
    with pytest.raises(
        ContainerRefusedError, match=r"(?s)localhost:9/no-such:1.*unset TALLY_STACK"
    ):
        Unknown().start()
    assert _containers(engine) - before <= _ryuk(engine)


@pytest.mark.containers
@pytest.mark.usefixtures("engine")
def test_a_server_that_ends_while_starting_shows_the_end_of_its_log():
    class Misconfigured(PostgresContainer):
        def _describe(self, image_class: Callable[[str], object]) -> object:
            return super()._describe(image_class).with_env("POSTGRES_PASSWORD", "")

    server = Misconfigured()
    with pytest.raises(ServerStartError, match=r"(?s)ended while starting.*password"):
        server.start()
    server.release()
