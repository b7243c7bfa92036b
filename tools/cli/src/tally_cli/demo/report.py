"""The end of the demo: the oracle's verdict, where every unit of money is, and report.json."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from tally_cli.demo.feed import Feed, Outcome
from tally_cli.demo.statement import MATCHED, UNMATCHED
from tally_cli.demo.telling import Telling
from tally_cli.output import EXIT_FAILED, EXIT_ORACLE_RED, notes, print_json
from tally_cli.trace import print_time_line
from tally_cli.verify import print_report
from tally_portfolio.app import SCHEMA
from tally_portfolio.service import slowest, time_line
from tally_postgres import Pool, create_pool
from tally_reconciliation import Report, Sources, Verdict, verify

_QUIET_WAIT_S = 30


async def finish(folder: Path, feed: Feed, outcome: Outcome, telling: Telling) -> int:
    """Judge a run, print what it came to, write report.json; the exit code."""
    notes.print("The oracle reads every book, topic and outbox ...")
    installation = feed.installation
    report = await verify(
        Sources(installation.postgres_dsn, installation.kafka, feed.bank_url),
        wait_s=_QUIET_WAIT_S,
    )
    summary = {**_summary(outcome, report), "story_steps": len(telling.steps)}
    path = folder / "report.json"
    _write(path, {**summary, "story": telling.to_json(), "oracle": report.to_json()})
    await _print_payments(feed)
    print_report(report)
    print_json(summary)
    surprises = _surprises(outcome, summary)
    if telling.failed is not None:
        surprises.append(f"the story broke off {telling.failed}")
    for surprise in surprises:
        notes.print(f"[red]unexpected:[/] {surprise}")
    if report.verdict is not Verdict.GREEN:
        notes.print(f"[red]The books do not agree ({report.verdict}).[/] Details: {path}")
        return EXIT_ORACLE_RED
    if surprises:
        return EXIT_FAILED
    notes.print(f"[green]Nothing lost, nothing doubled.[/] Details: {path}")
    return 0


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def _summary(outcome: Outcome, report: Report) -> dict[str, Any]:
    watch, expected = outcome.watch, outcome.dataset.expected
    states = watch.states
    return {
        "funding_events": expected.records,
        "booked": watch.decided,
        "duplicates": expected.duplicates,
        "quarantined": watch.quarantined,
        "suspense": watch.decided - watch.allocated,
        "payouts": len(watch.payouts),
        "paid": states["paid"],
        "returned": states["returned"],
        "failed": states["failed"],
        "waiting_for_payee": states["claimable"],
        "seconds": round(outcome.seconds, 2),
        "payments_per_s": round(outcome.payments_per_s, 1),
        "refused": dict(sorted(report.counts.get("quarantined", {}).items())),
        "verify": report.verdict.value,
    }


def _surprises(outcome: Outcome, summary: dict[str, Any]) -> list[str]:
    """What is other than the feed's maker knew beforehand."""
    expected = outcome.dataset.expected
    wanted: Counter[str] = Counter(
        {
            "booked": expected.unique_events + MATCHED + UNMATCHED,
            "quarantined": sum(expected.poison.values()),
            "suspense": expected.unmatched + UNMATCHED,
        }
    )
    wrong = [
        f"{name} is {summary[name]}, {number} expected"
        for name, number in wanted.items()
        if summary[name] != number
    ]
    # Whatever the seed, a run shows payouts that were paid, refused and returned.
    wrong += [f"no payout {name}" for name in ("paid", "returned", "failed") if not summary[name]]
    at_rest = sum(summary[n] for n in ("paid", "returned", "failed", "waiting_for_payee"))
    if at_rest != summary["payouts"]:
        wrong.append(f"{summary['payouts'] - at_rest} payouts are not at rest")
    return wrong


async def _print_payments(feed: Feed) -> None:
    pool = await create_pool(
        feed.installation.dsn("portfolio"),
        schema=SCHEMA.name,
        application_name="tally_demo",
        max_size=1,
    )
    try:
        now = feed.clock.now()
        slow = await slowest(pool, 1, since=now - timedelta(hours=1), until=now)
        if slow:
            notes.rule(
                f"The slowest payment ({slow[0].took.total_seconds():.1f} s, banking days included)"
            )
            await _print_one(pool, slow[0].payment.payment_id)
    finally:
        await pool.close()


async def _print_one(pool: Pool, payment_id: str) -> None:
    line = await time_line(pool, payment_id)
    if line is not None:
        print_time_line(line)
