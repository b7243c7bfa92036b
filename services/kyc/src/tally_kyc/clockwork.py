"""The worker that looks at the clock: what was shown grows old without anybody's doing."""

from dataclasses import dataclass

from tally_kyc.service import Identity
from tally_messaging import WorkerContext

_MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class Clockwork:
    """Takes a turn every `interval_ms`, and at once again while there is more to do."""

    identity: Identity
    interval_ms: int
    name: str = "clockwork"
    within_s: float = 7_200.0

    async def run(self, context: WorkerContext) -> None:
        async def turn() -> bool:
            return await context.transactor.run(self.identity.keep_time)

        await context.take_turns(self.name, self.interval_ms / _MS_PER_S, turn)
