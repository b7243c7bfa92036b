"""One seed from beginning to verdict."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import stamina

from . import checks
from .planted import Bug
from .services import Platform
from .traffic import Traffic
from .world import Odds, World

STEPS = 20_000
LIVENESS_S = 180.0 + 600.0
"""Work put off by a replica whose clock was ten minutes ahead is due ten minutes later."""
_SLICE_S = 1.0


@dataclass(frozen=True)
class Verdict:
    """What came of a run: `violations` is empty when every invariant held.

    `steps` are those taken while things broke; the way to rest afterwards is not counted.
    """

    seed: int
    asked: int
    bug: Bug | None
    steps: int
    trace_hash: str
    violations: Sequence[str]
    faults: dict[str, int]
    tail: Sequence[str]
    payouts: dict[str, int]
    virtual_s: float

    @property
    def sound(self) -> bool:
        return not self.violations

    @property
    def remedy(self) -> str:
        """The one command that replays the run."""
        bug = "" if self.bug is None else f" BUG={self.bug}"
        return f"make chaos-sim SEED={self.seed} STEPS={self.asked}{bug}"


def simulate(seed: int, steps: int = STEPS, bug: Bug | None = None, odds: Odds | None = None):
    """Run until `steps` steps were taken, heal, wait for rest, judge."""
    # Back-offs of the real code draw from the global generator: it belongs to this run meanwhile.
    outside, hooks = random.getstate(), stamina.instrumentation.get_on_retry_hooks()
    random.seed(seed)
    stamina.instrumentation.set_on_retry_hooks([])
    world = World(seed, odds)
    try:
        return _run(world, steps, bug)
    finally:
        world.close()
        random.setstate(outside)
        stamina.instrumentation.set_on_retry_hooks(hooks)


def _run(world: World, steps: int, bug: Bug | None) -> Verdict:
    platform = Platform(world, bug)
    traffic = Traffic(platform)
    platform.launch()
    traffic.begin()
    judged = -1
    while world.steps < steps and not world.violations:
        _advance(world)
        commits = platform.databases["ledger"].commits
        if commits != judged:
            judged = commits
            for wrong in checks.conserved(platform):
                world.violate(wrong)
    taken = world.steps
    traffic.sending = False
    world.faulty = False
    for process in world.processes.values():
        process.stopped_until = 0.0
    _come_to_rest(world, platform)
    if not world.violations:
        for wrong in checks.at_rest(platform, traffic):
            world.violate(wrong)
    states: dict[str, int] = {}
    for row in platform.databases["payouts"].rows["payout"].values():
        states[row.payout.state.value] = states.get(row.payout.state.value, 0) + 1
    return Verdict(
        world.seed,
        steps,
        bug,
        taken,
        world.trace_hash,
        tuple(world.violations),
        dict(sorted(world.faults.items())),
        tuple(world.tail),
        dict(sorted(states.items())),
        world.loop.time(),
    )


def _come_to_rest(world: World, platform: Platform) -> None:
    """Everything that was accepted ends within a bounded time after the last fault."""
    limit = world.loop.time() + LIVENESS_S
    while not world.violations and (reason := checks.busy(platform)) is not None:
        if world.loop.time() > limit:
            world.violate(f"not at rest {LIVENESS_S:.0f} s after the last fault: {reason}")
        _advance(world)


def _advance(world: World) -> None:
    """Let a moment pass."""
    done = world.loop.create_future()
    world.loop.call_later(_SLICE_S, done.set_result, None)
    world.loop.run_until_complete(done)
