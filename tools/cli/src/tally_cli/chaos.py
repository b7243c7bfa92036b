"""`tally chaos`: seeded faults on every process and link under load, then the oracle."""

import asyncio
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tally_cli.output import (
    EXIT_FAILED,
    EXIT_ORACLE_RED,
    JsonOption,
    VarOption,
    notes,
    print_json,
    print_table,
    reported,
)

if TYPE_CHECKING:
    from tally_chaos.plan import Plan

_SEEDS_MAX = 1_000
_SECONDS_PER_MINUTE = 60

chaos_app = typer.Typer(
    name="chaos",
    help="Seeded faults on every process and link while money moves; then the books must agree.",
    no_args_is_help=True,
)
SeedOption = Annotated[int, typer.Option(min=0, help="Makes the same plan and feed again.")]
MinutesOption = Annotated[
    float,
    typer.Option(min=0.1, max=600, help="Minutes of faults; starting and judging come on top."),
]


@chaos_app.command("plan")
def plan_command(
    seed: SeedOption = 1, minutes: MinutesOption = 0.75, *, as_json: JsonOption = False
) -> None:
    """Print which fault comes when, without starting anything."""
    plan = _make_plan(seed, minutes)
    if as_json:
        print_json({"hash": plan.hash, **asdict(plan)})
        return
    rows = [
        (
            f"{fault.at_ms / 1000:.1f}",
            fault.name,
            fault.target,
            f"{fault.lasts_ms / 1000:.1f}" if fault.lasts_ms else "-",
            json.dumps(fault.details)
            if fault.details and "latency_ms" not in fault.details
            else "-",
        )
        for fault in plan.faults
    ]
    print_table(("at s", "fault", "target", "lasts s", "details"), rows)
    notes.print(f"{len(rows)} faults in {plan.seconds} s, plan {plan.hash}.", style="dim")


@chaos_app.command("run")
def run_command(
    var: VarOption = Path("var"),
    seed: SeedOption = 1,
    seeds: Annotated[
        str | None, typer.Option(help="Several, one after another: 1-20, or 3,7,9.")
    ] = None,
    minutes: MinutesOption = 0.75,
    load: Annotated[
        int | None, typer.Option(min=100, max=100_000, help="Funding events; default 8 a second.")
    ] = None,
    *,
    plant: Annotated[
        str | None,
        typer.Option(
            help="Put a bug into the services: offsets-before-transaction, no-inbox or "
            "relay-position-before-send. The run should be red."
        ),
    ] = None,
    liveness: Annotated[
        int,
        typer.Option(
            min=5, max=3600, help="Seconds to come to rest in once all faults have ended."
        ),
    ] = 60,
    as_json: JsonOption = False,
) -> None:
    """Start a platform of its own, break it by plan under load, heal it, and judge the books.

    Exit code 0: nothing lost, nothing doubled, at rest by itself in time; 5: not so, see
    var/chaos/<seed>; 1: could not run. Everything it starts ends with it.
    """
    _require_tool()
    from tally_chaos.child import ChildNotReady  # noqa: PLC0415 - a tool beside this one
    from tally_chaos.planted import PLANTED  # noqa: PLC0415
    from tally_chaos.run import HEAD, line, run_stoppable  # noqa: PLC0415

    if plant is not None and plant not in PLANTED:
        raise typer.BadParameter(f"one of {', '.join(PLANTED)}", param_hint="--plant")
    chosen = [seed] if seeds is None else _parse_seeds(seeds)
    with reported():
        try:
            results = run_stoppable(
                chosen,
                _seconds(minutes),
                var,
                events=load,
                plant=plant,
                liveness_s=liveness,
                say=lambda text: notes.print(text, markup=False),
            )
        except ChildNotReady as error:
            typer.echo(f"error [{error.code}]: {error}", err=True)
            raise typer.Exit(EXIT_FAILED) from error
        except (KeyboardInterrupt, asyncio.CancelledError):
            typer.echo(
                "error [interrupted]: stopped; everything the run started has ended", err=True
            )
            raise typer.Exit(EXIT_FAILED) from None
    if as_json:
        print_json([result.to_json() for result in results])
    else:
        typer.echo(HEAD)
        for result in results:
            typer.echo(line(result))
            for problem in result.problems:
                typer.echo(f"        {problem}")
    faults = sum(result.fault_count for result in results)
    red = [str(result.seed) for result in results if result.problems]
    notes.print(f"{len(results)} seeds, {faults} faults, red: {', '.join(red) or 'none'}.")
    raise typer.Exit(EXIT_ORACLE_RED if red else 0)


def _make_plan(seed: int, minutes: float) -> "Plan":
    _require_tool()
    from tally_chaos.plan import make_plan  # noqa: PLC0415

    return make_plan(seed, _seconds(minutes))


def _require_tool() -> None:
    """The tool needs this package, so this one finds it only when asked; images go without it."""
    if importlib.util.find_spec("tally_chaos") is None:
        typer.echo(
            "error [chaos_absent]: the fault supervisor is not installed here: it comes with a "
            "checkout of the project (make install)",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED)


def _seconds(minutes: float) -> int:
    return round(minutes * _SECONDS_PER_MINUTE)


def _parse_seeds(text: str) -> list[int]:
    """Seeds as ranges and single numbers; raises `typer.BadParameter`."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise typer.BadParameter(f"{part!r} is no seed or range", param_hint="--seeds")
        found.extend(range(int(first), int(last or first) + 1))
        if not found or len(found) > _SEEDS_MAX:
            raise typer.BadParameter(
                f"{text!r} is not 1 to {_SEEDS_MAX} seeds", param_hint="--seeds"
            )
    return list(dict.fromkeys(found))
