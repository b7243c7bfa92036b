"""Tasks that run as long as their app does: one that ends by itself is a fault."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class TaskCrashed(RuntimeError):  # noqa: N818 - named for what it says
    """A background task raised, or ended although nobody asked it to; the cause is chained."""

    code = "task_crashed"
    retryable = False

    def __init__(self, owner: str, task: str, why: str) -> None:
        super().__init__(f"task {task} of {owner} {why}")
        self.owner = owner
        self.task = task


class BackgroundTasks:
    """Starts an app's loops, notices when one ends, and stops them together."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[None]] = set()
        self._crash: TaskCrashed | None = None
        self._crashed = asyncio.Event()
        self._stopping = False

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until `stop`."""
        task = asyncio.create_task(work, name=f"{self._owner}:{name}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(name, done))

    async def watch(self) -> None:
        """Wait for the first crash and raise it as `TaskCrashed`."""
        await self._crashed.wait()
        assert self._crash is not None
        raise self._crash

    async def stop(self) -> None:
        """Cancel all tasks and wait until each has ended."""
        self._stopping = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._stopping or self._crash is not None:
            return
        why = f"raised {type(error).__name__}: {error}" if error else "ended by itself"
        self._crash = TaskCrashed(self._owner, name, why)
        self._crash.__cause__ = error
        self._crashed.set()
