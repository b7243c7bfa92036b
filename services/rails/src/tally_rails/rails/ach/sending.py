"""The worker that cuts files and hands them in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tally_messaging import UnitOfWork, WorkerContext
from tally_messaging.batch import Step
from tally_railkit import Accepted, News, PayoutRail, Pending, Rejected, Result, Unknown
from tally_rails.breathing import breathing
from tally_rails.desk import DeskFactory
from tally_rails.rails.ach import store
from tally_rails.rails.ach.banking_date import BankingDate
from tally_rails.rails.ach.capabilities import NAME
from tally_rails.rails.ach.config import AchSettings
from tally_rails.rails.ach.cutting import UPLOAD, Cutter
from tally_rails.rails.ach.mapping import IN_DOUBT, UPLOADED
from tally_rails.rails.ach.store import OPEN, FileState, StoredFile
from tally_rails.store import work
from tally_rails.store.work import Job
from tally_runtime import get_logger

_LOG = get_logger("tally_rails.ach")
ACKNOWLEDGEMENT: Final = "acknowledgement"


@dataclass(frozen=True, slots=True)
class Sender:
    """Cuts what is due, then sends what is stored. `step` is called after the bank answered."""

    config: AchSettings
    desks: DeskFactory
    cutter: Cutter
    bank: PayoutRail[StoredFile]
    banking_date: BankingDate
    step: Step

    async def turn(self, context: WorkerContext) -> bool:
        """Do what is due once; True where there may be more."""
        cut = 0
        if await self.cutter.is_due(context.pool, context.clock.now()):
            today = await self.banking_date.today(context.clock)
            cut = await context.transactor.run(lambda uow: self.cutter.cut(uow, today))
        sent = False
        for file_id, tries in await self._take(context):
            sent |= await self._send(context, file_id, tries)
        return sent or cut > 0

    async def _take(self, context: WorkerContext) -> list[tuple[str, int]]:
        lease = timedelta(seconds=self.config.lease_s)
        return await context.transactor.run(
            lambda uow: work.take_jobs(uow.conn, NAME, UPLOAD, now=uow.now, lease=lease, limit=1)
        )

    async def _send(self, context: WorkerContext, file_id: str, tries: int) -> bool:
        async def begin(uow: UnitOfWork) -> StoredFile:
            file = await store.lock_file(uow.conn, file_id)
            if file.state not in OPEN:
                # Its acknowledgement came before the outcome of the upload was saved.
                await work.end_jobs(uow.conn, [(NAME, UPLOAD, file_id)])
            elif file.state is FileState.STORED:
                await store.mark_sending(uow.conn, file_id, uow.now)
            return file

        file = await context.transactor.run(begin)
        if file.state not in OPEN:
            return True
        answer = await self._answer(context, file)
        await self.step("called")
        await context.transactor.run(lambda uow: self._record(uow, file, answer, tries))
        return isinstance(answer, Accepted)

    async def _answer(self, context: WorkerContext, file: StoredFile) -> Result:
        """Send what has not left; ask about what may have, and send it again once that is safe."""
        if file.state is FileState.STORED:
            return await self.bank.submit(file)
        known = await self.bank.query(file)
        assert file.sent_at is not None, "a file in doubt was sent"
        proven_at = file.sent_at + timedelta(seconds=self.config.not_found_after_s)
        if not isinstance(known, Unknown) or context.clock.now() < proven_at:
            return known
        await context.transactor.run(lambda uow: store.mark_sending(uow.conn, file.id, uow.now))
        return await self.bank.submit(file)

    async def _record(self, uow: UnitOfWork, sent: StoredFile, answer: Result, tries: int) -> None:
        """Save what came of it; `sent` is the file as it was before."""
        conn, now = uow.conn, uow.now
        file = await store.lock_file(conn, sent.id)
        if file.state not in OPEN:
            await work.end_jobs(conn, [(NAME, UPLOAD, file.id)])
            return
        desk = self.desks(uow)
        entries = await store.entries_of(conn, file.id)
        await desk.load(entry.attempt_id for entry in entries)
        match answer:
            case Accepted():
                news: str | None = UPLOADED
                await store.mark_file(conn, file.id, FileState.UPLOADED, OPEN, now)
                await work.end_jobs(conn, [(NAME, UPLOAD, file.id)])
                overdue = now + timedelta(seconds=self.config.ack_overdue_s)
                desk.add_job(Job(NAME, ACKNOWLEDGEMENT, file.id, overdue))
                _LOG.info("ach_file_uploaded", file_id=file.id, name=file.name, tries=tries)
            case Pending() | Unknown():
                in_doubt = sent.state is FileState.IN_DOUBT or isinstance(answer, Unknown)
                news = IN_DOUBT if in_doubt and self._too_long(file, now) else None
                if not in_doubt:
                    await store.mark_not_sent(conn, file.id, now)
                pause = self.config.pause(tries)
                await work.put_off(conn, NAME, UPLOAD, [file.id], now + pause)
                _LOG.warning("ach_upload_put_off", file_id=file.id, tries=tries, why=answer.reason)
                if tries >= self.config.tries_before_case:
                    code = "upload_in_doubt" if in_doubt else "upload_failing"
                    detail = f"{file.name} after {tries} tries: {answer.reason}"
                    desk.open_case(NAME, code, file.id, detail)
            case Rejected():
                raise AssertionError("SFTP moves bytes: a file is refused by acknowledgement")
        if news is not None:
            async for entry in breathing(entries):
                desk.observe(
                    News(
                        attempt_id=entry.attempt_id,
                        provider_code=news,
                        reference=entry.trace,
                        amount=None,
                        occurred_at=now,
                        source="answer" if sent.state is FileState.STORED else "poll",
                    )
                )
        await desk.save()

    def _too_long(self, file: StoredFile, now: datetime) -> bool:
        assert file.doubt_since is not None, "a file in doubt was sent"
        return now - file.doubt_since >= timedelta(seconds=self.config.doubt_after_s)
