"""`tally lag`: how far every consumer is behind, and what waits in every outbox."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path

from tally_cli.output import (
    JsonOption,
    VarOption,
    print_json,
    print_table,
    reported,
    running_installation,
)
from tally_cli.platform import SERVICES, Installation
from tally_cli.shards import LedgerDsnOption, ledger_dsns
from tally_contracts.catalogue import further_groups
from tally_messaging import outbox
from tally_postgres import create_pool
from tally_reconciliation.broker import kafka_broker
from tally_reconciliation.quiet import standing
from tally_runtime import SystemClock

_LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class ServiceLag:
    """One service: records not consumed yet, by topic, and records not published yet."""

    service: str
    behind: Mapping[str, int]
    outbox_records: int
    outbox_oldest_s: float | None

    @property
    def total(self) -> int:
        """Everything that is still to be done."""
        return sum(self.behind.values()) + self.outbox_records


async def measure(
    installation: Installation, further: Mapping[str, str] | None = None
) -> list[ServiceLag]:
    """Ask the broker for offsets and the databases for outboxes.

    `further` are the DSNs of further databases of the ledger by name; each is a group of its own.
    """
    outboxes = {name: (name, installation.dsn(name)) for name in SERVICES}
    for database, dsn in (further or {}).items():
        outboxes[f"{_LEDGER}.{database}"] = (_LEDGER, dsn)
    groups = {name: (name, *further_groups(name)) for name in outboxes}
    behind = await _consumer_lag(
        installation.kafka, [group for names in groups.values() for group in names]
    )
    return [
        await _service_lag(name, schema, dsn, _together(behind[group] for group in groups[name]))
        for name, (schema, dsn) in outboxes.items()
    ]


def _together(behind: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Records by topic that all groups of a service together have not consumed."""
    total: Counter[str] = Counter()
    for of_group in behind:
        total.update(of_group)
    return dict(total)


async def _consumer_lag(kafka: str, groups: Sequence[str]) -> dict[str, dict[str, int]]:
    """Records by topic that a group has not consumed; all there are where it never committed."""
    async with kafka_broker(kafka) as broker:
        now = await standing(broker, frozenset(groups))
    return {group: now.by_topic(group) for group in groups}


async def _service_lag(name: str, schema: str, dsn: str, behind: Mapping[str, int]) -> ServiceLag:
    pool = await create_pool(dsn, schema=schema, application_name="tally_lag", max_size=1)
    try:
        waiting, oldest = await outbox.depth(pool)
    finally:
        await pool.close()
    age = None if oldest is None else (SystemClock().now() - oldest.astimezone(UTC)).total_seconds()
    return ServiceLag(name, behind, waiting, age)


def lag(
    var: VarOption = Path("var"),
    *,
    ledger_dsn: LedgerDsnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far each service is behind: records not consumed, records not published.

    A further database of the ledger is a line of its own, by its consumer group.

    Example: tally lag --json | jq '[.[].outbox_records] | add'
    """
    with reported():
        lags = asyncio.run(measure(running_installation(var), ledger_dsns(ledger_dsn)))
    if as_json:
        print_json([asdict(one) for one in lags])
        return
    rows = [
        (
            one.service,
            str(sum(one.behind.values())),
            str(one.outbox_records),
            "-" if one.outbox_oldest_s is None else f"{one.outbox_oldest_s:.1f}",
            ", ".join(f"{topic} {count}" for topic, count in one.behind.items() if count) or "-",
        )
        for one in lags
    ]
    print_table(("service", "to consume", "to publish", "oldest s", "where"), rows)
