"""Nothing is lost or doubled whatever breaks when, and the simulation says so when it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .planted import Bug
from .run import simulate

ROOT = Path(__file__).parents[2]
SEEDS = (3, 4, 5, 6, 7, 10)
STEPS = 17_000
CAUGHT_WITHIN = 12
"""Seeds, counted from `FIRST_SEED`, among which at least one catches each planted bug."""
FIRST_SEED = 11
PLANTED_STEPS = 9_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_invariant_holds_whatever_breaks(seed):
    verdict = simulate(seed, STEPS)

    assert verdict.sound, "\n".join([*verdict.violations, *verdict.tail, verdict.remedy])
    assert verdict.steps >= STEPS
    assert verdict.faults["crash"] > 0
    assert verdict.faults["producer"] > 0
    assert verdict.payouts["paid"] > 20
    assert verdict.payouts.get("failed", 0) + verdict.payouts.get("returned", 0) > 0


def test_the_seeds_of_the_suite_come_to_a_hundred_thousand_steps():
    assert len(SEEDS) * STEPS >= 100_000


def test_the_same_seed_gives_the_same_trace():
    first, again, other = (simulate(seed, 2_500) for seed in (4, 4, 5))

    assert first.trace_hash == again.trace_hash
    assert first == again
    assert first.trace_hash != other.trace_hash


def test_the_trace_does_not_depend_on_the_process_or_its_hash_seed():
    expected = simulate(6, 2_500).trace_hash

    for hash_seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "6", "--steps", "2500"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"sha256 {expected}" in done.stdout


@pytest.mark.parametrize("bug", list(Bug))
def test_a_planted_bug_is_caught(bug):
    """Within the stated number of seeds; the verdict names the command that replays it."""
    for seed in range(FIRST_SEED, FIRST_SEED + CAUGHT_WITHIN):
        verdict = simulate(seed, PLANTED_STEPS, bug)
        if not verdict.sound:
            break

    assert verdict.violations
    command = f"make chaos-sim SEED={seed} STEPS={PLANTED_STEPS} BUG={bug}"
    assert verdict.remedy == command
