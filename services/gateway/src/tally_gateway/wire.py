"""Questions to read APIs, over kept connections.

httpx asks through aiohttp: its own transport reads an answer in Python, which took longer than
portfolio takes to find most of them.
"""

from typing import Final

import aiohttp
import httpx
from yarl import URL

CONNECTIONS_MAX: Final = 64
"""So many questions are asked of a service at a time; others wait their turn."""
# Shorter than read APIs keep an idle connection, so that this side closes it first.
_KEPT_S: Final = 60.0


class _ThroughAiohttp(httpx.AsyncBaseTransport):
    """Asks and reads the whole answer; every failure is an httpx error.

    aiohttp asks once more by itself where a kept connection was lost: a GET changes nothing.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
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
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=_KEPT_S),
                auto_decompress=False,
            )
        return self._session


def asking(url: str, timeout_s: float) -> httpx.AsyncClient:
    """A client for one read API; proxies of the environment are not used."""
    return httpx.AsyncClient(
        base_url=url,
        trust_env=False,
        transport=_ThroughAiohttp(timeout_s),
        headers={"Accept-Encoding": "identity"},
    )
