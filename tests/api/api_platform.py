"""Services of the platform on a real Kafka and Postgres, and clients of the gateway's API."""

import base64
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tally_cli.demo.api import Client
from tally_contracts.catalogue import expand
from tally_embedded import TopicSpec, ensure_topics
from tally_gateway.app import build_app as build_gateway
from tally_gateway.bell import Bell
from tally_gateway.credentials import API_KEY, NewCredential, make
from tally_gateway.routes import SCOPES
from tally_gateway.server import ApiServer
from tally_gateway.settings import GatewaySettings
from tally_gateway.store import EVERY_TENANT, scoped
from tally_gateway.store import credentials as credential_store
from tally_messaging import Service
from tally_messaging.launch import service_package
from tally_postgres import Connection, in_transaction
from tally_runtime import Clock, Ids, SystemClock, load_settings
from tally_testkit import ServiceDatabase

SOURCES = ("cards", "bank")


@dataclass
class Platform:
    """Some services, up; `address` is the API's."""

    services: Sequence[Service]
    gateway: Service
    address: str
    http: httpx.AsyncClient
    _stopped: bool = field(default=False)

    async def client(
        self, party: str, tenant: str, *, scopes: frozenset[str] = SCOPES, **more: Any
    ) -> Client:
        """A client with a key of this party, or of the operator."""
        pool = self.gateway.pool
        credential, text = make(
            Ids(),
            NewCredential(
                kind=API_KEY,
                party=party,
                tenant=tenant,
                label="test",
                scopes=scopes,
                created_by="test",
                requests_per_minute=1_000_000,
                **more,
            ),
            SystemClock().now(),
        )

        async def keep(conn: Connection) -> None:
            await scoped(conn, EVERY_TENANT)
            await credential_store.insert(conn, credential)

        await in_transaction(pool, keep)
        return Client(self.http, text)

    async def operator(self) -> Client:
        return await self.client("operator", "operator")

    async def stop(self) -> None:
        """Stop the gateway first, then what it sends commands to."""
        if not self._stopped:
            self._stopped = True
            await self.http.aclose()
            await self.gateway.stop()
            for service in self.services:
                await service.stop()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def start_platform(
    names: Sequence[str],
    database: ServiceDatabase,
    kafka: str,
    *,
    read_port: int = 0,
    contacts_port: int = 0,
    identity_port: int = 0,
    clock: Clock | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> Platform:
    """Start these services and the gateway in this process; portfolio is asked on `read_port`.

    The directory is asked for contacts on `contacts_port`, kyc for levels and tasks on `identity_port`.

    `more`: settings of services, by their names. `clock` is every service's.
    """
    await ensure_topics(
        kafka,
        [
            TopicSpec(name, topic.partitions, dict(topic.config()))
            for name, topic in expand(SOURCES).items()
        ],
    )
    internal = base64.b64encode(b"for-tests-only-" * 3).decode()
    own: dict[str, dict[str, Any]] = {
        "funding": {"sources": ",".join(SOURCES)},
        "directory": {"internal_key": internal, "read_port": contacts_port},
        "kyc": {"internal_key": internal, "read_port": identity_port},
        "portfolio": {"internal_key": internal, "read_port": read_port},
    }
    given = more or {}
    services = []
    for name in names:
        found = service_package(name)
        settings = load_settings(
            found.settings,
            environment="test",
            kafka=kafka,
            postgres_dsn=database.dsn(name),
            **{**own.get(name, {}), **given.get(name, {})},
        )
        services.append(found.build_app(settings, clock=clock))
    settings = load_settings(
        GatewaySettings,
        environment="test",
        kafka=kafka,
        postgres_dsn=database.dsn("gateway"),
        port=0,
        internal_key=internal,
        portfolio_url=f"http://127.0.0.1:{read_port or 1}",
        directory_url=f"http://127.0.0.1:{contacts_port or 1}",
        kyc_url=f"http://127.0.0.1:{identity_port or 1}",
        **given.get("gateway", {}),
    )
    server = ApiServer(settings, Bell())
    service = build_gateway(settings, server=server, clock=clock)
    for each in (*services, service):
        await each.start()
    address = await server.listens()
    http = httpx.AsyncClient(base_url=address, timeout=60, trust_env=False)
    return Platform(services, service, address, http)


def schemas(names: Sequence[str]) -> list[Any]:
    """The schemas of these services."""
    return [service_package(name).schema for name in names]


__all__ = ["Client", "Platform", "schemas", "start_platform"]
