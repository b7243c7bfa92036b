"""Cutting a file: the payouts whose window is over, stored byte for byte before anything is sent."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from tally_bankfiles import add_banking_days
from tally_bankfiles.nacha import Credit, build_credit_file, write_file
from tally_messaging import UnitOfWork
from tally_postgres import Pool
from tally_railkit import AttemptState, InstrumentProblem, News
from tally_railkit.sealing import Keyring, SealingError, unseal
from tally_rails.breathing import breathing
from tally_rails.desk import Desk, DeskFactory
from tally_rails.domain.attempt import Attempt
from tally_rails.domain.instrument import Instrument, InstrumentState
from tally_rails.rails.ach import store
from tally_rails.rails.ach.capabilities import NAME
from tally_rails.rails.ach.config import AchSettings
from tally_rails.rails.ach.details import AchDetails
from tally_rails.rails.ach.mapping import INSTRUMENT_REFUSED, STORED
from tally_rails.rails.ach.store import MODIFIERS, StoredEntry, StoredFile
from tally_rails.service import SEND
from tally_rails.store import instruments as instrument_store
from tally_rails.store import work
from tally_rails.store.work import Job
from tally_runtime import get_logger

_LOG = get_logger("tally_rails.ach")
UPLOAD: Final = "upload"
_LAST_SEQUENCE: Final = 9_999_999
_MINUTE_S: Final = 60
_UNREADABLE_PAUSE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Cutter:
    """Makes files of waiting payouts, one unit of work each."""

    config: AchSettings
    keys: Keyring
    desks: DeskFactory

    async def is_due(self, pool: Pool, now: datetime) -> bool:
        """Whether any payout's window is over."""
        return bool(await work.due_subjects(pool, NAME, SEND, now=now, limit=1))

    async def cut(self, uow: UnitOfWork, banking_date: date) -> int:
        """Store one file of due payouts; gives how many are in it, 0 when nothing is due.

        Their attempts are `submitting` from here on: a cancel comes too late.
        """
        conn, origin = uow.conn, self.config.origin()
        due = await work.due_subjects(
            conn, NAME, SEND, now=uow.now, limit=self.config.file_entries_max
        )
        if not due:
            return 0
        # The counter's lock makes cutters wait for each other, so traces ascend file by file.
        last, cycle = await store.lock_counter(conn, origin.odfi_identification)
        if last == _LAST_SEQUENCE:
            last, cycle = 0, cycle + 1
        wall = uow.now.astimezone(self.config.time_zone())
        created_at = datetime.combine(banking_date, wall.time(), wall.tzinfo)
        minute = f"{created_at:%H%M}"
        used = await store.files_of_minute(conn, origin.immediate_origin, banking_date, minute)
        full = len(due) == self.config.file_entries_max
        if not may_cut(used, second=created_at.second, full=full):
            return 0
        modifier = MODIFIERS[used]
        desk = self.desks(uow)
        await desk.load(due[: _LAST_SEQUENCE - last])
        waiting = [a for a in desk.loaded() if a.state is AttemptState.SCHEDULED]
        ready = await self._ready(uow, desk, waiting)
        if ready:
            content = await asyncio.to_thread(
                self._write,
                [credit for _, credit in ready],
                effective_date=self._effective(banking_date),
                id_modifier=modifier,
                created_at=created_at,
                first_sequence=last + 1,
            )
            file = StoredFile(
                id=uow.ids.new("achf"),
                origin=origin.immediate_origin,
                created_on=banking_date,
                created_time=minute,
                modifier=modifier,
                name=f"{origin.immediate_origin}-{banking_date:%y%m%d}-{minute}-{modifier}.ach",
                content=content,
                effective_date=self._effective(banking_date),
            )
            entries = [
                StoredEntry(
                    f"{origin.odfi_identification}{last + n:07}",
                    1,
                    attempt.id,
                    credit.routing[:8],
                    credit.amount_minor,
                )
                for n, (attempt, credit) in enumerate(ready, start=1)
            ]
            await store.advance_counter(
                conn, origin.odfi_identification, last + len(entries), cycle
            )
            async for entry in breathing(entries):
                desk.observe(_news(entry.attempt_id, STORED, entry.trace, uow.now))
            desk.add_job(Job(NAME, UPLOAD, file.id, uow.now))
        await desk.save()
        if ready:
            sha256 = hashlib.sha256(content).hexdigest()
            await store.add_file(conn, file, entries, sha256=sha256, cycle=cycle, now=uow.now)
            _LOG.info("ach_file_cut", file_id=file.id, name=file.name, entries=len(entries))
        stuck = {a.id for a in desk.loaded() if a.state is AttemptState.SCHEDULED}
        await work.end_jobs(conn, [(NAME, SEND, a) for a in due if a not in stuck])
        await work.put_off(conn, NAME, SEND, stuck, uow.now + _UNREADABLE_PAUSE)
        return len(ready)

    async def _ready(
        self, uow: UnitOfWork, desk: Desk, waiting: Sequence[Attempt]
    ) -> list[tuple[Attempt, Credit]]:
        """The payouts whose details can be read; a case for each other, which waits."""
        instruments = await instrument_store.load_instruments(
            uow.conn, {attempt.order.instrument_id for attempt in waiting}
        )
        details: dict[str, AchDetails] = {}
        ready = []
        async for attempt in breathing(waiting):
            instrument = instruments[attempt.order.instrument_id]
            if instrument.state is InstrumentState.REFUSED:
                desk.observe(_news(attempt.id, INSTRUMENT_REFUSED, None, uow.now))
                continue
            try:
                if instrument.id not in details:
                    details[instrument.id] = open_details(instrument, self.keys)
            except (SealingError, InstrumentProblem) as error:
                desk.open_case(NAME, "details_unreadable", instrument.id, str(error))
                continue
            credit = details[instrument.id].credit(attempt.id, attempt.order.amount)
            ready.append((attempt, credit))
        return ready

    def _effective(self, banking_date: date) -> date:
        return add_banking_days(banking_date, self.config.effective_days)

    def _write(
        self,
        credits_out: Sequence[Credit],
        *,
        effective_date: date,
        id_modifier: str,
        created_at: datetime,
        first_sequence: int,
    ) -> bytes:
        return write_file(
            build_credit_file(
                self.config.origin(),
                credits_out,
                effective_date=effective_date,
                id_modifier=id_modifier,
                created_at=created_at,
                first_sequence=first_sequence,
                description=self.config.entry_description,
            )
        )


def open_details(instrument: Instrument, keys: Keyring) -> AchDetails:
    """Unseal and read an instrument; raises SealingError or InstrumentProblem."""
    return AchDetails.parse(
        unseal(instrument.sealed, keys, instrument_id=instrument.id, rail=instrument.rail)
    )


def may_cut(used: int, *, second: int, full: bool) -> bool:
    """Whether a file may be cut now, `used` being those of this minute.

    A minute has 36 file identities. A full file takes one as long as there are any; one that is not
    full keeps the pace, so that short windows do not use them up and then wait.
    """
    if used >= len(MODIFIERS):
        return False
    return full or used * _MINUTE_S <= (second + 1) * len(MODIFIERS)


def _news(attempt_id: str, provider_code: str, reference: str | None, now: datetime) -> News:
    return News(
        attempt_id=attempt_id,
        provider_code=provider_code,
        reference=reference,
        amount=None,
        occurred_at=now,
        source="answer",
    )
