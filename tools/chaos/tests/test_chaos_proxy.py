"""Each fault of the link proxy does what its name says, and nothing is left of it when healed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tally_chaos.proxy import FaultProxy, LinkFault, LinkFaultKind
from tally_embedded.process import free_ports

SOON_S = 5
NEVER_S = 0.3


@dataclass
class Echo:
    """A server that answers what it gets, and remembers it."""

    got: bytearray = field(default_factory=bytearray)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                self.got += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def link() -> AsyncIterator[tuple[FaultProxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[1]
    try:
        async with FaultProxy("test", free_ports(1)[0], target) as proxy:
            yield proxy, echo
    finally:
        server.close()


@asynccontextmanager
async def client(
    proxy: FaultProxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read(reader: asyncio.StreamReader, count: int) -> bytes:
    async with asyncio.timeout(SOON_S):
        return await reader.readexactly(count)


async def silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(NEVER_S):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def until(condition: object) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110 - what is waited for is elsewhere
            await asyncio.sleep(0.01)


async def test_without_a_fault_bytes_and_the_close_pass_both_ways() -> None:
    async with link() as (proxy, echo), client(proxy) as (reader, writer):
        payload = bytes(range(256)) * 4096
        writer.write(payload)
        assert await read(reader, len(payload)) == payload
        writer.write_eof()
        await asyncio.wait_for(echo.closed.wait(), SOON_S)
        assert await asyncio.wait_for(reader.read(), SOON_S) == b""
        await until(lambda: proxy.connections == 0)


async def test_latency_holds_each_chunk_and_keeps_the_order() -> None:
    async with link() as (proxy, _), client(proxy) as (reader, writer):
        await proxy.apply(LinkFault(LinkFaultKind.LATENCY, latency_ms=400, jitter_ms=50))
        writer.write(b"one")
        assert await silent(reader)
        writer.write(b"two")
        assert await read(reader, 6) == b"onetwo"


async def test_rate_lets_bytes_through_by_and_by() -> None:
    async with link() as (proxy, echo), client(proxy) as (reader, writer):
        await proxy.apply(LinkFault(LinkFaultKind.RATE, bytes_per_s=10_000))
        writer.write(b"x" * 10_000)
        await asyncio.sleep(NEVER_S)
        assert 0 < len(echo.got) < 10_000
        assert await read(reader, 10_000) == b"x" * 10_000


async def test_a_black_hole_swallows_silently_and_its_broken_stream_ends_with_it() -> None:
    async with link() as (proxy, echo), client(proxy) as (reader, writer):
        await proxy.apply(LinkFault(LinkFaultKind.BLACK_HOLE))
        writer.write(b"lost")
        assert await silent(reader)
        assert not echo.got
        await proxy.heal()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), SOON_S)
        async with client(proxy) as (again, other):
            other.write(b"kept")
            assert await read(again, 4) == b"kept"


async def test_a_reset_reaches_old_connections_at_once_and_new_ones_at_their_first_byte() -> None:
    async with link() as (proxy, echo), client(proxy) as (reader, writer):
        writer.write(b"hello")
        assert await read(reader, 5) == b"hello"
        await proxy.apply(LinkFault(LinkFaultKind.RESET))
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), SOON_S)
        await asyncio.wait_for(echo.closed.wait(), SOON_S)
        async with client(proxy) as (second, other):
            other.write(b"again")
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(second.read(1), SOON_S)
        assert bytes(echo.got) == b"hello"


async def test_half_open_keeps_the_sockets_and_delivers_nothing_until_it_heals() -> None:
    async with link() as (proxy, echo), client(proxy) as (reader, writer):
        await proxy.apply(LinkFault(LinkFaultKind.HALF_OPEN))
        writer.write(b"waits")
        assert await silent(reader)
        assert not echo.got
        assert proxy.connections == 1
        await proxy.heal()
        assert await read(reader, 5) == b"waits"


async def test_one_way_up_stops_requests_and_lets_answers_through() -> None:
    async with link() as (proxy, echo), client(proxy) as (reader, writer):
        writer.write(b"a")
        assert await read(reader, 1) == b"a"
        await proxy.apply(LinkFault(LinkFaultKind.ONE_WAY_UP))
        writer.write(b"b")
        assert await silent(reader)
        assert bytes(echo.got) == b"a"
        echo.writers[0].write(b"news")
        assert await read(reader, 4) == b"news"
        await proxy.heal()
        assert await read(reader, 1) == b"b"


async def test_one_way_down_lets_requests_through_and_stops_answers() -> None:
    async with link() as (proxy, echo), client(proxy) as (reader, writer):
        await proxy.apply(LinkFault(LinkFaultKind.ONE_WAY_DOWN))
        writer.write(b"done")
        await until(lambda: bytes(echo.got) == b"done")
        assert await silent(reader)
        await proxy.heal()
        assert await read(reader, 4) == b"done"


async def test_refuse_cuts_connections_and_takes_no_new_one_until_it_heals() -> None:
    async with link() as (proxy, _), client(proxy) as (reader, writer):
        writer.write(b"a")
        assert await read(reader, 1) == b"a"
        await proxy.apply(LinkFault(LinkFaultKind.REFUSE))
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), SOON_S)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.heal()
        async with client(proxy) as (again, other):
            other.write(b"b")
            assert await read(again, 1) == b"b"


async def test_slow_close_tells_the_other_side_late() -> None:
    async with link() as (proxy, echo), client(proxy) as (_, writer):
        writer.write(b"a")
        await until(lambda: bytes(echo.got) == b"a")
        await proxy.apply(LinkFault(LinkFaultKind.SLOW_CLOSE, close_ms=600))
        writer.write_eof()
        await asyncio.sleep(NEVER_S)
        assert not echo.closed.is_set()
        await asyncio.wait_for(echo.closed.wait(), SOON_S)


async def test_a_server_that_is_down_ends_the_connection_instead_of_hanging_it() -> None:
    port, nobody = free_ports(2)
    async with FaultProxy("test", port, nobody) as proxy, client(proxy) as (reader, _):
        try:
            assert await asyncio.wait_for(reader.read(1), SOON_S) == b""
        except ConnectionResetError:
            return
