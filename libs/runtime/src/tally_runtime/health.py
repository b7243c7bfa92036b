"""Live means progressing, ready means able to work: both asked over HTTP, beside the metrics."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from tally_runtime.clock import Clock

CHECK_TIMEOUT_S = 3.0
_REQUEST_TIMEOUT_S = 5.0
_REQUEST_BYTES_MAX = 8192

ReadinessCheck = Callable[[], Awaitable[None]]
"""Returns when the dependency can be used, raises when it cannot."""


class Health:
    """What a process knows of itself.

    A loop that must not stall is announced with `expect` and marks each turn with `progress`;
    one that is late makes the process not live, so that its supervisor restarts it. A dependency
    that is down makes the process not ready, never not live.
    """

    def __init__(self, clock: Clock, *, check_timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self._clock = clock
        self._check_timeout_s = check_timeout_s
        self._seen: dict[str, float] = {}
        self._within_s: dict[str, float] = {}
        self._checks: dict[str, ReadinessCheck] = {}

    def expect(self, name: str, within_s: float) -> None:
        """Require `progress(name)` at least every `within_s` seconds, counting from now."""
        if within_s <= 0:
            raise ValueError(f"expect({name!r}) needs a positive number of seconds, not {within_s}")
        self._within_s[name] = within_s
        self.progress(name)

    def progress(self, name: str) -> None:
        """Mark one turn of the loop `name`."""
        self._seen[name] = self._clock.monotonic()

    def forget(self, name: str) -> None:
        """Stop expecting a loop that ended on purpose."""
        self._within_s.pop(name, None)
        self._seen.pop(name, None)

    def late(self) -> tuple[str, ...]:
        """Return the loops that are overdue."""
        now = self._clock.monotonic()
        return tuple(
            name for name, within in self._within_s.items() if now - self._seen[name] > within
        )

    def is_live(self) -> bool:
        """Tell whether every expected loop progressed in time."""
        return not self.late()

    def require(self, name: str, check: ReadinessCheck) -> None:
        """Add a readiness check; it is given `check_timeout_s` each time."""
        self._checks[name] = check

    async def unready(self) -> dict[str, str]:
        """Run all checks and return the failed ones with the kind of failure; empty is ready."""
        names = tuple(self._checks)
        results = await asyncio.gather(
            *(_failure(self._checks[name], self._check_timeout_s) for name in names)
        )
        return {name: why for name, why in zip(names, results, strict=True) if why}


async def _failure(check: ReadinessCheck, timeout_s: float) -> str:
    try:
        async with asyncio.timeout(timeout_s):
            await check()
    except TimeoutError:
        return "timed out"
    except Exception as error:  # noqa: BLE001 - any failure of a dependency is the answer itself
        # The class alone: messages of drivers may hold addresses and secrets.
        return type(error).__name__
    return ""


class HealthServer:
    """Answers GET /live, /ready and /metrics; a `Runnable` of its own."""

    name = "health"

    def __init__(self, health: Health, registry: CollectorRegistry, host: str, port: int) -> None:
        self._health = health
        self._registry = registry
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port in use; asking for port 0 lets the system choose one."""
        return self._port

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._answer, self._host, self._port, limit=_REQUEST_BYTES_MAX
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await self._response(head)
                writer.write(
                    f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                writer.write(b"" if head.startswith(b"HEAD ") else body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # A prober that is slow, gone or not speaking HTTP gets no answer and costs nothing.
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _response(self, head: bytes) -> tuple[HTTPStatus, str, bytes]:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method not in {b"GET", b"HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"use GET\n"
        if path == b"/live":
            late = self._health.late()
            return _verdict(ok=not late, detail={"late": list(late)})
        if path == b"/ready":
            unready = await self._health.unready()
            return _verdict(ok=not unready, detail={"unready": unready})
        if path == b"/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        return HTTPStatus.NOT_FOUND, "text/plain", b"/live /ready /metrics\n"


def _verdict(*, ok: bool, detail: dict[str, object]) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps({"ok": ok, **detail}).encode() + b"\n"
