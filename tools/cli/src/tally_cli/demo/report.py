"""The end of the demo: the oracle's verdict, where every unit of money is, and report.json."""

import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.table import Table

from tally_cli.demo.statement import MATCHED, UNMATCHED
from tally_cli.demo.story import Outcome, Story
from tally_cli.output import EXIT_FAILED, EXIT_ORACLE_RED, notes, print_json
from tally_cli.trace import render_time_line
from tally_portfolio.service import slowest, time_line
from tally_postgres import create_pool
from tally_reconciliation import Report, Sources, Verdict, verify


async def finish(folder: Path, story: Story, outcome: Outcome) -> int:
    """Judge a run, print what it came to, write report.json; the exit code."""
    notes.print("The oracle reads every book, topic and outbox ...")
    report = await verify(
        Sources(story.installation.postgres_dsn, story.installation.kafka, story.bank_url)
    )
    summary = _summary(outcome, report)
    _print_money(report)
    _print_refusals(outcome, report)
    await _print_payments(story, outcome)
    _print_checks(report)
    surprises = _surprises(outcome, report)
    for surprise in surprises:
        notes.print(f"[red]unexpected[/] {surprise}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    path.write_text(json.dumps({**summary, "oracle": report.to_json()}, indent=2) + "\n")
    print_json(summary)
    if report.verdict is not Verdict.GREEN:
        notes.print(f"[red]The books do not agree ({report.verdict}).[/] Details: {path}")
        return EXIT_ORACLE_RED
    if surprises:
        return EXIT_FAILED
    notes.print(f"[green]Nothing lost, nothing doubled.[/] Details: {path}")
    return 0
