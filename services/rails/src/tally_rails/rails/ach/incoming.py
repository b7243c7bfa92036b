"""What the bank leaves for us: acknowledgements, returns, notices of change. Each file counts once."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from tally_bankfiles import add_banking_days
from tally_bankfiles.nacha import (
    AchFile,
    Entry,
    IatEntry,
    NachaFileError,
    Notice,
    notice_of,
    read_file,
)
from tally_messaging import UnitOfWork
from tally_money import Money, currency
from tally_railkit import AttemptState, News
from tally_rails.breathing import breathing
from tally_rails.desk import Desk, DeskFactory
from tally_rails.domain.attempt import Attempt
from tally_rails.rails.ach import store
from tally_rails.rails.ach.acknowledgements import (
    DUPLICATE,
    AcknowledgementError,
    FileAck,
    parse_acknowledgement,
)
from tally_rails.rails.ach.capabilities import NAME
from tally_rails.rails.ach.changes import Corrections
from tally_rails.rails.ach.client import Listed
from tally_rails.rails.ach.cutting import UPLOAD
from tally_rails.rails.ach.mapping import (
    ABOUT_RETURNS,
    ACCEPTED,
    SETTLED,
    UPLOADED,
    refusal_code,
    return_code,
)
from tally_rails.rails.ach.sending import ACKNOWLEDGEMENT
from tally_rails.rails.ach.store import ANSWERED, OPEN, FileState, StoredEntry, StoredFile
from tally_rails.store import work
from tally_runtime import get_logger

_LOG = get_logger("tally_rails.ach")
_ACK_NAME: Final = re.compile(r"(?P<upload>.+\.ach)(?:\.[0-9]+)?\.ack").fullmatch
_RETURN_NAME: Final = re.compile(r".+\.ach").fullmatch
_USD: Final = currency("USD")
_SHOWN: Final = 5
Item = Entry | IatEntry


@dataclass(frozen=True, slots=True)
class Incoming:
    """Applies files of the bank, one unit of work each."""

    desks: DeskFactory
    corrections: Corrections

    async def apply(
        self, uow: UnitOfWork, item: Listed, content: bytes, banking_date: date
    ) -> None:
        """Keep the file and apply it; one that was processed before changes nothing.

        A file that cannot be read is kept, applied in no part, and a case.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        if not await store.add_incoming(uow.conn, item, content, sha256, uow.now):
            _LOG.info("ach_incoming_known", name=item.name)
            return
        desk = self.desks(uow)
        outcome = "applied"
        acknowledged = _ACK_NAME(item.name)
        try:
            if acknowledged is not None:
                ack = parse_acknowledgement(content)
                await self._acknowledged(uow, desk, acknowledged["upload"], ack, banking_date)
            elif _RETURN_NAME(item.name) is not None:
                file = await asyncio.to_thread(read_file, content)
                await self._returned(uow, desk, file)
            else:
                outcome = "unknown"
                detail = f"{item.name} is neither <upload>.ack nor a return file; it is kept"
                desk.open_case(NAME, "file_of_unknown_kind", f"{item.name}:{sha256}", detail)
        except (AcknowledgementError, NachaFileError) as error:
            outcome = "unreadable"
            desk.open_case(NAME, "file_unreadable", f"{item.name}:{sha256}", str(error))
        if outcome != "applied":
            await store.mark_incoming(uow.conn, item.name, sha256, outcome)
        await desk.save()
        _LOG.info("ach_incoming_applied", name=item.name, outcome=outcome)

    async def _acknowledged(
        self, uow: UnitOfWork, desk: Desk, upload: str, ack: FileAck, banking_date: date
    ) -> None:
        file = await store.lock_file_named(uow.conn, upload)
        if file is None or ack.identity not in {None, file.identity}:
            detail = f"acknowledgement of {upload} as {ack.identity}: no such file was sent"
            desk.open_case(NAME, "acknowledgement_unknown", f"{upload}:{ack.identity}", detail)
            return
        entries = await store.entries_of(uow.conn, file.id)
        await desk.load(entry.attempt_id for entry in entries)
        if ack.reason == DUPLICATE:
            await self._had_before(uow, desk, file, entries)
            return
        if file.state in ANSWERED:
            detail = f"the bank acknowledges {upload} again, in other words; the first ones stand"
            desk.open_case(NAME, "acknowledgement_repeated", file.id, detail)
            return
        strangers = ack.entries.keys() - {entry.trace for entry in entries}
        if strangers:
            detail = f"{upload} has no entries {', '.join(sorted(strangers)[:_SHOWN])}"
            desk.open_case(NAME, "acknowledgement_differs", file.id, detail)
        state = FileState.ACKNOWLEDGED if ack.reason is None else FileState.REFUSED
        await store.mark_file(uow.conn, file.id, state, (*OPEN, FileState.UPLOADED), uow.now)
        jobs = [(NAME, UPLOAD, file.id), (NAME, ACKNOWLEDGEMENT, file.id)]
        await work.end_jobs(uow.conn, jobs)
        settlement = max(file.effective_date, add_banking_days(banking_date, 0))
        refused = []
        async for entry in breathing(entries):
            reason = ack.refusal_of(entry.batch_number, entry.trace)
            if reason is not None:
                refused.append(f"{entry.trace} {reason}")
            news = News(
                attempt_id=entry.attempt_id,
                provider_code=ACCEPTED if reason is None else refusal_code(reason),
                reference=entry.trace,
                amount=None,
                occurred_at=uow.now,
                source="acknowledgement",
                reason=reason,
            )
            desk.observe(
                news,
                settlement_date=settlement if reason is None else None,
                shared_case=True,
            )
        if refused:
            code = "entries_refused" if ack.reason is None else "file_refused"
            shown = ", ".join(refused[:_SHOWN])
            detail = f"{len(refused)} of {len(entries)} payouts of {upload} refused: {shown}"
            desk.open_case(NAME, code, file.id, detail)

    async def _had_before(
        self, uow: UnitOfWork, desk: Desk, file: StoredFile, entries: list[StoredEntry]
    ) -> None:
        """The bank has had this file: proof that it arrived, not that anything failed."""
        if not await store.mark_file(uow.conn, file.id, FileState.UPLOADED, OPEN, uow.now):
            return
        await work.end_jobs(uow.conn, [(NAME, UPLOAD, file.id)])
        desk.add_job(work.Job(NAME, ACKNOWLEDGEMENT, file.id, uow.now))
        async for entry in breathing(entries):
            desk.observe(
                News(
                    attempt_id=entry.attempt_id,
                    provider_code=UPLOADED,
                    reference=entry.trace,
                    amount=None,
                    occurred_at=uow.now,
                    source="acknowledgement",
                )
            )

    async def _returned(self, uow: UnitOfWork, desk: Desk, file: AchFile) -> None:
        notices = [
            (item, notice)
            for batch in file.batches
            for item in batch.entries
            if (notice := notice_of(item)) is not None
        ]
        known = await store.entries_by_trace(
            uow.conn, {notice.original_trace for _, notice in notices}
        )
        await desk.load(entry.attempt_id for found in known.values() for entry in found)
        changes = []
        async for item, notice in breathing(notices):
            entry = self._find(desk, item, notice, known.get(notice.original_trace, []))
            if entry is None:
                continue
            if not notice.is_return:
                changes.append((entry, notice))
            elif notice.code in ABOUT_RETURNS:
                detail = f"{notice.code} about trace {entry.trace}: answer the receiving bank"
                desk.open_case(NAME, "return_disputed", f"{entry.trace}:{item.trace}", detail)
            else:
                self._settle_first(uow, desk, entry, file.header.file_creation_date)
                desk.observe(
                    News(
                        attempt_id=entry.attempt_id,
                        provider_code=return_code(notice.code),
                        reference=item.trace,
                        amount=Money(notice.amount_minor, _USD),
                        occurred_at=uow.now,
                        source="return_file",
                        reason=notice.code,
                    )
                )
        await self.corrections.apply(uow, desk, changes)

    def _settle_first(
        self, uow: UnitOfWork, desk: Desk, entry: StoredEntry, returned_on: date
    ) -> None:
        """Pay what settled before it came back, where nobody has looked since it settled.

        So what becomes of an attempt depends on the bank's calendar, not on when we ask.
        """
        attempt = desk.find(entry.attempt_id)
        assert attempt is not None, "an entry's attempt is loaded"
        settled_on = attempt.settlement_date
        in_transit = attempt.state is AttemptState.IN_TRANSIT
        if in_transit and settled_on is not None and settled_on < returned_on:
            desk.observe(settlement_of(attempt, uow.now))

    def _find(
        self, desk: Desk, item: Item, notice: Notice, candidates: list[StoredEntry]
    ) -> StoredEntry | None:
        """The one payment a notice is about: by trace, checked by receiving bank and amount."""
        fitting = [
            entry
            for entry in candidates
            if entry.rdfi == notice.original_rdfi
            and (not notice.is_return or entry.amount_minor == notice.amount_minor)
        ]
        if len(fitting) == 1:
            return fitting[0]
        code = "notice_ambiguous" if fitting else "notice_differs"
        if not candidates:
            code = "notice_of_unknown_trace"
        desk.open_case(
            NAME,
            code,
            f"{notice.original_trace}:{item.trace}",
            f"{notice.code} for trace {notice.original_trace}, bank {notice.original_rdfi}, "
            f"{notice.amount_minor} cents: {len(candidates)} payments have the trace, "
            f"{len(fitting)} fit; nothing was changed",
        )
        return None


def settlement_of(attempt: Attempt, now: datetime) -> News:
    """The calendar's word that an attempt has settled."""
    return News(
        attempt_id=attempt.id,
        provider_code=SETTLED,
        reference=attempt.provider_reference,
        amount=None,
        occurred_at=now,
        source="settlement",
    )
