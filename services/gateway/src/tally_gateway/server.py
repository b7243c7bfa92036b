"""The HTTP server as a worker of the service: it starts and stops with it, and drains first."""

import asyncio
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import uvicorn

from tally_gateway.api.app import build_api
from tally_gateway.api.model import Gateway
from tally_gateway.batching import Batching
from tally_gateway.bell import Bell
from tally_gateway.credentials import Credentials
from tally_gateway.errors import GatewayError
from tally_gateway.intake import Intake
from tally_gateway.sealers import Sealers
from tally_gateway.settings import GatewaySettings
from tally_gateway.step_up import StepUp
from tally_gateway.store import EVERY_TENANT, commands, scoped, step_up
from tally_gateway.wire import asking
from tally_messaging import WorkerContext
from tally_postgres import Connection, in_transaction
from tally_reads import SignalFreeServer
from tally_runtime import get_logger
from tally_security.internal import InternalKeys
from tally_security.sealing import SealingKey
from tally_security.tokens import Tokens

_LOG = get_logger("tally_gateway.server")
AUDIENCE: Final = "tallystick"
_READ_TIMEOUT_S: Final = 10.0
_KEEP_ALIVE_S: Final = 75
_HOUSEKEEPING_S: Final = 2.0
_FORGOTTEN_AT_ONCE: Final = 5_000


class ServerEnded(GatewayError):  # noqa: N818 - named for what it says
    """The HTTP server stopped although nobody asked it to."""

    code = "server_ended"

    def __init__(self, address: str | None) -> None:
        super().__init__(f"the HTTP server on {address} has ended by itself")


def gateway_of(settings: GatewaySettings, bell: Bell, context: WorkerContext) -> Gateway:
    """What handlers work with, put together from the settings and the running service."""
    sealers = Sealers(
        SealingKey.parse(settings.directory_sealing_key.get_secret_value()),
        SealingKey.parse(settings.sealing_key.get_secret_value()),
    )
    current, *previous = settings.keys("access_token_key")
    tokens = Tokens(
        current,
        issuer=settings.public_url,
        audience=AUDIENCE,
        previous=previous[0] if previous else None,
    )
    internal, *internal_previous = settings.keys("internal_key")
    intake = Intake(sealers, settings.ledger_name, StepUp(settings.asks_step_up, internal, sealers))
    return Gateway(
        settings=settings,
        pool=context.pool,
        transactor=context.transactor,
        clock=context.clock,
        ids=context.ids,
        credentials=Credentials(context.pool, context.clock, context.ids, tokens),
        intake=intake,
        batching=Batching(
            intake, context.transactor, settings.intake_batch_max, settings.intake_waiting_max
        ),
        bell=bell,
        reads=asking(settings.portfolio_url, _READ_TIMEOUT_S),
        # A look at contacts is counted and told to whose they are.
        contacts=asking(settings.directory_url, _READ_TIMEOUT_S, once=True),
        identities=asking(settings.kyc_url, _READ_TIMEOUT_S),
        internal_keys=InternalKeys(internal, tuple(internal_previous)),
        stopping=context.stopping,
    )


@dataclass(slots=True)
class ApiServer:
    """Serves the API; `listens` says where, once it does."""

    settings: GatewaySettings
    bell: Bell
    name: str = "api"
    within_s: float = 30.0
    address: str | None = None
    _listening: asyncio.Event = field(default_factory=asyncio.Event)

    async def listens(self) -> str:
        """The address of the API, once it takes requests."""
        await self._listening.wait()
        assert self.address is not None, "it is set before the event"
        return self.address

    async def run(self, context: WorkerContext) -> None:
        gateway = gateway_of(self.settings, self.bell, context)
        listener = socket.create_server((self.settings.host, self.settings.port), backlog=2048)
        host, port = listener.getsockname()[:2]
        self.address = f"http://{host}:{port}"
        server = SignalFreeServer(
            uvicorn.Config(
                build_api(gateway),
                # The parser in C, httptools, where it is installed: a fifth less CPU for each request.
                http="auto",
                ws="none",
                proxy_headers=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=max(1, self.settings.graceful_timeout_s // 2),
            )
        )
        # Requests in work still need it while the server drains.
        taking_in = asyncio.create_task(gateway.batching.run())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        self._listening.set()
        _LOG.info("api_listens", address=self.address)

        async def turn() -> bool:
            if serving.done():
                await serving
                raise ServerEnded(self.address)
            return await keep_house(gateway)

        try:
            await context.take_turns(self.name, _HOUSEKEEPING_S, turn)
            server.should_exit = True
            await serving
        finally:
            for task in (serving, taking_in):
                task.cancel()
            await asyncio.gather(serving, taking_in, return_exceptions=True)
            await gateway.reads.aclose()
            await gateway.contacts.aclose()
            await gateway.identities.aclose()


async def keep_house(gateway: Gateway) -> bool:
    """Forget old keys and challenges; True when there is more to forget."""
    before = gateway.clock.now() - timedelta(days=gateway.settings.idempotency_days)

    async def unit(conn: Connection) -> bool:
        await scoped(conn, EVERY_TENANT)
        more_keys = await commands.forget(conn, before, _FORGOTTEN_AT_ONCE)
        more_challenges = await step_up.forget(conn, before, _FORGOTTEN_AT_ONCE)
        return more_keys or more_challenges

    return await in_transaction(gateway.pool, unit)
