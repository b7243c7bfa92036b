"""The read API as a part of the running service."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, Final

import uvicorn
from fastapi import FastAPI

from tally_messaging import WorkerContext
from tally_reads.settings import ReadSettings

ASKER_KEEPS_S: Final = 60.0
"""For so long whoever asks keeps an idle connection: the gateway's clients take it from here."""
KEEP_ALIVE_S: Final = 75
"""For so long a read API keeps it, well beyond whoever asks: closed by both in the same moment, it
would have taken a question with it that is never answered."""
_TICK_S = 1.0


class SignalFreeServer(uvicorn.Server):
    """Leaves signals to the process: whoever runs the service says when it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def served(app: FastAPI, settings: ReadSettings) -> uvicorn.Config:
    """How a read API is served."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.graceful_timeout_s,
    )


class ReadServer:
    """Serves the application that `build` makes until the service stops; `port` says where."""

    name: ClassVar[str] = "reads"
    within_s: ClassVar[float] = 30.0

    def __init__(self, settings: ReadSettings, build: Callable[[WorkerContext], FastAPI]) -> None:
        self._settings = settings
        self._build = build
        self.port = settings.read_port

    async def run(self, context: WorkerContext) -> None:
        """Listen, answer, and let answers under way end."""
        settings = self._settings
        server = SignalFreeServer(served(self._build(context), settings))
        listener = socket.create_server((settings.read_host, settings.read_port))
        self.port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="reads")
        while not context.stopping.is_set() and not serving.done():
            context.health.progress(self.name)
            with suppress(TimeoutError):
                await asyncio.wait_for(context.stopping.wait(), _TICK_S)
        server.should_exit = True
        await serving
        assert context.stopping.is_set(), "the read API ended by itself"
