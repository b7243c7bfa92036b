"""The world of one seed: time, chance, the trace, and processes that crash, stop and wake up."""

import asyncio
import contextvars
import hashlib
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .loop import SimulatedLoop

BEGINNING = datetime(2026, 9, 21, 8, tzinfo=UTC)
CURRENT: contextvars.ContextVar["Process"] = contextvars.ContextVar("process")
_TAIL_LINES = 60


@dataclass(frozen=True)
class Odds:
    """How likely a fault is at each step of a process, and how long what takes time takes (s)."""

    crash: float = 0.0012
    stop: float = 0.0006
    clock: float = 0.001
    database: float = 0.004
    lost_commit_answer: float = 0.004
    producer: float = 0.01
    broker: float = 0.003
    latency_s: float = 0.012

    @classmethod
    def drawn(cls, rng: random.Random) -> "Odds":
        """Each seed has a character of its own: calm or stormy, fast or slow."""
        storm = rng.choice([0.3, 1, 1, 3])
        return cls(
            crash=cls.crash * rng.choice([0.3, 1, 3]),
            stop=cls.stop * rng.choice([0.3, 1, 4]),
            clock=cls.clock * storm,
            database=cls.database * storm,
            lost_commit_answer=cls.lost_commit_answer * storm,
            producer=cls.producer * rng.choice([0.3, 1, 4]),
            broker=cls.broker * storm,
            latency_s=rng.choice([0.004, 0.012, 0.05]),
        )


class Process:
    """One incarnation of a service's replica. Dead, it can do nothing more, whatever its code tries."""

    def __init__(self, world: "World", name: str, incarnation: int) -> None:
        self.world = world
        self.name = name
        self.label = f"{name}#{incarnation}"
        self.incarnation = incarnation
        self.alive = True
        self.stopped_until = 0.0
        self.clock = ProcessClock(self)
        self.tasks: dict[asyncio.Task, None] = {}
        self.on_death: list[Callable[[], None]] = []
        self.on_stop: list[Callable[[float], None]] = []

    async def step(self, what: str, *, counted: bool = True) -> None:
        """A point at which time passes, and at which the process may crash or be stopped."""
        world = self.world
        if not self.alive:
            raise asyncio.CancelledError
        await asyncio.sleep(world.rng.random() * world.odds.latency_s)
        await self._stand_still()
        if counted:
            world.steps += 1
            world.trace(self.label, what)
            await self._suffer(what)

    async def _stand_still(self) -> None:
        loop = self.world.loop
        while self.stopped_until > loop.time():  # noqa: ASYNC110 - simulated time passes at once
            await asyncio.sleep(self.stopped_until - loop.time())
        if not self.alive:
            raise asyncio.CancelledError

    async def _suffer(self, what: str) -> None:
        world, odds = self.world, self.world.odds
        if not world.faulty:
            return
        chance = world.rng.random()
        if chance < odds.crash:
            self.kill(what)
            raise asyncio.CancelledError
        chance -= odds.crash
        if chance < odds.stop:
            self.stop()
            await self._stand_still()
            world.trace(self.label, "wakes")
            return
        chance -= odds.stop
        if chance < odds.clock:
            self.clock.jump()

    def kill(self, where: str) -> None:
        """As by `kill -9`: nothing of it goes on, whatever was not committed is gone."""
        self.alive = False
        self.world.count("crash")
        self.world.trace(self.label, f"CRASH at {where}")
        for hook in self.on_death:
            hook()
        for task in list(self.tasks):
            task.cancel()
        self.world.restart(self)

    def stop(self) -> None:
        """As by SIGSTOP: for longer than its session about half of the time."""
        pause = self.world.rng.choice([0.3, 2.0, 9.0, 14.0, 25.0])
        self.stopped_until = self.world.loop.time() + pause
        self.world.count("stop")
        self.world.trace(self.label, f"STOPPED for {pause}")
        for hook in self.on_stop:
            hook(pause)


class ProcessClock:
    """A replica's own clock: wrong by a little or a lot, and set back or forth now and then."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._offset = timedelta(0)

    def now(self) -> datetime:
        world = self._process.world
        offset = self._offset if world.faulty else timedelta(0)
        return BEGINNING + timedelta(microseconds=round(world.loop.time() * 1e6)) + offset

    def monotonic(self) -> float:
        return self._process.world.loop.time()

    def jump(self) -> None:
        seconds = self._process.world.rng.choice([-600, -3, -0.5, 0, 0.5, 3, 600])
        self._offset = timedelta(seconds=seconds)
        self._process.world.count("clock")
        self._process.world.trace(self._process.label, f"CLOCK off by {seconds}")


class World:
    """Chance, time and memory of one run. `faulty` is set while things may break."""

    def __init__(self, seed: int, odds: Odds | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.odds = odds or Odds.drawn(self.rng)
        self.loop = SimulatedLoop()
        self.loop.set_task_factory(_owned_task)
        self.loop.set_exception_handler(self._unhandled)
        self.steps = 0
        self.faulty = True
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._digest = hashlib.sha256()
        self._mains: dict[str, Callable[[Process], Awaitable[None]]] = {}
        self.processes: dict[str, Process] = {}

    def trace(self, who: str, what: str) -> None:
        """Add a line to the trace; its hash is what two runs of a seed are compared by."""
        line = f"{self.loop.time():.6f} {who} {what}"
        self._digest.update(line.encode() + b"\n")
        self.tail.append(line)

    @property
    def trace_hash(self) -> str:
        return self._digest.hexdigest()

    def count(self, fault: str) -> None:
        self.faults[fault] += 1

    def violate(self, what: str) -> None:
        """Something happened that must never happen."""
        self.trace("VIOLATION", what)
        if len(self.violations) < 20:
            self.violations.append(what)

    def likely(self, odds: float) -> bool:
        """Draw, while faults are on; nothing is drawn after that."""
        return self.faulty and self.rng.random() < odds

    def launch(self, name: str, main: Callable[[Process], Awaitable[None]]) -> None:
        self._mains[name] = main
        self._start(name, 1)

    def restart(self, dead: Process) -> None:
        delay = self.rng.choice([0.05, 0.5, 3.0, 11.0])
        self.loop.call_later(delay, self._start, dead.name, dead.incarnation + 1)

    def _start(self, name: str, incarnation: int) -> None:
        process = Process(self, name, incarnation)
        self.processes[name] = process
        self.trace(process.label, "starts")
        context = contextvars.Context()
        context.run(CURRENT.set, process)
        self.loop.create_task(self._run(process), context=context)

    async def _run(self, process: Process) -> None:
        try:
            await self._mains[process.name](process)
        except Exception as error:
            self.violate(f"{process.label} ended with {type(error).__name__}: {error}")
            raise

    def close(self) -> None:
        """End whatever still runs, as dead as by a crash."""
        self.faulty = False
        tasks = asyncio.all_tasks(self.loop)
        for process in self.processes.values():
            process.alive = False
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict) -> None:
        """A future of a dead process may end with an error that nobody is left to read."""


def _owned_task(loop, coroutine, **options):
    task = asyncio.Task(coroutine, loop=loop, **options)
    process = CURRENT.get(None)
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(lambda done: process.tasks.pop(done, None))
    return task


class TraceLog:
    """Stands where a module keeps its logger: what is said goes to the trace."""

    def __init__(self, world: World, *, fatal: frozenset[str] = frozenset()) -> None:
        self._world = world
        self._fatal = fatal

    def _say(self, event: str, **_: object) -> None:
        self._world.trace("log", event)

    debug = info = warning = _say

    def error(self, event: str, **details: object) -> None:
        self._world.trace("log", event)
        if event in self._fatal:
            self._world.violate(f"{event}: {details.get('error')} {details.get('exc_info')!r}")

    exception = error
