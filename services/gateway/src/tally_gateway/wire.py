"""Questions to read APIs over kept connections, for httpx.

Its own transport reads answers in Python, which took longer than portfolio takes to find most of them.
This one asks with GET alone, of one address, and parses in C what uvicorn answers.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

import httptools
import httpx

CONNECTIONS_MAX: Final = 64
"""So many questions are asked at a time; others wait their turn."""

Header = tuple[bytes, bytes]


class _HungUp(httpx.RemoteProtocolError):
    """The other side closed the connection before it answered."""


class _Exchange(asyncio.Protocol):
    """One connection: a question, and then its answer."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[httpx.Response] | None = None
        self._headers: list[Header] = []
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(_HungUp(f"the connection was lost: {exc}"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(str(error)))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = httpx.Response(
            self._parser.get_status_code(), headers=self._headers, content=b"".join(self._body)
        )
        if not self._parser.should_keep_alive():
            self.close()
        if self._answered is None or self._answered.done():
            # Nobody asked for it: what else comes this way belongs to no question.
            self.close()
        else:
            self._answered.set_result(answer)

    async def ask(self, question: bytes) -> httpx.Response:
        """The answer to a question; raises an httpx error without one."""
        assert self._transport is not None, "it is connected"
        self._headers, self._body = [], []
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(question)
        return await self._answered

    def close(self) -> None:
        """Ask nothing more over it."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def _fail(self, error: httpx.TransportError) -> None:
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


class Wire(httpx.AsyncBaseTransport):
    """Asks one address, over connections that are kept; `connections_max` at a time."""

    def __init__(self, connections_max: int = CONNECTIONS_MAX) -> None:
        self._idle: list[_Exchange] = []
        self._turns = asyncio.Semaphore(connections_max)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The whole answer; raises an httpx error for every failure, a time-out among them."""
        question = _written(request)
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]), self._turns:
                answer = await self._over_a_kept_one(question)
                if answer is None:
                    answer = await self._ask(await _connected(request.url), question)
                return answer
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time", request=request) from error
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def _over_a_kept_one(self, question: bytes) -> httpx.Response | None:
        """None where none is left open: a question may be asked once more, since it changes nothing."""
        while self._idle:
            exchange = self._idle.pop()
            if exchange.is_open:
                try:
                    return await self._ask(exchange, question)
                except _HungUp:
                    return None
        return None

    async def _ask(self, exchange: _Exchange, question: bytes) -> httpx.Response:
        try:
            answer = await exchange.ask(question)
        except BaseException:
            # An answer that is given up would be taken for that to the next question.
            exchange.close()
            raise
        if exchange.is_open:
            self._idle.append(exchange)
        return answer


async def _connected(url: httpx.URL) -> _Exchange:
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    _, exchange = await asyncio.get_running_loop().create_connection(
        _Exchange, url.host, port, ssl=True if secure else None
    )
    return exchange


def _written(request: httpx.Request) -> bytes:
    assert request.method == "GET", "what may change something is not asked twice"
    lines = [b"GET %s HTTP/1.1" % request.url.raw_path, *_lines(request.headers.raw)]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise httpx.LocalProtocolError("a line of the question has a line's end in it")
    return b"\r\n".join([*lines, b"", b""])


def _lines(headers: Sequence[Header]) -> list[bytes]:
    return [b"%s: %s" % header for header in headers]
