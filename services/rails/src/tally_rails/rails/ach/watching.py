"""The worker that takes what the bank left, and settles by the banking calendar."""

from dataclasses import dataclass
from datetime import date, timedelta

from tally_messaging import UnitOfWork, WorkerContext
from tally_rails.breathing import breathing
from tally_rails.desk import DeskFactory
from tally_rails.rails.ach import store
from tally_rails.rails.ach.banking_date import BankingDate
from tally_rails.rails.ach.capabilities import NAME
from tally_rails.rails.ach.client import BankLine, BankSession, FileTooLarge, Listed
from tally_rails.rails.ach.config import AchSettings
from tally_rails.rails.ach.incoming import Incoming, settlement_of
from tally_rails.rails.ach.sending import ACKNOWLEDGEMENT
from tally_rails.store import attempts as attempt_store
from tally_rails.store import work
from tally_runtime import get_logger

_LOG = get_logger("tally_rails.ach")
_OVERDUE_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Watcher:
    """Asks for the date first: what the bank left up to that day is read before it settles."""

    config: AchSettings
    desks: DeskFactory
    line: BankLine
    incoming: Incoming
    banking_date: BankingDate

    async def turn(self, context: WorkerContext) -> bool:
        """Take, settle, look for what is overdue; True where there may be more to settle."""
        today = await self.banking_date.today(context.clock)
        async with self.line.session() as bank:
            listed = await bank.outbound()
            new = set(await store.unknown_of(context.pool, listed))
            for item in listed:
                kept = item not in new or await self._take(context, bank, item, today)
                if kept and self.config.remove_processed:
                    await bank.remove(item.name)
        settled = await context.transactor.run(lambda uow: self._settle(uow, today))
        await context.transactor.run(self._overdue)
        return settled == self.config.settle_batch

    async def _take(
        self, context: WorkerContext, bank: BankSession, item: Listed, today: date
    ) -> bool:
        """Keep and apply a file; False where it is not in the database afterwards."""
        try:
            content = await bank.read(item.name)
        except FileTooLarge as error:
            detail = str(error)
            await context.transactor.run(lambda uow: self._case(uow, item, detail))
            return False
        if content is None:
            return False
        await context.transactor.run(lambda uow: self.incoming.apply(uow, item, content, today))
        return True

    async def _case(self, uow: UnitOfWork, item: Listed, detail: str) -> None:
        desk = self.desks(uow)
        desk.open_case(NAME, "file_too_large", f"{item.name}:{item.size}", detail)
        await desk.save()

    async def _settle(self, uow: UnitOfWork, today: date) -> int:
        due = await attempt_store.settling(uow.conn, NAME, today, self.config.settle_batch)
        if not due:
            return 0
        desk = self.desks(uow)
        await desk.load(due)
        async for attempt in breathing(desk.loaded()):
            desk.observe(settlement_of(attempt, uow.now))
        await desk.save()
        _LOG.info("ach_settled", attempts=len(due), banking_date=today.isoformat())
        return len(due)

    async def _overdue(self, uow: UnitOfWork) -> None:
        """Files uploaded long ago that the bank has said nothing about."""
        files = await work.due_subjects(
            uow.conn, NAME, ACKNOWLEDGEMENT, now=uow.now, limit=_OVERDUE_LIMIT
        )
        if not files:
            return
        desk = self.desks(uow)
        for file_id in files:
            detail = "the file is at the bank, its acknowledgement is missing; ask the bank for it"
            desk.open_case(NAME, "acknowledgement_overdue", file_id, detail)
        await desk.save()
        # Asked about again later, and the case stays the same one.
        again = uow.now + timedelta(seconds=self.config.ack_overdue_s)
        await work.put_off(uow.conn, NAME, ACKNOWLEDGEMENT, files, again)
