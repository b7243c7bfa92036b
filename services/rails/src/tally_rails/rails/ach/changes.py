"""Notices of change: the payment stands, the stored details get a corrected version."""

from collections.abc import Sequence
from dataclasses import dataclass

from tally_bankfiles.nacha import CorrectedDataError, CorrectedDetails, Notice, corrected_details
from tally_messaging import UnitOfWork
from tally_railkit import InstrumentProblem
from tally_railkit.sealing import Keyring, SealingError, seal
from tally_rails.desk import INSTRUMENTS, Desk
from tally_rails.domain.instrument import Instrument, corrected
from tally_rails.rails.ach.capabilities import NAME
from tally_rails.rails.ach.cutting import open_details
from tally_rails.rails.ach.store import StoredEntry
from tally_rails.service import registration_of
from tally_rails.store import instruments as instrument_store
from tally_runtime import get_logger

_LOG = get_logger("tally_rails.ach")


@dataclass(frozen=True, slots=True)
class Corrections:
    """Corrects instruments as the receiving banks say."""

    keys: Keyring

    async def apply(
        self, uow: UnitOfWork, desk: Desk, changes: Sequence[tuple[StoredEntry, Notice]]
    ) -> None:
        """Store corrected details; one that cannot be read or applied is a case."""
        if not changes:
            return
        paid_to = {}
        for entry, _ in changes:
            attempt = desk.find(entry.attempt_id)
            assert attempt is not None, "an entry's attempt is loaded"
            paid_to[entry.attempt_id] = attempt.order.instrument_id
        before = await instrument_store.lock_instruments(uow.conn, set(paid_to.values()))
        after: dict[str, Instrument] = {}
        codes: dict[str, str] = {}
        for entry, notice in changes:
            instrument_id = paid_to[entry.attempt_id]
            instrument = after.get(instrument_id, before[instrument_id])
            try:
                new = self._corrected(instrument, notice)
            except (CorrectedDataError, InstrumentProblem, SealingError) as error:
                subject = f"{entry.trace}:{notice.code}:{notice.corrected_data}"
                desk.open_case(NAME, "change_not_applied", subject, f"{notice.code}: {error}")
                continue
            if new is None or instrument_id in after:
                _LOG.info("ach_change_known", instrument_id=instrument_id, code=notice.code)
                continue
            after[instrument_id] = new
            codes[instrument_id] = notice.code
        await instrument_store.correct_instruments(uow.conn, after, codes, uow.now)
        told = {paid_to[entry.attempt_id]: entry.attempt_id for entry, _ in changes}
        for instrument in after.values():
            _LOG.info(
                "ach_details_corrected", instrument_id=instrument.id, code=codes[instrument.id]
            )
            uow.emit(
                registration_of(instrument, uow),
                topic=INSTRUMENTS,
                key=instrument.id,
                cause=desk.cause_of(told[instrument.id]),
            )

    def _corrected(self, instrument: Instrument, notice: Notice) -> Instrument | None:
        """The instrument with the notice applied; None where it is so already."""
        said = corrected_details(notice.code, notice.corrected_data)
        details = open_details(instrument, self.keys)
        new = details.corrected(said)
        if new == details:
            if said != CorrectedDetails():
                return None
            raise CorrectedDataError(
                f"{notice.code} with {notice.corrected_data!a} corrects nothing this platform "
                "keeps; ask the receiving bank"
            )
        sealed = seal(
            new.fields(), self.keys.current, instrument_id=instrument.id, rail=instrument.rail
        )
        return corrected(instrument, sealed, new.checked())
