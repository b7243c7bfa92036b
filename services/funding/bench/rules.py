# ruff: noqa: INP001, T201, S311 - a script that is run by hand and prints; repeatable chance on purpose
"""Measure how many pay-ins a second one core evaluates by a rule of 20 lines.

    make bench-rules
    make bench-rules ARGS="--rounds 50 --rules 500"

An evaluation chooses the rule among those published, divides the amount and names the owner of every
line; nothing is booked. Beside it, in turns with it, the reference evaluator divides the same amounts
in fractions and is the ratio's base. Every result is compared with the reference first. Time is the
CPU time of this process, so that other work on the machine counts as little as it can; each figure is
the median of the rounds, with the best beside it.
"""

import argparse
import gc
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tally_funding.domain import Beneficiary, Suspense
from tally_funding.rules.choose import Compiled, RuleSet, choose, compile_rule
from tally_funding.rules.decide import evaluate
from tally_funding.rules.lint import read_document
from tally_funding.rules.match import Facts
from tally_funding.rules.reference import divide_by_the_book

TENANT = "party_bench"
PAYEE = Beneficiary("party", "pty_1")
TARGET = 50_000
_AMOUNTS = 1000
_NANOSECONDS = 10**9


def document(number: int) -> dict[str, Any]:
    """A rule of 20 lines of every kind; the last asked, `number` 0, matches all the money here."""

    def line(role: str, **share: Any) -> dict[str, Any]:
        return {"role": role, "to": {"party": f"pty_{role}"}, **share}

    tiers = [
        {"up_to": "100.00", "percent": "3"},
        {"up_to": "1000.00", "percent": "2"},
        {"percent": "1"},
    ]
    return {
        "schema": 2,
        "rule": f"rule-{number}",
        "version": 1,
        "priority": 1000 - number,
        "match": {
            "programs": ["royalties"] if number == 0 else [f"program-{number}"],
            "kinds": ["payables"],
            "currencies": ["EUR"],
            "amounts": {"EUR": {"from": "2.00"}},
        },
        "lines": [
            *(line(f"percent{n}", percent=f"{1 + n}.123456") for n in range(10)),
            *(
                line(f"bounded{n}", percent="1.5", floor={"EUR": "0.10"}, cap={"EUR": "5.00"})
                for n in range(3)
            ),
            *(line(f"tiered{n}", tiers={"EUR": tiers}) for n in range(2)),
            line("fixed", fixed={"EUR": "0.30"}),
            *(line(f"left{n}", percent="5", basis="left") for n in range(2)),
            {"role": "company", "to": {"role": "company"}, "weight": 1},
            {"role": "beneficiary", "to": {"role": "beneficiary"}, "weight": 3},
        ],
        "rounding": "half_even",
    }


def compiled(number: int) -> Compiled:
    data = json.dumps(document(number)).encode()
    return compile_rule(read_document(data, scope=TENANT, rule_id=f"rule_{number}").rule)


def pay_ins() -> Sequence[Facts]:
    """Amounts of 2.00 to 100,000.00 EUR."""
    chance = random.Random(22)
    return [
        Facts(
            source="cards",
            program="royalties",
            event="invoice:7",
            kind="payables",
            code="EUR",
            minor=chance.randint(200, 10 ** chance.randint(3, 7)),
            country="DE",
            company="co_1",
            tags={},
            occurred_at=datetime(2026, 9, 21, tzinfo=UTC),
            tenant=TENANT,
        )
        for _ in range(_AMOUNTS)
    ]


@dataclass(frozen=True)
class Figure:
    """Evaluations per second of CPU time."""

    name: str
    median: float
    best: float


def measure(
    work: Sequence[tuple[str, Callable[[Facts], object]]], money: Sequence[Facts], rounds: int
) -> Sequence[Figure]:
    """Each kind of work in turns, so that all see the same machine."""
    rates: dict[str, list[float]] = {name: [] for name, _ in work}
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for name, one in work:
            began = time.process_time_ns()
            for facts in money:
                one(facts)
            spent = time.process_time_ns() - began
            rates[name].append(len(money) * _NANOSECONDS / spent)
    return [Figure(name, statistics.median(seen), max(seen)) for name, seen in rates.items()]


def check(rules: RuleSet, last: Compiled, money: Sequence[Facts]) -> None:
    """What is measured is right: by the reference, to the minor unit."""
    rule = last.rule
    for facts in money:
        chosen = choose(rules, facts)
        assert chosen.compiled is last, "the rule that matches is the last one asked"
        got = evaluate(chosen.compiled, facts, PAYEE)
        assert not isinstance(got, Suspense)
        book = divide_by_the_book(
            rule.lines, rule.rounding, rule.shortfall, facts.code, facts.minor
        )
        assert book is not None
        shares = {position: share.minor for position, share in enumerate(book) if share.minor}
        assert {position: minor for position, _, minor in got} == shares
        assert sum(shares.values()) == facts.minor


def main() -> int:
    """Measure, print, and keep the figures under var/bench."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="turns of 1,000 evaluations each")
    parser.add_argument("--rules", type=int, default=20, help="published rules of the tenant")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    books = [compiled(number) for number in range(arguments.rules)]
    last = books[0]
    alone, among = RuleSet.of([last], last), RuleSet.of(books, last)
    money = pay_ins()
    check(among, last, money)
    program, rule = last.program("EUR"), last.rule
    figures = measure(
        [
            ("division alone", lambda facts: program.divide(facts.minor)),
            ("evaluation", lambda f: evaluate(choose(alone, f).compiled, f, PAYEE)),
            (
                f"evaluation among {arguments.rules} rules",
                lambda f: evaluate(choose(among, f).compiled, f, PAYEE),
            ),
            (
                "reference, division alone",
                lambda f: divide_by_the_book(
                    rule.lines, rule.rounding, rule.shortfall, f.code, f.minor
                ),
            ),
        ],
        money,
        arguments.rounds,
    )
    keep(figures, load, arguments.rounds)
    return 0


def keep(figures: Sequence[Figure], load: float, rounds: int) -> None:
    reference = figures[-1].median
    about = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "python": platform.python_version(),
        "lines": 20,
        "rounds": rounds,
        "target_per_s": TARGET,
    }
    results = [
        {
            "name": figure.name,
            "per_s_median": round(figure.median),
            "per_s_best": round(figure.best),
            "to_reference": round(figure.median / reference, 1),
        }
        for figure in figures
    ]
    out = Path("var/bench")
    out.mkdir(parents=True, exist_ok=True)
    kept = {"about": about, "results": results}
    (out / "funding_rules.json").write_text(json.dumps(kept, indent=2) + "\n")
    table = [
        "# Rules of 20 lines",
        "",
        *(f"- {name}: {value}" for name, value in about.items()),
        "",
        "| work | per second of one core (median) | best | to the reference |",
        "|---|---|---|---|",
        *(
            f"| {r['name']} | {r['per_s_median']:,} | {r['per_s_best']:,} | {r['to_reference']} |"
            for r in results
        ),
    ]
    text = "\n".join(table) + "\n"
    (out / "funding_rules.md").write_text(text)
    print(text)


if __name__ == "__main__":
    sys.exit(main())
