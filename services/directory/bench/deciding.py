# ruff: noqa: INP001, T201 - a script that is run by hand and prints
"""Measure how many commands and pay-ins a second the directory decides, in a tree of many parties.

    make bench-directory
    make bench-directory ARGS="--parties 1000000 --batches 20"

Batches of 500 run one after the other, as they do in service, over a durable Postgres without a
broker: inbox, read, decide, save, outbox, commit. Beside each figure stands the time that the same
number of commits of one small row takes, which shows how busy the machine's disk is.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pydantic import SecretStr

from tally_contracts.base import Amount, Event, Where, Who, Why
from tally_contracts.directory import (
    CONTACT_VALUE,
    AddContact,
    MoveParty,
    OpenWallet,
    RegisterParty,
)
from tally_contracts.funding import Allocation, PayInAllocated
from tally_directory.app import SCHEMA, build_app
from tally_directory.settings import DirectorySettings
from tally_embedded import running_stack
from tally_messaging import Service, encode_headers, outgoing_headers
from tally_messaging.batch import BatchProcessor
from tally_messaging.envelope import Cause
from tally_postgres import Pool, create_pool, login_role, migrate, provision, service_dsn
from tally_runtime import Ids, SystemClock, derived_id
from tally_security.sealing import Place, seal

BATCH = 500
TOPICS = {"directory": "directory.commands.v1", "funding": "funding.pay_in.v1"}
OPERATOR = Who(actor="key_bench", principal="operator")
# Five hundred companies below the root, the others below one another: ancestors grow with number.
_FILL = """
INSERT INTO directory.party (party_id, tenant, kind, parent, alias, state, group_version, changed_at)
SELECT 'party_' || lpad(n::text, 26, '0'), 'party_' || lpad('0', 26, '0'),
       CASE WHEN n = 0 THEN 'aggregator' ELSE 'partner' END,
       CASE WHEN n = 0 THEN NULL
            WHEN n <= 500 THEN 'party_' || lpad('0', 26, '0')
            ELSE 'party_' || lpad((n / 10)::text, 26, '0') END,
       'partner-bench', 'registered', 0, now()
FROM generate_series(0, %s) AS n
"""


def party(number: int) -> str:
    return f"party_{number:026d}"


@dataclass(frozen=True)
class Raw:
    """A record as a broker would hand it over."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    key: bytes
    offset: int
    topic: str
    partition: int = 0


@dataclass(frozen=True)
class Work:
    """Makes events of every kind that is measured; `number` never comes twice."""

    settings: DirectorySettings
    parties: int

    def command(self, number: int) -> dict[str, object]:
        return {
            "command_id": derived_id("cmd", str(number)),
            "tenant": party(0),
            "who": OPERATOR,
            "reason": "bench",
            "occurred_at": SystemClock().now(),
        }

    def register(self, number: int) -> Event:
        parent = party(1 + number % self.parties)
        return RegisterParty(
            **self.command(number),
            party_id=derived_id("party", str(number)),
            kind="payee",
            parent=parent,
        )

    def move(self, number: int) -> Event:
        below = party(self.parties - number % (self.parties // 2))
        return MoveParty(**self.command(number), party_id=below, parent=party(1 + number % 500))

    def open_wallet(self, number: int) -> Event:
        return OpenWallet(
            **self.command(number),
            wallet_id=derived_id("wal", str(number)),
            owner=party(1 + number % self.parties),
            currency="EUR",
            purpose="bench",
        )

    def add_contact(self, number: int) -> Event:
        contact_id = derived_id("contact", str(number))
        place = Place(party(0), *CONTACT_VALUE, contact_id)
        key = self.settings.vault().keys.current
        return AddContact(
            **self.command(number),
            contact_id=contact_id,
            party_id=party(1 + number % self.parties),
            channel="email",
            sealed=seal(f"p{number}@example.com", key, place),
        )

    def pay_in_for(self, owner: str, number: int) -> Event:
        amount = Amount(currency="EUR", amount="25.00")
        share = Allocation(
            account=derived_id("acc", "main", f"wallet/{owner}/EUR"),
            owner=owner,
            role="beneficiary",
            amount=amount,
            pay_out=True,
        )
        return PayInAllocated(
            who=OPERATOR,
            where=Where(channel="api"),
            why=Why(program="bench", event="e", reason="r"),
            occurred_at=SystemClock().now(),
            pay_in_id=derived_id("pin", str(number)),
            journal_id=derived_id("jrn", str(number)),
            source="bench",
            external_id=str(number),
            company=party(1 + number % 500),
            amount=amount,
            rule="bench:1",
            allocations=(share,),
        )

    def pay_in_new(self, number: int) -> Event:
        return self.pay_in_for(f"contact:{number}", number)

    def pay_in_known(self, number: int) -> Event:
        return self.pay_in_for(f"contact:known{number % BATCH}", number)


def records(make: Callable[[int], Event], first: int) -> Iterator[Raw]:
    ids, now = Ids(), SystemClock().now()
    for number in range(first, first + BATCH):
        event = make(number)
        headers = outgoing_headers(
            event_id=str(ids.uuid7()),
            source="/bench",
            event_type=event.TYPE,
            at=now,
            subject="bench",
            cause=Cause(correlation_id="bench"),
        )
        topic = TOPICS[event.TYPE.partition(".")[0]]
        yield Raw(
            event.model_dump_json().encode(), tuple(encode_headers(headers)), b"k", number, topic
        )


async def measure(
    processor: BatchProcessor, pool: Pool, work: Work, batches: int
) -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    first = 10**9
    for make in (
        work.pay_in_known,
        work.pay_in_new,
        work.register,
        work.move,
        work.open_wallet,
        work.add_contact,
    ):
        rates: list[int] = []
        commits: list[int] = []
        for _ in range(batches + 1):
            batch = list(records(make, first))
            first += BATCH
            begun = time.perf_counter()
            await processor.process(batch)
            rates.append(int(BATCH / (time.perf_counter() - begun)))
            begun = time.perf_counter()
            await pool.execute("UPDATE bench_commit SET n = n + 1")
            commits.append(int((time.perf_counter() - begun) * 1_000_000))
        # The first batch opens what the rest finds: it is left out.
        results.append(
            {
                "what": make.__name__,
                "a_second_median": int(statistics.median(rates[1:])),
                "a_second_best": max(rates[1:]),
                "commit_us_median": int(statistics.median(commits[1:])),
            }
        )
        print(json.dumps(results[-1]), flush=True)
    return results


async def run(admin_dsn: str, parties: int, batches: int) -> list[dict[str, object]]:
    provision(admin_dsn, [SCHEMA], {"directory": "for-bench-only"})
    migrate(admin_dsn, SCHEMA)
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(_FILL.encode(), (parties,))
        admin.execute("CREATE TABLE directory.bench_commit AS SELECT 0 AS n")
        admin.execute("GRANT ALL ON directory.bench_commit TO PUBLIC")
        admin.execute("VACUUM ANALYZE")
    dsn = service_dsn(admin_dsn, login_role("directory"), "for-bench-only")
    settings = DirectorySettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr(dsn)
    )
    service: Service = build_app(settings)
    pool = await create_pool(dsn, schema="directory", application_name="bench")
    try:
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
        processor = service.processor(service.routers[0], service.transactor(pool=pool))
        return await measure(processor, pool, Work(settings, parties), batches)
    finally:
        await pool.close()


def main() -> int:
    """Run and keep the figures under var/bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parties", type=int, default=200_000)
    parser.add_argument("--batches", type=int, default=10)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), kafka=False) as stack,
    ):
        results = asyncio.run(run(stack.address.postgres_dsn, given.parties, given.batches))
    report = Path("var/bench/directory.json")
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"parties": given.parties, "results": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
