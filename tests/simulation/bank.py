"""A bank in the simulation, the rail that leads to it, and the jobs that talk to it.

The rail decides through the real desk and state machine. The bank keeps a book of its own: one
execution for each key it is given, whoever sends it and however often.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from tally_messaging import UnitOfWork, WorkerContext
from tally_postgres import is_transient
from tally_railkit import (
    Accepted,
    Action,
    AttemptState,
    Capabilities,
    CheckedInstrument,
    EndpointClass,
    Meaning,
    News,
    Pending,
    Rejected,
    Unknown,
)

from .rails_store import work
from .world import BEGINNING, CURRENT, World

NAME = "bank"
SEND = "send"
_S = AttemptState
MEANINGS = {
    "leaving": Meaning(_S.SUBMITTING),
    "doubt": Meaning(_S.UNKNOWN),
    "taken": Meaning(_S.SUBMITTED),
    "clearing": Meaning(_S.IN_TRANSIT),
    "settled": Meaning(_S.PAID),
    "refused": Meaning(_S.FAILED, Action.RETRY_LATER),
    "returned": Meaning(_S.RETURNED, Action.RETRY_LATER),
}


@dataclass
class Execution:
    """What the bank did under one key."""

    payout_id: str
    attempt_id: str
    amount: object
    state: str


@dataclass
class Bank:
    """Its book, and the statement lines it hands out, some twice and some out of order."""

    world: World
    book: dict[str, Execution] = field(default_factory=dict)
    lines: list[News] = field(default_factory=list)

    def execute(self, key: str, order) -> Accepted | Rejected:
        """Do it once; the same key again is told the same."""
        known = self.book.get(key)
        if known is None:
            refused = self.world.rng.random() < 0.1
            state = "refused" if refused else "taken"
            known = Execution(order.payout_id, order.attempt_id, order.amount, state)
            self.book[key] = known
            self.world.trace("bank", f"{key} {state}")
            if not refused:
                self._later(key, "clearing", 0.5, 3.0)
        if known.state == "refused":
            return Rejected("refused", Action.RETRY_LATER)
        return Accepted(AttemptState.SUBMITTED, key)

    def query(self, key: str) -> Accepted | Rejected | None:
        known = self.book.get(key)
        if known is None:
            return None
        if known.state == "refused":
            return Rejected("refused", Action.RETRY_LATER)
        return Accepted(AttemptState.SUBMITTED, key)

    def _later(self, key: str, state: str, least: float, most: float) -> None:
        self.world.loop.call_later(self.world.rng.uniform(least, most), self._report, key, state)

    def _report(self, key: str, state: str) -> None:
        execution, rng = self.book[key], self.world.rng
        execution.state = state
        self.world.trace("bank", f"{key} {state}")
        self.lines.append(self._line(key, execution, state))
        if rng.random() < 0.1:
            self.lines.append(self._line(key, execution, "clearing"))
        if rng.random() < 0.2:
            self.lines.append(self.lines[-1])
        if state == "clearing":
            self._later(key, "refused_late" if rng.random() < 0.08 else "settled", 0.5, 5.0)
        elif state == "settled" and rng.random() < 0.15:
            self._later(key, "returned", 0.2, 20.0)

    def _line(self, key: str, execution: Execution, state: str) -> News:
        return News(
            attempt_id=execution.attempt_id,
            provider_code="refused" if state == "refused_late" else state,
            reference=f"{key}-return" if state == "returned" else key,
            amount=execution.amount,
            occurred_at=_moment(self.world),
            source="return_file" if state == "returned" else "settlement",
        )


def _moment(world: World):
    return BEGINNING + timedelta(microseconds=round(world.loop.time() * 1e6))


@dataclass(frozen=True)
class BankRail:
    """The rail as the service uses it."""

    bank: Bank
    new_id_after_unknown: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(rail=NAME, endpoint_class=EndpointClass.CASH, native_key="attempt id")

    @property
    def meanings(self):
        return MEANINGS

    def check(self, details, currency):
        return CheckedInstrument("bank …1", None)

    def take(self, order):
        return Accepted(AttemptState.SCHEDULED, order.attempt_id)

    def due_at(self, now):
        return now + timedelta(milliseconds=400)

    def workers(self, desks):
        return (Sender(self, desks), Reader(self.bank, desks))


@dataclass(frozen=True)
class Sender:
    """Takes due orders, sends them, asks about those in doubt."""

    rail: BankRail
    desks: object
    name: str = "sender"
    within_s: float = 600.0

    async def run(self, context: WorkerContext) -> None:
        while True:
            await asyncio.sleep(0.5)
            await CURRENT.get().step("sender", counted=False)
            if not context.pool.database.rows["job"]:
                continue
            try:
                for attempt_id, tries in await self._take(context):
                    await self._send(context, attempt_id, tries)
            except Exception as error:
                if not is_transient(error):
                    raise

    async def _take(self, context):
        async def unit(uow: UnitOfWork):
            lease = timedelta(seconds=20)
            return await work.take_jobs(uow.conn, NAME, SEND, now=uow.now, lease=lease, limit=4)

        return await context.transactor.run(unit)

    async def _send(self, context, attempt_id: str, tries: int) -> None:
        async def begin(uow: UnitOfWork):
            desk = self.desks(uow)
            await desk.load([attempt_id])
            before = desk.find(attempt_id)
            if before.state is AttemptState.SCHEDULED:
                desk.observe(_news(attempt_id, "leaving", uow.now))
            elif before.state not in {AttemptState.SUBMITTING, AttemptState.UNKNOWN}:
                await work.end_jobs(uow.conn, [(NAME, SEND, attempt_id)])
                return None
            await desk.save()
            return before

        before = await context.transactor.run(begin)
        if before is None:
            return
        answer = await self._answer(before, tries)
        await CURRENT.get().step("bank answered")

        async def record(uow: UnitOfWork) -> None:
            desk = self.desks(uow)
            await desk.load([attempt_id])
            match answer:
                case Accepted():
                    desk.observe(_news(attempt_id, "taken", uow.now))
                    await work.end_jobs(uow.conn, [(NAME, SEND, attempt_id)])
                case Rejected():
                    desk.observe(_news(attempt_id, "refused", uow.now))
                    await work.end_jobs(uow.conn, [(NAME, SEND, attempt_id)])
                case Pending() | Unknown():
                    if isinstance(answer, Unknown):
                        desk.observe(_news(attempt_id, "doubt", uow.now))
                    pause = uow.now + timedelta(seconds=2)
                    await work.put_off(uow.conn, NAME, SEND, [attempt_id], pause)
            await desk.save()

        await context.transactor.run(record)

    async def _answer(self, before, tries: int):
        """Send what has not left; ask about what may have, and send that again under its own key."""
        bank, order = self.rail.bank, before.order
        await CURRENT.get().step("bank called")
        key = order.attempt_id
        if before.state is not AttemptState.SCHEDULED:
            if self.rail.new_id_after_unknown:
                key = f"{order.attempt_id}-{tries}"
            elif (known := bank.query(key)) is not None:
                return known
        world = bank.world
        fate = world.rng.random() if world.faulty else 1.0
        if fate < 0.1:
            return Unknown("no answer; it was never received")
        if fate < 0.2:
            return Pending(timedelta(seconds=2), "busy")
        answer = bank.execute(key, order)
        return Unknown("timed out after doing it") if fate < 0.35 else answer


def _news(attempt_id: str, code: str, now) -> News:
    return News(
        attempt_id=attempt_id,
        provider_code=code,
        reference=attempt_id,
        amount=None,
        occurred_at=now,
        source="poll" if code == "doubt" else "answer",
    )


@dataclass(frozen=True)
class Reader:
    """Reads the bank's lines after the position kept with what they changed."""

    bank: Bank
    desks: object
    name: str = "reader"
    within_s: float = 600.0

    async def run(self, context: WorkerContext) -> None:
        while True:
            await asyncio.sleep(0.4)
            await CURRENT.get().step("reader", counted=False)
            if context.pool.database.rows["bank"].get("position", 0) == len(self.bank.lines):
                continue
            try:
                await context.transactor.run(self._unit)
            except Exception as error:
                if not is_transient(error):
                    raise

    async def _unit(self, uow: UnitOfWork) -> None:
        await uow.conn.statement("bank.position")
        await uow.conn.lock("bank", ["position"])
        at = uow.conn.get("bank", "position") or 0
        lines = self.bank.lines[at : at + 10]
        desk = self.desks(uow)
        await desk.load(line.attempt_id for line in lines)
        for line in lines:
            desk.observe(line)
        await desk.save()
        uow.conn.put("bank", "position", at + len(lines))
