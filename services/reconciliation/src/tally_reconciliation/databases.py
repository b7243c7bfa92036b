"""Further databases of the ledger, each with ledgers of its own, looked at beside the platform's."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from tally_postgres import Connection
from tally_reconciliation.errors import LedgerDatabaseWrong
from tally_reconciliation.report import FAULTS_SHOWN, Check, Fault, Holding, Value, Verdict
from tally_reconciliation.snapshot import Snapshot, session, snapshot

LEDGER = "ledger"
CORE = "core"
"""What the placement calls the database that the platform's own is."""

_HOME = "SELECT database FROM ledger.home"
_LEDGERS = "SELECT shard FROM ledger.shard_state"
_WORST = (Verdict.RED, Verdict.SKIPPED, Verdict.GREEN)


def group_of(database: str) -> str:
    """The consumer group of a ledger database's processes, which is their name in its inbox too."""
    return LEDGER if database == CORE else f"{LEDGER}.{database}"


@dataclass(frozen=True, slots=True)
class LedgerDatabase:
    """One database's books as of one moment, and the ledgers they are of."""

    name: str
    snap: Snapshot
    ledgers: frozenset[str]

    @property
    def group(self) -> str:
        """Its processes' consumer group."""
        return group_of(self.name)


@asynccontextmanager
async def sessions(dsns: Mapping[str, str]) -> AsyncIterator[Mapping[str, Connection]]:
    """A session for each further database, by its name."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(session(dsn))
            for name, dsn in sorted(dsns.items())
        }


@asynccontextmanager
async def snapshots(
    platform: Snapshot, conns: Mapping[str, Connection]
) -> AsyncIterator[tuple[LedgerDatabase, ...]]:
    """The platform's own books and those of the further databases, one after another.

    Raises `LedgerDatabaseWrong` for a database that is not the one it is given as.
    """
    async with AsyncExitStack() as stack:
        found: list[LedgerDatabase] = []
        if conns and LEDGER in platform.schemas:
            found.append(await _look(CORE, platform))
        for name, conn in conns.items():
            snap = await stack.enter_async_context(snapshot(conn, (LEDGER,)))
            found.append(await _look(name, snap))
        yield tuple(found)


async def _look(name: str, snap: Snapshot) -> LedgerDatabase:
    if LEDGER not in snap.schemas:
        raise LedgerDatabaseWrong(
            name, "it has no schema ledger: run `tally migrate --only ledger`"
        )
    home = await snap.value(_HOME)
    if home not in {None, name}:
        raise LedgerDatabaseWrong(name, f"its processes call it {home}: correct the names")
    ledgers = frozenset(row[0] for row in await snap.all(_LEDGERS))
    return LedgerDatabase(name, snap, ledgers)


def merged(by_database: Mapping[str, Sequence[Check]]) -> list[Check]:
    """One check for each id, over all databases; a fault says in which one it is."""
    by_id: dict[str, dict[str, Check]] = {}
    for name, checks in by_database.items():
        for check in checks:
            by_id.setdefault(check.id, {})[name] = check
    return [_merge(checks) for checks in by_id.values()]


def _merge(checks: Mapping[str, Check]) -> Check:
    first = next(iter(checks.values()))
    if len(checks) == 1:
        return first
    figures: dict[str, Value] = {}
    faults: list[Fault] = []
    for name, check in checks.items():
        figures.update({f"{name}: {figure}": value for figure, value in check.figures.items()})
        faults += [Fault(fault.what, {"database": name, **fault.row}) for fault in check.faults]
    verdicts = {check.verdict for check in checks.values()}
    return replace(
        first,
        verdict=next((worst for worst in _WORST if worst in verdicts), first.verdict),
        summary="; ".join(f"{name}: {check.summary}" for name, check in checks.items()),
        figures=figures,
        faults=tuple(faults[:FAULTS_SHOWN]),
        fault_count=sum(check.fault_count for check in checks.values()),
    )


def summed(holdings: Sequence[Sequence[Holding]]) -> tuple[Holding, ...]:
    """Where the money is, over all databases."""
    sums: dict[tuple[str, str, str], Holding] = {}
    for one in (holding for several in holdings for holding in several):
        key = (one.currency, one.purpose, one.place)
        so_far = sums.get(key)
        sums[key] = (
            one
            if so_far is None
            else replace(
                so_far,
                accounts=so_far.accounts + one.accounts,
                posted=so_far.posted + one.posted,
                held=so_far.held + one.held,
            )
        )
    return tuple(sums[key] for key in sorted(sums))
