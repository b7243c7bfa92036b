"""An event loop whose time passes only when nothing is left to do at the present moment."""

import asyncio
import selectors


class Stalled(RuntimeError):  # noqa: N818 - named for what it says
    """Nothing can happen any more and somebody still waits."""


class _Leaping(selectors.SelectSelector):
    """Waits for nothing: it moves the clock to where the wait would have ended."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise Stalled("no task can go on and no timer is set")
        if timeout > 0:
            self.now += timeout
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0.0 and is the same in every run of the same program."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now
