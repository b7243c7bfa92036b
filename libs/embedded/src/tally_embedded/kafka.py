"""Apache Kafka as one KRaft process (broker and controller) on the loopback interface."""

import asyncio
import base64
import concurrent.futures
import importlib.resources
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tally_embedded.errors import DataDamagedError, ServerStartError
from tally_embedded.jars import kafka_jars
from tally_embedded.java import find_java
from tally_embedded.process import ProcessIdentity, remembered_ports, write_atomically
from tally_embedded.server import EmbeddedServer

HEAP_MB = 384
NODE_ID = 1
# 1 MiB of records and room for headers, keys and the batch itself.
MESSAGE_BYTES_MAX = 1024 * 1024 + 64 * 1024
FORMAT_SECONDS = 60
CONNECT_SECONDS = 2.0
PROBE_MS = 5000

JVM_FLAGS = (
    f"-Xmx{HEAP_MB}m",
    "-XX:+UseSerialGC",
    "-XX:MaxDirectMemorySize=128m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # Loopback only, so that a host without IPv6 behaves like one with it.
    "-Djava.net.preferIPv4Stack=true",
)

# Ready soonest, in the least memory: for what is over in minutes.
BRIEF_FLAGS = ("-Xms64m", "-XX:TieredStopAtLevel=1")
# The second compiler costs some ten CPU-seconds in the first half-minute and a third less from then on.
LASTING_FLAGS = (f"-Xms{HEAP_MB}m", f"-Xmn{HEAP_MB // 3}m")

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": str(NODE_ID),
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
    "message.max.bytes": str(MESSAGE_BYTES_MAX),
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # Fault tests use sessions of one second; production brokers keep the default of six.
    "group.min.session.timeout.ms": "1000",
    # After a crash the controller refuses the broker until its old session ends (default 9 s).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    # The cleaner's buffer comes out of the heap; the default of 128 MB is a third of it.
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
}


def probe_kafka(bootstrap: str) -> str | None:
    """Fetch the cluster's metadata; returns None, or why it failed. May be called anywhere."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    host = host.strip("[]")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        return f"{bootstrap}: {error}"
    # A thread of its own: the caller may be inside an event loop.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _metadata(bootstrap)).result()


async def _metadata(bootstrap: str) -> str | None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=PROBE_MS)
    try:
        async with asyncio.timeout(PROBE_MS / 1000):
            await admin.start()
            cluster = await admin.describe_cluster()
    except (KafkaError, OSError, TimeoutError) as error:
        return f"{bootstrap}: {type(error).__name__} {error}".strip()
    finally:
        await admin.close()
    return None if cluster["brokers"] else f"{bootstrap}: no broker is registered yet"


class EmbeddedKafka(EmbeddedServer):
    """A real broker without TLS or accounts, reachable from this machine only.

    `links` are further listeners by name (letters and digits), each with the port it tells clients
    to come to: a proxy's, in front of `link_port`. Clients follow the address a broker tells them,
    so one listener with two addresses would lead them around their proxy. A `lasting` broker takes
    longer to warm up and less processor time for ever after.
    """

    name = "kafka"
    port_names: ClassVar[tuple[str, ...]] = ("broker", "controller")
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        folder: Path,
        *,
        owner: ProcessIdentity | None = None,
        links: Mapping[str, int] = MappingProxyType({}),
        lasting: bool = False,
    ) -> None:
        super().__init__(folder, owner=owner)
        self._flags = (*JVM_FLAGS, *(LASTING_FLAGS if lasting else BRIEF_FLAGS))
        self._links = dict(links)
        self._properties = folder / "server.properties"
        self.console_file = folder / "console.log"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['broker']}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def ports(self) -> dict[str, int]:
        """Listening ports by purpose: broker, controller and one per link."""
        self._make_folder()
        names = (*self.port_names, *(f"link_{name}" for name in self._links))
        return remembered_ports(self._ports_file, names)

    def link_port(self, name: str) -> int:
        """Where the broker itself listens for a link, so what its proxy connects to."""
        return self.ports[f"link_{name}"]

    def _run_as(self) -> tuple[int, int] | None:
        return None

    def _java(self, flags: Sequence[str], *arguments: str) -> list[str]:
        config = importlib.resources.files("tally_embedded").joinpath("log4j2.properties")
        return [
            str(find_java()),
            *flags,
            f"-Dlog4j2.configurationFile={config}",
            f"-Dtally.kafka.log={self.log_file}",
            "-cp",
            f"{kafka_jars()}/*",
            *arguments,
        ]

    def _argv(self) -> Sequence[str]:
        return self._java(self._flags, "kafka.Kafka", str(self._properties))

    def _probe(self) -> str | None:
        return probe_kafka(self.address)

    def _prepare(self) -> None:
        broker, controller = self.ports["broker"], self.ports["controller"]
        told = {"PLAINTEXT": broker} | {f"LINK{n.upper()}": p for n, p in self._links.items()}
        bound = {"PLAINTEXT": broker, "CONTROLLER": controller}
        bound |= {f"LINK{name.upper()}": self.link_port(name) for name in self._links}
        settings = SETTINGS | {
            "log.dirs": str(self.data),
            "listeners": _listeners(bound),
            "advertised.listeners": _listeners(told),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in bound),
            "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller}",
        }
        text = "".join(f"{key}={_escape(value)}\n" for key, value in settings.items())
        write_atomically(self._properties, text)
        if not self._is_formatted():
            self._discard_half_format()
            self._format()

    def _is_formatted(self) -> bool:
        try:
            lines = (self.data / "meta.properties").read_text().splitlines()
        except FileNotFoundError:
            return False
        keys = {line.partition("=")[0] for line in lines}
        bootstrapped = (self.data / "bootstrap.checkpoint").exists() or self._segments()
        return {"cluster.id", "node.id", "version"} <= keys and bool(bootstrapped)

    def _segments(self) -> list[Path]:
        return [path for path in self.data.glob("*/*.log") if path.stat().st_size > 0]

    def _discard_half_format(self) -> None:
        """Delete what an interrupted format left; refuse when records are there."""
        segments = self._segments()
        if segments:
            raise DataDamagedError(
                f"{self.data} has no valid meta.properties but holds records ({len(segments)} "
                f"segments, e.g. {segments[0]}). Restore meta.properties, or run "
                "`tally stack reset --yes` to delete the data."
            )
        shutil.rmtree(self.data, ignore_errors=True)

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        done = subprocess.run(
            self._java(
                (*JVM_FLAGS, *BRIEF_FLAGS),
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                f"--config={self._properties}",
            ),
            capture_output=True,
            text=True,
            cwd="/",
            timeout=FORMAT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ServerStartError(
                f"Kafka could not format {self.data}:\n{done.stdout}{done.stderr}"
            )


def _listeners(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def _escape(value: str) -> str:
    """Write a value so that java.util.Properties reads it back unchanged."""
    escaped = value.replace("\\", "\\\\")
    return "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in escaped)
