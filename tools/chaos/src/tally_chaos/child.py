"""A process that is started again whenever it ends, as an orchestrator would, until it is ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tally_chaos.history import History

_RESTART_S, _RESTART_MAX_S = 0.3, 3.0
_READY_S = 60.0
_END_S = 12.0


class ChildNotReady(RuntimeError):  # noqa: N818 - named for what it says
    """A process did not say in time that it works; its log says why."""

    code = "child_not_ready"


@dataclass(slots=True)
class Child:
    """`arguments` are a module and its arguments; `once` is added to the next start's environment."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    history: History
    restarts: bool = True
    once: dict[str, str] = field(default_factory=dict)
    hold_s: float = 0.0
    starts: int = 0
    own_exits: list[int] = field(default_factory=list)
    first_line: bytes = b""
    _process: asyncio.subprocess.Process | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _ending: bool = False
    _expected: bool = False

    def begin(self) -> None:
        """Start it and look after it."""
        self._task = asyncio.create_task(self._look_after(), name=f"child-{self.name}")

    async def ready(self, timeout_s: float = _READY_S) -> None:
        """Wait until it has said that it works; raises `ChildNotReady`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            raise ChildNotReady(f"{self.name} is not ready: see {self.log}") from None

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when there is no process just now. One that ends it is expected."""
        process = self._process
        if process is None or process.returncode is not None:
            return False
        if number in {signal.SIGKILL, signal.SIGTERM}:
            self._expected = True
            self._ready.clear()
        process.send_signal(number)
        return True

    async def end(self) -> None:
        """End it for good: SIGTERM, and SIGKILL if that takes too long."""
        self._ending = True
        if self._task is None:
            return
        self.send(signal.SIGCONT)
        if not self.send(signal.SIGTERM):
            self._task.cancel()
        _, late = await asyncio.wait({self._task}, timeout=_END_S)
        if late:
            self.history.add(self.name, "info", "killed_at_end")
            self.kill_now()
        await asyncio.gather(self._task, return_exceptions=True)

    def kill_now(self) -> None:
        """SIGKILL, without a restart."""
        self._ending = True
        self.send(signal.SIGKILL)

    async def _look_after(self) -> None:
        failures = 0
        while True:
            process = await self._start()
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                raise
            self._ready.clear()
            own = not self._was_expected(code)
            failures = failures + 1 if own else 0
            if own:
                self.own_exits.append(code)
            self.history.add(self.name, "info", "exit", code=code, own=own)
            if self._has_ended():
                return
            await asyncio.sleep(
                max(self.hold_s, min(_RESTART_S * 2 ** max(failures - 1, 0), _RESTART_MAX_S))
            )
            self.hold_s = 0.0

    def _was_expected(self, code: int) -> bool:
        # A process told to die at a point sends itself a SIGKILL.
        return self._expected or self._ending or code == -signal.SIGKILL

    def _has_ended(self) -> bool:
        return self._ending or not self.restarts

    async def _start(self) -> asyncio.subprocess.Process:
        environment = {**os.environ, **self.environment, **self.once}
        self.once = {}
        self._expected = False
        self.starts += 1
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", *self.arguments),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._process = process
        self.history.add(self.name, "info", "start", pid=process.pid)
        assert process.stdout is not None, "stdout is a pipe"
        # A process that ends before it is ready closes the pipe: no need to race its exit.
        if line := await process.stdout.readline():
            self.first_line = line
            self._ready.set()
        return process
