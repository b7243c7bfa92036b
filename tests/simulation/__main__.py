"""Replays one seed: `python -m tests.simulation --seed 7`; the exit code is 1 when it fails."""

import argparse
import sys

from .planted import Bug
from .run import STEPS, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos-sim", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--bug", type=Bug, default=None, choices=list(Bug), help="plant this bug")
    given = parser.parse_args()
    verdict = simulate(given.seed, given.steps, given.bug)
    out = [
        *verdict.tail,
        "",
        f"seed {verdict.seed}: {verdict.steps} steps in {verdict.virtual_s:.0f} simulated seconds",
        f"faults   {verdict.faults}",
        f"payouts  {verdict.payouts}",
        f"trace    sha256 {verdict.trace_hash}",
        *(f"VIOLATED {wrong}" for wrong in verdict.violations),
        "verdict  " + ("every invariant held" if verdict.sound else f"FAILED; {verdict.remedy}"),
    ]
    sys.stdout.write("\n".join(out) + "\n")
    return 0 if verdict.sound else 1


if __name__ == "__main__":
    sys.exit(main())
