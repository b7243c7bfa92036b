"""What stands in a service's database, measured as gauges for as long as it runs."""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar, Final

from tally_messaging.service import WorkerContext
from tally_postgres import Pool

_INTERVAL_S: Final = 10.0


class Watch(ABC):
    """A worker that measures every ten seconds; a service says what, and under which name."""

    __slots__ = ()
    name: ClassVar[str] = "standing_watch"
    within_s: ClassVar[float] = 60.0

    @abstractmethod
    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what stands in the database; what nothing stands in is zero."""

    async def run(self, context: WorkerContext) -> None:
        """Measure, and wait, until the service stops."""

        async def turn() -> bool:
            await self.measure(context.pool, context.clock.now())
            return False

        await context.take_turns(self.name, _INTERVAL_S, turn)
