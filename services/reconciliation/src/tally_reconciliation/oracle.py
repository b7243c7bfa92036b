"""The oracle: look at everything once, judge it, say where the money is."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tally_postgres import Connection
from tally_reconciliation.broker import Broker, kafka_broker
from tally_reconciliation.checks import money
from tally_reconciliation.checks.across import check_delivery_across
from tally_reconciliation.checks.agreement import check_agreement
from tally_reconciliation.checks.books import check_books
from tally_reconciliation.checks.chain import check_chain
from tally_reconciliation.checks.closing import check_closing
from tally_reconciliation.checks.days import check_days
from tally_reconciliation.checks.delivery import check_delivery, check_quarantine
from tally_reconciliation.checks.entries import check_entries
from tally_reconciliation.checks.events import check_events
from tally_reconciliation.checks.funding import check_funding
from tally_reconciliation.checks.holds import check_holds
from tally_reconciliation.checks.identity import check_identity
from tally_reconciliation.checks.in_transit import check_in_transit
from tally_reconciliation.checks.payouts import check_payout_holds, check_payouts
from tally_reconciliation.checks.rails import check_rails
from tally_reconciliation.checks.status import check_status
from tally_reconciliation.databases import (
    CORE,
    LedgerDatabase,
    group_of,
    merged,
    sessions,
    snapshots,
    summed,
)
from tally_reconciliation.errors import SchemaAbsent
from tally_reconciliation.evidence import Evidence, gather, hand_on
from tally_reconciliation.liveness import Waiting, absent_notifications, check_rest
from tally_reconciliation.quiet import Standing, judge_quiet, standing
from tally_reconciliation.report import Check, Quiet, Report, Verdict
from tally_reconciliation.snapshot import Snapshot, session, snapshot
from tally_reconciliation.sources import Sources
from tally_runtime import SystemClock

_PAUSE_S = 0.5


async def verify(sources: Sources, *, wait_s: float = 0) -> Report:
    """Judge the platform as it is now; nothing is changed, whatever is found.

    With `wait_s`, looks again until all can be judged or that many seconds are over.
    Raises `ReconciliationError` where it could not look, and the errors of `tally_postgres`.
    """
    clock = SystemClock()
    began = clock.monotonic()
    waiting = Waiting(wait_s)
    async with kafka_broker(sources.kafka) as broker:
        while True:
            at_ms = int((clock.monotonic() - began) * 1000)
            async with session(sources.postgres_dsn) as conn:
                report, seen = await _look(sources, conn, broker)
            waiting.look(report.quiet, seen.evidence.input_records, at_ms)
            if report.verdict is not Verdict.SKIPPED:
                break
            if clock.monotonic() + _PAUSE_S > began + wait_s:
                break
            await asyncio.sleep(_PAUSE_S)
    # A look that ended early for another reason has not waited.
    over = clock.monotonic() + _PAUSE_S > began + wait_s
    return _with_rest(report, waiting) if wait_s and (over or report.quiet.is_quiet) else report


def _with_rest(report: Report, waiting: Waiting) -> Report:
    """The report with O12 as it was measured."""
    measured = waiting.judged()
    checks = tuple(measured if check.id == measured.id else check for check in report.checks)
    return replace(report, checks=checks)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the topics said, before the database was asked."""

    at: datetime
    standing: Standing
    evidence: Evidence


async def judge(sources: Sources, conn: Connection, broker: Broker) -> Report:
    """Judge by a session of the database and a broker."""
    return (await _look(sources, conn, broker))[0]


async def _look(sources: Sources, conn: Connection, broker: Broker) -> tuple[Report, Seen]:
    """One look at everything, the ledger's further databases with it."""
    sources = await sources.present(conn)
    async with sessions(sources.ledger_dsns) as further:
        seen = await look_at_topics(sources, conn, broker, further)
        async with (
            snapshot(conn, sources.schemas) as snap,
            snapshots(snap, further) as databases,
        ):
            return await look_at_rows(sources, snap, broker, seen, databases), seen


async def look_at_topics(
    sources: Sources,
    conn: Connection,
    broker: Broker,
    further: Mapping[str, Connection] | None = None,
) -> Seen:
    """First half: read the topics into the sessions' temporary tables."""
    now = (await conn.fetchval("SELECT clock_timestamp()")).astimezone(UTC)
    before = await standing(broker, sources.groups)
    evidence = await gather(conn, broker, now)
    for name, other in (further or {}).items():
        await hand_on(conn, other, group_of(name))
    return Seen(now, before, evidence)


async def look_at_rows(
    sources: Sources,
    snap: Snapshot,
    broker: Broker,
    seen: Seen,
    databases: tuple[LedgerDatabase, ...] = (),
) -> Report:
    """Second half: judge the rows, alone and against the topics.

    `databases` are all of the ledger, the platform's own first, or none if that is the only one.
    """
    missing = tuple(name for name in sources.schemas if name not in snap.schemas)
    if missing:
        raise SchemaAbsent(missing)
    after = await standing(broker, sources.groups)
    quiet = await judge_quiet(snap, seen.standing, after, *databases[1:])
    known = _Known(
        sources.bank_url, sources.ledger_keys, seen.evidence, after, quiet, seen.at, databases
    )
    checks = {check.id: check for check in await _checks(snap, known)}
    counts = await money.counts(snap)
    if "O3" in checks:
        figures = checks["O3"].figures
        counts["funding_records"] = {n: v for n, v in figures.items() if isinstance(v, int)}
    return Report(
        taken_at=seen.at,
        quiet=quiet,
        checks=tuple(checks.values()),
        money=summed([await money.holdings(one) for one in _books(snap, databases).values()]),
        counts=counts,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What the checks go by besides the rows."""

    bank_url: str | None
    ledger_keys: tuple[bytes, ...]
    evidence: Evidence
    standing: Standing
    quiet: Quiet
    at: datetime
    databases: tuple[LedgerDatabase, ...]


def _books(snap: Snapshot, databases: Sequence[LedgerDatabase]) -> dict[str, Snapshot]:
    """Every database with books in it, by name, the platform's own first."""
    if "ledger" not in snap.schemas:
        return {}
    return {CORE: snap, **{database.name: database.snap for database in databases}}


async def _ledger_checks(snap: Snapshot, known: _Known) -> list[Check]:
    """What is judged of each database's books alone."""
    return [
        *await check_books(snap),
        *await check_entries(snap),
        *await check_chain(snap),
        await check_days(snap, known.ledger_keys),
        await check_closing(snap, known.at),
        await check_holds(snap),
    ]


async def _checks(snap: Snapshot, known: _Known) -> list[Check]:
    """Every check whose tables are there, in the order of their ids."""
    evidence, quiet = known.evidence, known.quiet
    has = snap.schemas
    further = known.databases[1:]
    checks: list[Check] = [
        await check_delivery_across(snap, known.databases, known.standing, quiet)
        if further
        else await check_delivery(snap, known.standing, quiet),
        await check_quarantine(snap, evidence, quiet, *further),
        check_rest(quiet),
        absent_notifications(has),
    ]
    if "ledger" in has:
        books = _books(snap, known.databases)
        checks += merged({name: await _ledger_checks(one, known) for name, one in books.items()})
        checks.append(await check_in_transit(snap, quiet, *(one.snap for one in further)))
    if "funding" in has:
        checks.append(await check_funding(snap, evidence, quiet))
    if "payouts" in has:
        checks.append(await check_payouts(snap, quiet))
        checks.append(await check_status(snap, evidence, quiet))
    if has >= {"payouts", "ledger"}:
        checks.append(await check_payout_holds(snap, quiet))
    if has >= {"funding", "payouts", "ledger"}:
        checks.append(await check_identity(snap, quiet))
    if has >= {"payouts", "rails"}:
        checks.append(await check_rails(snap, known.bank_url, quiet))
    snaps = {CORE: snap, **{one.name: one.snap for one in further}}
    checks += merged(
        {
            name: [await check_agreement(one, quiet), await check_events(one, quiet)]
            for name, one in snaps.items()
        }
    )
    return sorted(checks, key=lambda check: (check.id[0], int(check.id[1:])))
