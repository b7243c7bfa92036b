"""A TCP proxy for one link, whose faults are switched while connections run through it."""

import asyncio
import random
import socket
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from tally_runtime import get_logger

_LOG = get_logger("tally_chaos.proxy")
_CHUNK_BYTES = 64 * 1024
_CONNECT_S = 5.0
# On, with no time to linger: the close of such a socket is a RST, not a FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LinkFaultKind(StrEnum):
    """What a link can do wrong."""

    LATENCY = "latency"  # every chunk waits, plus jitter; order is kept
    RATE = "rate"  # so many bytes a second per direction and connection
    BLACK_HOLE = "black_hole"  # bytes are taken and never arrive; nobody is told
    RESET = "reset"  # every connection gets a RST, now and at its next byte
    HALF_OPEN = "half_open"  # nothing is read any more, the sockets stay
    ONE_WAY_UP = "one_way_up"  # nothing gets to the server; its answers arrive
    ONE_WAY_DOWN = "one_way_down"  # requests arrive; no answer gets back
    REFUSE = "refuse"  # connections are cut and no new one is accepted
    SLOW_CLOSE = "slow_close"  # the other side learns late that one side has closed


@dataclass(frozen=True, slots=True)
class LinkFault:
    """A fault with its figures; those its kind does not name are ignored."""

    kind: LinkFaultKind
    latency_ms: int = 200
    jitter_ms: int = 100
    bytes_per_s: int = 32_000
    close_ms: int = 2_000


@dataclass(slots=True, eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    has_lost_bytes: bool = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            sock: socket.socket | None = writer.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()


@dataclass(slots=True)
class FaultProxy:
    """Listens on a loopback port and passes bytes on to another, until a fault says otherwise.

    One fault at a time; `seed` fixes the jitter. `target_port` may be said once it listens.
    """

    name: str
    port: int
    target_port: int = 0
    seed: int = 0
    host: str = "127.0.0.1"
    accepted: int = 0
    _fault: LinkFault | None = None
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _reserved: socket.socket | None = None
    _connections: set[_Connection] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._open.set()
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close_listener()
        if self._reserved is not None:
            self._reserved.close()
        for connection in tuple(self._connections):
            connection.reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def fault(self) -> LinkFault | None:
        """The fault in force."""
        return self._fault

    @property
    def connections(self) -> int:
        """Connections that run through the link now."""
        return len(self._connections)

    async def apply(self, fault: LinkFault) -> None:
        """Put a fault in force in place of the one before, for old and new connections."""
        await self.heal()
        self._fault = fault
        if fault.kind in _HOLDING:
            self._open.clear()
        if fault.kind is LinkFaultKind.REFUSE:
            self._close_listener()
            # The loop closes its socket a moment later.
            await asyncio.sleep(0)
            self._reserved = self._bind()
        if fault.kind in {LinkFaultKind.REFUSE, LinkFaultKind.RESET}:
            for connection in tuple(self._connections):
                connection.reset()

    async def heal(self) -> None:
        """End the fault. What was held back flows on; a stream with a hole in it is reset."""
        self._fault = None
        self._open.set()
        for connection in tuple(self._connections):
            if connection.has_lost_bytes:
                connection.reset()
        await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            sock = self._reserved or self._bind()
            self._reserved = None
            self._server = await asyncio.start_server(self._accept, sock=sock)

    def _bind(self) -> socket.socket:
        """A bound socket refuses connections until it listens, and keeps the port from others."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((self.host, self.port))
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)  # noqa: FBT003 - a positional flag of the standard library
        return sock

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "the server runs each connection as a task"
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            return  # the proxy ends; the server's own callback would log it as an error
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            async with asyncio.timeout(_CONNECT_S):
                back, forth = await asyncio.open_connection(self.host, self.target_port)
        except (OSError, TimeoutError) as error:
            _LOG.info("target_unreachable", link=self.name, error=repr(error))
            return
        connection = _Connection(writer, forth)
        self._connections.add(connection)
        try:
            up = asyncio.create_task(
                self._pump(reader, forth, connection, LinkFaultKind.ONE_WAY_UP)
            )
            down = asyncio.create_task(
                self._pump(back, writer, connection, LinkFaultKind.ONE_WAY_DOWN)
            )
            try:
                await asyncio.gather(up, down)
            finally:
                for task in (up, down):
                    task.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except OSError:
            connection.reset()
        finally:
            self._connections.discard(connection)
            forth.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        connection: _Connection,
        blocked_by: LinkFaultKind,
    ) -> None:
        """Pass one direction on until its source closes; raises `OSError` when a side is gone."""
        chance = random.Random(f"{self.seed}|{self.name}|{self.accepted}|{blocked_by}")  # noqa: S311 - repeatable on purpose
        while data := await source.read(_CHUNK_BYTES):
            await self._held(blocked_by)
            fault = self._fault
            if fault is None:
                sink.write(data)
            elif fault.kind is LinkFaultKind.BLACK_HOLE:
                connection.has_lost_bytes = True
                continue
            elif fault.kind is LinkFaultKind.RESET:
                connection.reset()
                return
            else:
                await _write_late(sink, data, fault, chance)
            await sink.drain()
        await self._held(blocked_by)
        fault = self._fault
        if fault is not None and fault.kind is LinkFaultKind.SLOW_CLOSE:
            await asyncio.sleep(fault.close_ms / 1000)
        if not connection.has_lost_bytes and sink.can_write_eof():
            sink.write_eof()

    async def _held(self, blocked_by: LinkFaultKind) -> None:
        """Wait while the fault in force stops this direction."""
        while self._fault is not None and self._fault.kind in {
            LinkFaultKind.HALF_OPEN,
            blocked_by,
        }:
            await self._open.wait()


_HOLDING = frozenset(
    {LinkFaultKind.HALF_OPEN, LinkFaultKind.ONE_WAY_UP, LinkFaultKind.ONE_WAY_DOWN}
)


async def _write_late(
    sink: asyncio.StreamWriter, data: bytes, fault: LinkFault, chance: random.Random
) -> None:
    if fault.kind is LinkFaultKind.LATENCY:
        await asyncio.sleep((fault.latency_ms + chance.uniform(0, fault.jitter_ms)) / 1000)
        sink.write(data)
    elif fault.kind is LinkFaultKind.RATE:
        # A tenth of a second's worth at a time, so that a large chunk trickles rather than jumps.
        step = max(1, fault.bytes_per_s // 10)
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            await asyncio.sleep(len(piece) / fault.bytes_per_s)
            sink.write(piece)
    else:
        sink.write(data)
