"""The read API as a part of the running service."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

import uvicorn

from tally_directory.api import ReadApi, build_api
from tally_directory.settings import DirectorySettings
from tally_messaging import WorkerContext

_TICK_S = 1.0


class _Server(uvicorn.Server):
    """Leaves the signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ReadServer:
    """Serves the read API until the service stops; not at all if its port is 0."""

    name: ClassVar[str] = "reads"
    within_s: ClassVar[float] = 30.0

    def __init__(self, settings: DirectorySettings) -> None:
        self._settings = settings
        self.port = settings.read_port

    async def run(self, context: WorkerContext) -> None:
        """Listen, answer, and let answers under way end."""
        settings = self._settings
        api = ReadApi(
            transactor=context.transactor,
            clock=context.clock,
            keys=settings.keys(),
            vault=settings.vault(),
            per_minute=settings.contact_views_per_minute,
        )
        server = _Server(
            uvicorn.Config(
                build_api(api),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=settings.graceful_timeout_s,
            )
        )
        listener = socket.create_server((settings.read_host, settings.read_port))
        self.port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="directory-reads")
        while not context.stopping.is_set() and not serving.done():
            context.health.progress(self.name)
            with suppress(TimeoutError):
                await asyncio.wait_for(context.stopping.wait(), _TICK_S)
        server.should_exit = True
        await serving
        assert context.stopping.is_set(), "the read API ended by itself"
