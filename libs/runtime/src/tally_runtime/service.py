"""Run apps until a signal or a crash, then let them finish what they hold."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from tally_runtime.logs import get_logger

GRACEFUL_TIMEOUT_S = 20.0
_ABORT_BASE = 128
_GC_THRESHOLD = 200_000
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = get_logger(__name__)


class Runnable(Protocol):
    """Something with a beginning and an end.

    `start` returns once the app works. `stop` finishes work in flight and lets go of everything;
    it is also called after a `start` that failed or was cut short.
    """

    @property
    def name(self) -> str: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@runtime_checkable
class Watched(Protocol):
    """A `Runnable` that can tell of a crash: `watch` raises it, and does not return before."""

    async def watch(self) -> None: ...


class AppFailed(RuntimeError):  # noqa: N818 - named for what it says
    """An app could not start, or crashed; the cause is chained."""

    code = "app_failed"
    retryable = False

    def __init__(self, app: str, phase: str, cause: BaseException | None) -> None:
        super().__init__(f"{app}: {phase} failed: {cause}")
        self.app = app
        self.phase = phase


async def run_service(app: Runnable, *, graceful_timeout_s: float = GRACEFUL_TIMEOUT_S) -> int:
    """Run one app; see `run_all`."""
    return await run_all((app,), graceful_timeout_s=graceful_timeout_s)


async def run_all(
    apps: Sequence[Runnable],
    ready: Callable[[], Awaitable[None]] | None = None,
    *,
    until: asyncio.Event | None = None,
    graceful_timeout_s: float = GRACEFUL_TIMEOUT_S,
) -> int:
    """Start apps in order, call `ready`, and stop all together; return the process's exit code.

    The end comes with SIGTERM, SIGINT, `until`, or the crash of an app. 0 is a clean stop; 1 a
    start that failed, a crash, or a stop that failed or took over `graceful_timeout_s`; 128 + n a
    second signal n, which cuts the stop short.
    """
    begun: list[Runnable] = []
    failed = False
    with _StopSignals(until or asyncio.Event()) as signals:
        work = asyncio.create_task(_start_and_watch(apps, begun, ready))
        stop = asyncio.create_task(signals.stop.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed = await _settle(work, stop)
            drained = await _drain(begun, signals.abort, graceful_timeout_s)
    if signals.abort.is_set():
        log.error("stop_aborted", signal=signals.last.name)
        return _ABORT_BASE + signals.last.value
    return 0 if drained and not failed else 1


def run_process(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run `main` on uvloop where it is installed, on asyncio elsewhere; return its exit code."""
    # What was imported lives for ever, and batches make many short-lived objects: the collector's
    # default of a run per 700 of them takes a tenth of the time. One of a batch of 4,000 facts at 50,000
    # took a fifth of the portfolio's.
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    try:
        # Imported here: Windows has no uvloop.
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.run(main())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


async def _start_and_watch(
    apps: Sequence[Runnable], begun: list[Runnable], ready: Callable[[], Awaitable[None]] | None
) -> None:
    for app in apps:
        begun.append(app)
        try:
            await app.start()
        except Exception as error:
            raise AppFailed(app.name, "start", error) from error
        log.info("app_started", app=app.name)
    if ready is not None:
        await ready()
    watchers = [asyncio.create_task(_watch(app)) for app in apps]
    try:
        await asyncio.gather(*watchers)
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


async def _watch(app: Runnable) -> None:
    if not isinstance(app, Watched):
        await asyncio.Event().wait()
        return
    try:
        await app.watch()
    except Exception as error:
        raise AppFailed(app.name, "run", error) from error
    raise AppFailed(app.name, "run", RuntimeError("it stopped watching"))


async def _settle(work: asyncio.Task[None], stop: asyncio.Task[Any]) -> bool:
    """End both tasks and tell whether the work failed, in which case it is logged."""
    for task in (work, stop):
        task.cancel()
    results = await asyncio.gather(work, stop, return_exceptions=True)
    error = results[0]
    if not isinstance(error, Exception):
        return False
    app = error.app if isinstance(error, AppFailed) else "(ready)"
    phase = error.phase if isinstance(error, AppFailed) else "ready"
    log.error("app_failed", app=app, phase=phase, exc_info=error)
    return True


async def _drain(begun: Sequence[Runnable], abort: asyncio.Event, timeout_s: float) -> bool:
    """Stop all apps at once; tell whether each did so in time and without an error."""
    if not begun:
        return True
    log.info("stopping", apps=[app.name for app in begun], graceful_timeout_s=timeout_s)
    stops = [asyncio.create_task(_stop(app)) for app in begun]
    stopped: asyncio.Task[Any] = asyncio.create_task(asyncio.wait(stops))
    aborted: asyncio.Task[Any] = asyncio.create_task(abort.wait())
    try:
        await asyncio.wait(
            {stopped, aborted}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        late = [task for task in stops if not task.done()]
        for task in (*stops, stopped, aborted):
            task.cancel()
        results = await asyncio.gather(*stops, return_exceptions=True)
        await asyncio.gather(stopped, aborted, return_exceptions=True)
    if late and not abort.is_set():
        log.error("stop_timed_out", graceful_timeout_s=timeout_s)
    return all(result is True for result in results)


async def _stop(app: Runnable) -> bool:
    try:
        await app.stop()
    except asyncio.CancelledError:
        log.exception("app_stop_cut_short", app=app.name)
        raise
    except Exception:
        log.exception("app_stop_failed", app=app.name)
        return False
    log.info("app_stopped", app=app.name)
    return True


class _StopSignals:
    """Turns the first stop signal into `stop` and the second into `abort`."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop = stop
        self.abort = asyncio.Event()
        self.last = signal.SIGTERM
        self._seen = 0

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._received, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _received(self, number: signal.Signals) -> None:
        self.last = number
        self._seen += 1
        log.info("signal_received", signal=number.name)
        if self._seen > 1:
            self.abort.set()
        self.stop.set()
