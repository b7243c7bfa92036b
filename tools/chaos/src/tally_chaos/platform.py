"""The platform of one run: servers, a proxy on every link, a bank, and each service a process."""

import asyncio
import base64
import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tally_chaos.child import Child, ChildNotReady
from tally_chaos.history import History
from tally_chaos.launch import PLANT
from tally_chaos.plan import SERVERS, SESSION_TIMEOUT_MS
from tally_chaos.proxy import FaultProxy
from tally_cli.bank import BankAddress
from tally_cli.demo.dataset import SOURCES
from tally_cli.platform import SERVICES, Installation, passwords, prepare_database, prepare_topics
from tally_embedded.kafka import EmbeddedKafka
from tally_embedded.postgres import EmbeddedPostgres
from tally_embedded.process import ProcessIdentity, free_ports
from tally_embedded.watchdog import Watchdog
from tally_postgres import create_pool

_KEY_BYTES = 32
_BANK_USER = "tallystick"
_BANK_PASSWORD = "TALLY_BANK_SIMULATOR_PASSWORD"  # noqa: S105 - the name of a variable
_TIMING: Mapping[str, str] = {
    "TALLY_ENVIRONMENT": "test",
    "TALLY_LOG_LEVEL": "INFO",
    "TALLY_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
    "TALLY_RELAY_LEASE_S": "3",
    "TALLY_STALL_LIMIT_S": "8",
    "TALLY_BACK_OFF_MAX_MS": "1000",
    "TALLY_GRACEFUL_TIMEOUT_S": "8",
    # Patience of the ACH rail in seconds instead of minutes, in production's proportions.
    "TALLY_RAILS_ACH_CALL_TIMEOUT_S": "4",
    "TALLY_RAILS_ACH_TRANSFER_TIMEOUT_S": "6",
    "TALLY_RAILS_ACH_LEASE_S": "12",
    "TALLY_RAILS_ACH_RETRY_MS": "300",
    "TALLY_RAILS_ACH_RETRY_MAX_S": "2",
    "TALLY_RAILS_ACH_NOT_FOUND_AFTER_S": "3",
    "TALLY_RAILS_ACH_DOUBT_AFTER_S": "10",
    "TALLY_RAILS_ACH_TRIES_BEFORE_CASE": "500",
}


@dataclass(frozen=True, slots=True)
class Servers:
    """Postgres and Kafka of a run, with a listener per link."""

    folder: Path
    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka


@dataclass(frozen=True, slots=True)
class Bank:
    """The bank simulator, at the same ports after every restart."""

    child: Child
    address: BankAddress

    async def post(self, path: str, body: Mapping[str, object]) -> None:
        """Ask the admin API for something; raises `httpx.HTTPError`."""
        async with httpx.AsyncClient(base_url=self.address.admin_url, timeout=10) as client:
            (await client.post(path, json=dict(body))).raise_for_status()

    async def clear_faults(self) -> None:
        """End the bank's faults; raises `httpx.HTTPError`."""
        async with httpx.AsyncClient(base_url=self.address.admin_url, timeout=10) as client:
            (await client.delete("/faults")).raise_for_status()


@dataclass(slots=True)
class Platform:
    """All that runs, and the addresses that do not lead through a proxy."""

    folder: Path
    history: History
    installation: Installation
    servers: Servers
    proxies: dict[str, FaultProxy]
    bank: Bank
    services: dict[str, Child]
    sealing_key: str
    plant: str | None

    def child(self, name: str, *, instance: int = 0, restarts: bool = True) -> Child:
        """A process of a service, not begun yet; it reaches both servers by the service's own links."""
        return Child(
            name=f"{name}-{instance}",
            arguments=("tally_chaos.launch", name),
            environment=self._environment(name, instance),
            log=self.folder / f"{name}.log",
            history=self.history,
            restarts=restarts,
        )

    async def query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows of a look into the database as its administrator, past every proxy."""
        pool = await create_pool(
            self.installation.postgres_dsn,
            schema="public",
            application_name="tally_chaos",
            min_size=1,
            max_size=1,
        )
        try:
            return [tuple(row) for row in await pool.fetch(sql, *arguments)]
        finally:
            await pool.close()

    def _environment(self, name: str, instance: int) -> dict[str, str]:
        direct = self.servers.postgres.ports["postgres"]
        dsn = self.installation.dsn(name).replace(
            f":{direct}/", f":{self.proxies[f'{name}-postgres'].port}/"
        )
        return {
            **_TIMING,
            **self.bank.address.rails_environment(),
            "TALLY_KAFKA": f"127.0.0.1:{self.proxies[f'{name}-kafka'].port}",
            f"TALLY_{name.upper()}_POSTGRES_DSN": dsn,
            "TALLY_FUNDING_SOURCES": ",".join(SOURCES),
            "TALLY_SEALING_KEY": self.sealing_key,
            # Static membership: what comes back takes up its partitions at once.
            "TALLY_INSTANCE": str(instance),
            PLANT: self.plant or "",
        }


@contextlib.contextmanager
def running_servers(links: Mapping[str, int]) -> Iterator[Servers]:
    """Fresh servers in a temporary folder; they and it end with the block, or with this process."""
    owner = ProcessIdentity.current()
    var = Path(tempfile.mkdtemp(prefix="tally-chaos-"))
    # Postgres may run as another user, who has to pass through.
    var.chmod(0o711)
    postgres = EmbeddedPostgres(var / "stack" / "postgres", owner=owner)
    kafka = EmbeddedKafka(var / "stack" / "kafka", owner=owner, links=links)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, var, ignore_errors=True)
        cleanup.enter_context(Watchdog(var, owner, remove=True))
        for server in (postgres, kafka):
            cleanup.callback(server.reset)
        yield Servers(var, postgres, kafka)


@contextlib.asynccontextmanager
async def running_platform(
    folder: Path, history: History, *, plant: str | None = None
) -> AsyncIterator[Platform]:
    """Start everything, each service behind its links; end everything, whatever happens.

    Raises `StackError` or `ChildNotReady`; nothing keeps running then.
    """
    ports = dict(zip(_links(), free_ports(len(_links())), strict=True))
    advertised = {name: ports[f"{name}-kafka"] for name in SERVICES}
    async with contextlib.AsyncExitStack() as cleanup:
        servers = cleanup.enter_context(running_servers(advertised))
        cleanup.callback(_keep_logs, servers, folder)
        # First, so that nobody takes a port between its choice and its use: the servers choose theirs,
        # which the links lead to, once all of these are held.
        proxies = {
            name: await cleanup.enter_async_context(FaultProxy(name, port))
            for name, port in ports.items()
        }
        for name, proxy in proxies.items():
            proxy.target_port = _target(servers, name)
        await asyncio.gather(
            asyncio.to_thread(servers.postgres.start), asyncio.to_thread(servers.kafka.start)
        )
        installation = Installation(
            servers.postgres.address, servers.kafka.address, passwords(servers.folder)
        )
        await asyncio.to_thread(prepare_database, installation)
        await prepare_topics(installation, SOURCES)
        bank = await cleanup.enter_async_context(_running_bank(folder / "bank", history))
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        platform = Platform(folder, history, installation, servers, proxies, bank, {}, key, plant)
        cleanup.push_async_callback(_end_services, platform)
        for name in SERVICES:
            platform.services[name] = platform.child(name)
            platform.services[name].begin()
        await asyncio.gather(*(child.ready() for child in platform.services.values()))
        yield platform


def _links() -> tuple[str, ...]:
    return tuple(f"{service}-{server}" for service in SERVICES for server in SERVERS)


def _target(servers: Servers, link: str) -> int:
    service, _, server = link.partition("-")
    return (
        servers.kafka.link_port(service)
        if server == "kafka"
        else servers.postgres.ports["postgres"]
    )


def _keep_logs(servers: Servers, folder: Path) -> None:
    for server in (servers.postgres, servers.kafka):
        if server.log_file.exists():
            shutil.copy(server.log_file, folder / server.log_file.name)


async def _end_services(platform: Platform) -> None:
    for proxy in platform.proxies.values():
        await proxy.heal()
    await asyncio.gather(*(child.end() for child in platform.services.values()))


@contextlib.asynccontextmanager
async def _running_bank(folder: Path, history: History) -> AsyncIterator[Bank]:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    sftp_port, admin_port = free_ports(2)
    child = Child(
        name="bank",
        arguments=(
            *("tally_chaos.bank", "--folder", str(folder), "--user", _BANK_USER),
            *("--password-env", _BANK_PASSWORD),
            *("--sftp-port", str(sftp_port), "--admin-port", str(admin_port)),
        ),
        environment={_BANK_PASSWORD: password},
        log=folder / "simulator.log",
        history=history,
    )
    try:
        child.begin()
        await child.ready()
        told = json.loads(child.first_line)
        if told["sftp_port"] != sftp_port:
            raise ChildNotReady(f"the bank listens on {told['sftp_port']}, not {sftp_port}")
        fingerprint = told["host_key_fingerprint"]
        yield Bank(child, BankAddress(sftp_port, admin_port, fingerprint, password))
    finally:
        await child.end()
