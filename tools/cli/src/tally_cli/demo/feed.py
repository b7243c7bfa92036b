"""The feed: a thousand funding events through a platform that is running, and what becomes of them."""

import asyncio
import base64
import gzip
from dataclasses import dataclass
from datetime import timedelta

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tally_cli import lag
from tally_cli.demo.dataset import Dataset, make_dataset
from tally_cli.demo.payees import choose, register
from tally_cli.demo.statement import MATCHED, UNMATCHED, make_statement
from tally_cli.demo.watch import DemoStuck, Watch
from tally_cli.output import notes
from tally_cli.platform import Installation
from tally_cli.publishing import CLI_SOURCE, Publication, publication, publish
from tally_contracts.base import Who
from tally_contracts.funding import ImportStatement, StatementImported
from tally_railkit.sealing import SealingKey
from tally_runtime import Clock, derived_id, derived_uuid

_STEP_TIMEOUT_S = 120
_BANKING_DAYS_MAX = 12
_RETURN_DAYS = 3
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen on the way; the oracle judges it."""

    dataset: Dataset
    watch: Watch
    statement_total_cents: int
    seconds: float
    payments_per_s: float


@dataclass(frozen=True, slots=True)
class Feed:
    """One run of the feed. `run` starts every id of it."""

    run: str
    installation: Installation
    bank_url: str
    sealing_key: SealingKey
    tenant: str
    clock: Clock
    events: int
    seed: int

    async def run_through(self) -> Outcome:
        """Fund, allocate, pay, return; raises `DemoStuck` if any of it does not come about."""
        dataset = make_dataset(
            self.run, self.events, self.seed, self.clock.now() - timedelta(hours=1)
        )
        watch = Watch(self.run, self.installation.kafka)
        await watch.start()
        try:
            return await self._run_through(dataset, watch)
        finally:
            await watch.stop()

    async def _run_through(self, dataset: Dataset, watch: Watch) -> Outcome:
        kafka = self.installation.kafka
        early = [payee for payee in dataset.payees if not payee.chooses_late]
        late = [payee for payee in dataset.payees if payee.chooses_late]
        notes.print("Payees register where they can be paid; most choose how.")
        registrations = register(
            dataset.payees, run=self.run, tenant=self.tenant, key=self.sealing_key, clock=self.clock
        )
        await publish(kafka, [*registrations, *choose(early, run=self.run, clock=self.clock)])
        await self._until_quiet()
        expected = dataset.expected
        notes.print(
            f"{expected.records} records are published: {expected.unique_events} funding events, "
            f"{expected.duplicates} copies, {sum(expected.poison.values())} broken ones of "
            f"{len(expected.poison)} kinds, out of order."
        )
        started = self.clock.monotonic()
        with _progress() as progress:
            feed = asyncio.create_task(self._publish_slowly(dataset.feed))
            await self._follow(progress, watch, expected.unique_events)
            await feed
        seconds = self.clock.monotonic() - started
        total_cents = await self._import_statement(dataset, watch)
        notes.print(f"{len(late)} payees choose a method only now; their payouts go on.")
        await publish(kafka, choose(late, run=self.run, clock=self.clock))
        await self._until_quiet()
        await watch.until("payouts at rest", lambda: watch.moving == 0, _STEP_TIMEOUT_S)
        await self._let_banking_days_pass(watch)
        await self._until_quiet()
        return Outcome(
            dataset, watch, total_cents, seconds, payments_per_s=len(watch.payouts) / seconds
        )

    async def _publish_slowly(self, feed: tuple[Publication, ...]) -> None:
        """In chunks, so that the bar has something to show; order is the feed's."""
        for start in range(0, len(feed), _CHUNK):
            await publish(self.installation.kafka, feed[start : start + _CHUNK])

    async def _follow(self, progress: Progress, watch: Watch, events: int) -> None:
        booked = progress.add_task("booked", total=events)
        opened = progress.add_task("payouts at rest", total=None)

        async def tick() -> None:
            progress.update(booked, completed=watch.decided)
            total = watch.allocated if watch.decided >= events else None
            progress.update(opened, completed=len(watch.payouts) - watch.moving, total=total)

        def done() -> bool:
            return (
                watch.decided >= events
                and len(watch.payouts) >= watch.allocated
                and watch.moving == 0
            )

        await watch.until("every event booked, every payout at rest", done, _STEP_TIMEOUT_S, tick)
        await tick()

    async def _import_statement(self, dataset: Dataset, watch: Watch) -> int:
        content, total = make_statement(self.run, dataset.payees, self.clock.now().date())
        notes.print(
            "A bank statement (camt.053) is imported: twelve credits, four with no known reference."
        )
        import_id = derived_id("imp", self.run)
        command = ImportStatement(
            import_id=import_id,
            file_name=f"{self.run}.xml",
            content=base64.b64encode(gzip.compress(content, mtime=0)).decode(),
            who=Who(actor="demo", principal="demo"),
        )
        before = watch.decided
        record = publication(
            command,
            topic="funding.commands.v1",
            key=import_id,
            event_id=str(derived_uuid("tally-demo", self.run, "statement")),
            source=CLI_SOURCE,
            clock=self.clock,
        )
        await publish(self.installation.kafka, [record])
        await watch.until(
            "the statement's outcome", lambda: watch.statement is not None, _STEP_TIMEOUT_S
        )
        assert watch.statement is not None, "the wait above ended"
        if watch.statement["type"] != StatementImported.TYPE:
            raise DemoStuck(f"the statement was refused: {watch.statement}")
        await watch.until(
            "the statement's credits decided",
            lambda: watch.decided >= before,
            _STEP_TIMEOUT_S,
        )
        assert watch.statement["pay_ins"] == MATCHED + UNMATCHED, watch.statement
        return total

    async def _let_banking_days_pass(self, watch: Watch) -> None:
        """Move the bank's calendar until every ACH credit has settled and every return has come."""
        notes.print("Banking days pass: ACH credits settle, some come back.")
        async with httpx.AsyncClient(base_url=self.bank_url, timeout=20) as bank:
            left = _BANKING_DAYS_MAX
            while watch.states["in_transit"] and left:
                await self._next_day(bank)
                left -= 1
            for _ in range(_RETURN_DAYS):
                await self._next_day(bank)
        if watch.states["in_transit"]:
            raise DemoStuck(f"{watch.states['in_transit']} ACH credits did not settle")

    async def _next_day(self, bank: httpx.AsyncClient) -> None:
        answer = await bank.post("/clock", json={"advance_days": 1})
        answer.raise_for_status()
        # Longer than the rail's poll, so that it has looked at least once.
        await asyncio.sleep(1.2)
        await self._until_quiet()

    async def _until_quiet(self, *, timeout_s: float = 60) -> None:
        """Until nothing waits to be consumed or published, seen twice in a row."""
        deadline = self.clock.monotonic() + timeout_s
        quiet = 0
        while quiet < 2:  # noqa: PLR2004 - twice: a fact may be on its way between two looks
            waiting = sum(one.total for one in await lag.measure(self.installation))
            quiet = quiet + 1 if waiting == 0 else 0
            if self.clock.monotonic() > deadline:
                raise DemoStuck(
                    f"{waiting} records still wait after {timeout_s:.0f} s: see `tally lag`"
                )
            # Offsets are committed a few times a second.
            await asyncio.sleep(0.3)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:>18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=notes,
    )
