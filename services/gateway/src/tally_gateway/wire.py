"""Questions to read APIs, over kept connections where one may be asked twice.

httpx asks through aiohttp: its own transport reads an answer in Python, which took longer than
portfolio takes to find most of them.
"""

from typing import Final

import aiohttp
import httpx
from yarl import URL

from tally_reads import ASKER_KEEPS_S

CONNECTIONS_MAX: Final = 64
"""So many questions are asked of a service at a time; others wait their turn."""


class _ThroughAiohttp(httpx.AsyncBaseTransport):
    """Asks and reads the whole answer; every failure is an httpx error.

    aiohttp asks once more by itself where a connection was lost, which changes nothing of what is
    asked about; of a look that is told, both are told. With `once` it does not, and no connection is
    kept, since one that was lost while idle would fail a question.
    """

    def __init__(self, timeout_s: float, *, once: bool) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._once = once
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "GET", "what may change something is not asked twice"
        # As it was written: aiohttp would make steps upward of escaped dots.
        url = URL(str(request.url), encoded=True)
        try:
            async with self._open().get(
                url, headers=request.headers, timeout=self._timeout, allow_redirects=False
            ) as found:
                content = await found.read()
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer in time", request=request) from error
        except aiohttp.ClientError as error:
            raise httpx.NetworkError(str(error), request=request) from error
        return httpx.Response(found.status, headers=found.raw_headers, content=content)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """The session, made by the loop that asks first."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, force_close=True)
                if self._once
                else aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=ASKER_KEEPS_S),
                middlewares=(_not_again,) if self._once else (),
                auto_decompress=False,
            )
        return self._session


async def _not_again(
    request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await ask(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # After these two aiohttp asks again, be the connection a new one; after others it does not.
        raise aiohttp.ClientError(str(error)) from error


def asking(url: str, timeout_s: float, *, once: bool = False) -> httpx.AsyncClient:
    """A client for one read API; `once`: no question is asked a second time, since it counts.

    Proxies of the environment are not used.
    """
    return httpx.AsyncClient(
        base_url=url,
        trust_env=False,
        transport=_ThroughAiohttp(timeout_s, once=once),
        headers={"Accept-Encoding": "identity"},
    )
