"""`tally chaos` before it starts anything: plans printed, wrong options refused."""

import json

import pytest
from typer.testing import CliRunner

from tally_cli.main import app


def tally(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["chaos", *arguments])
    return done.exit_code, done.output


def test_a_plan_is_printed_as_data_and_is_the_same_each_time() -> None:
    code, text = tally("plan", "--seed", "4", "--minutes", "0.75", "--json")
    assert code == 0
    plan = json.loads(text)
    assert plan["seed"] == 4
    assert len(plan["faults"]) > 30
    assert tally("plan", "--seed", "4", "--minutes", "0.75", "--json") == (0, text)


@pytest.mark.parametrize(
    "wrong",
    [
        ("run", "--plant", "no-such-bug"),
        ("run", "--seeds", "1-x"),
        ("run", "--seeds", "-"),
        ("run", "--seeds", "1-5000"),
        ("run", "--seeds", "5-1"),
        ("run", "--load", "1"),
        ("plan", "--minutes", "0"),
        ("plan", "--seed", "-1"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(wrong: tuple[str, ...]) -> None:
    code, _ = tally(*wrong)
    assert code == 2
