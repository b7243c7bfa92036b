"""One seed from an empty machine to a verdict, and many seeds one after another."""

import asyncio
import json
import logging
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tally_chaos.faults import Nemesis
from tally_chaos.history import History
from tally_chaos.judge import LIVENESS_S, Findings, NotLive, ask_oracle, examine, until_quiet
from tally_chaos.load import Load
from tally_chaos.plan import Plan, make_plan
from tally_chaos.platform import Platform, running_platform
from tally_reconciliation import ReconciliationError
from tally_runtime import SystemClock

EVENTS_PER_S = 8
EVENTS_MIN, EVENTS_MAX = 100, 100_000
_SETTLE_S = 180.0


@dataclass(slots=True)
class Result:
    """What one seed came to; `problems` empty is green. Times are whole seconds or tenths."""

    seed: int
    seconds_of_faults: int
    plan_hash: str
    plant: str | None
    events: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    overlapping_max: int = 0
    republished: dict[str, int] = field(default_factory=dict)
    own_exits: dict[str, list[int]] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    heal_s: float | None = None
    findings: Findings = field(default_factory=Findings)
    checks: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def fault_count(self) -> int:
        """Faults that were carried out."""
        return sum(self.faults.values())

    @property
    def verdict(self) -> str:
        """`green` or `red`."""
        return "red" if self.problems else "green"

    def to_json(self) -> dict[str, object]:
        """The result as a document."""
        return {"verdict": self.verdict, "fault_count": self.fault_count, **asdict(self)}


async def run_seed(
    seed: int,
    seconds: int,
    var: Path,
    *,
    events: int | None = None,
    plant: str | None = None,
    liveness_s: float = LIVENESS_S,
    say: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run one seed against a platform of its own, made anew; everything it starts has ended then.

    Writes history.jsonl, plan.json, result.json, oracle.json and the logs to `var/chaos/<seed>`.
    Raises `StackError` or `ChildNotReady` when the platform cannot be started.
    """
    clock = SystemClock()
    began = clock.monotonic()
    folder = (var / "chaos" / str(seed)).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = make_plan(seed, seconds)
    (folder / "plan.json").write_text(json.dumps(asdict(plan), indent=1) + "\n")
    result = Result(seed, seconds, plan.hash, plant)
    with History(folder / "history.jsonl", clock) as history:
        async with running_platform(folder, history, plant=plant) as platform:
            say(f"seed {seed}: the platform is up after {clock.monotonic() - began:.0f} s")
            load = Load(
                platform,
                clock,
                seed=seed,
                events=events or max(EVENTS_MIN, EVENTS_PER_S * seconds),
            )
            try:
                await _storm(platform, load, plan, result, say)
                await _judge(platform, load, result, say, liveness_s)
            finally:
                await load.close()
    result.seconds = round(clock.monotonic() - began, 1)
    (folder / "result.json").write_text(json.dumps(result.to_json(), indent=2) + "\n")
    return result


async def _storm(
    platform: Platform, load: Load, plan: Plan, result: Result, say: Callable[[str], None]
) -> None:
    """Load and faults at the same time, then the end of all faults."""
    await load.prepare()
    await until_quiet(platform, within_s=_SETTLE_S)
    nemesis = Nemesis(platform)
    say(f"seed {plan.seed}: {len(plan.faults)} faults in {plan.seconds} s, plan {plan.hash}")
    feed = asyncio.create_task(load.offer(plan.seconds), name="chaos-load")
    try:
        await nemesis.execute(plan)
        await nemesis.heal()
        platform.history.add("nemesis", "info", "healed")
        result.heal_s = -asyncio.get_running_loop().time()
        await feed
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
        result.events = load.dataset.expected.unique_events
        result.faults = dict(sorted(nemesis.done.items()))
        result.missed = nemesis.missed
        result.overlapping_max = nemesis.overlapping_max
        result.republished = dict(nemesis.republished)


async def _judge(
    platform: Platform, load: Load, result: Result, say: Callable[[str], None], liveness_s: float
) -> None:
    """Liveness, then what was found, then the oracle; fills in the result."""
    starts = {name: child.starts for name, child in platform.services.items()}
    healed_at = -(result.heal_s or 0.0)
    result.heal_s = None
    try:
        await until_quiet(platform, within_s=liveness_s)
        result.heal_s = round(asyncio.get_running_loop().time() - healed_at, 1)
        say(f"seed {result.seed}: at rest {result.heal_s} s after the last fault ended")
        await load.finish(lambda: until_quiet(platform, within_s=liveness_s))
    except NotLive as error:
        result.problems.append(f"liveness: {error}")
    await asyncio.gather(*(child.ready() for child in platform.services.values()))
    result.findings = await examine(platform, load)
    result.problems += result.findings.problems
    try:
        report, problems = await ask_oracle(platform)
        result.checks = {check.id: check.verdict.value for check in report.checks}
        result.problems += problems
    except ReconciliationError as error:
        result.problems.append(f"oracle: {error}")
    result.starts = {name: child.starts for name, child in platform.services.items()}
    result.own_exits = {
        name: child.own_exits for name, child in platform.services.items() if child.own_exits
    }
    for name, child in platform.services.items():
        # One more start may have been under way when the faults ended.
        if child.starts - starts[name] > 1:
            result.problems.append(
                f"{name} restarted {child.starts - starts[name]} times when healed"
            )
    platform.history.add("judge", "info", result.verdict, problems=result.problems)


async def run_seeds(
    seeds: Sequence[int],
    seconds: int,
    var: Path,
    *,
    events: int | None = None,
    plant: str | None = None,
    liveness_s: float = LIVENESS_S,
    say: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """Seeds one after another, each on a platform of its own; var/chaos/summary.json grows by each."""
    results: list[Result] = []
    for seed in seeds:
        results.append(
            await run_seed(
                seed, seconds, var, events=events, plant=plant, liveness_s=liveness_s, say=say
            )
        )
        document = {
            "green": sum(1 for one in results if one.verdict == "green"),
            "red": [one.seed for one in results if one.verdict == "red"],
            "faults": dict(sum((Counter(one.faults) for one in results), Counter[str]())),
            "runs": [one.to_json() for one in results],
        }
        (var / "chaos" / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
        say(line(results[-1]))
    return results


HEAD = (
    f"{'seed':>6}  {'verdict':7}  {'faults':>6}  {'events':>6}  {'heal s':>6}  {'all s':>6}  plan"
)


def line(result: Result) -> str:
    """One row of the table."""
    heal = "-" if result.heal_s is None else f"{result.heal_s:.1f}"
    return (
        f"{result.seed:>6}  {result.verdict:7}  {result.fault_count:>6}  {result.events:>6}  "
        f"{heal:>6}  {result.seconds:>6.1f}  {result.plan_hash}"
    )


def run_stoppable(
    seeds: Sequence[int],
    seconds: int,
    var: Path,
    *,
    events: int | None = None,
    plant: str | None = None,
    liveness_s: float = LIVENESS_S,
    say: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """`run_seeds` on a loop of its own; SIGTERM, like SIGINT, ends it and all it started.

    Raises `KeyboardInterrupt` or `asyncio.CancelledError` then.
    """
    # That the broker is away is known here, and in the history.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    async def main() -> list[Result]:
        task = asyncio.current_task()
        assert task is not None, "asyncio.run runs it as a task"
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await run_seeds(
            seeds, seconds, var, events=events, plant=plant, liveness_s=liveness_s, say=say
        )

    return asyncio.run(main())
