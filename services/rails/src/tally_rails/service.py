"""Commands to the rails: load what a batch touches, decide message by message, save, tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tally_contracts.rails import (
    CancelAttempt,
    InstrumentRefused,
    InstrumentRegistered,
    RegisterInstrument,
    SubmitPayout,
)
from tally_messaging import Received, UnitOfWork
from tally_railkit import (
    CheckedInstrument,
    InstrumentProblem,
    PayoutOrder,
    Rejected,
)
from tally_railkit.sealing import Keyring, SealingError, unseal
from tally_rails.context import Context
from tally_rails.desk import INSTRUMENTS, Desk, DeskFactory
from tally_rails.domain.attempt import Moved
from tally_rails.domain.instrument import Instrument, refusal_of
from tally_rails.port import Rail
from tally_rails.store import instruments as instrument_store
from tally_rails.store import work
from tally_rails.store.work import Job
from tally_runtime import get_logger

_LOG = get_logger("tally_rails")
SEND = "send"
_OTHER_ID = "This id names other details: register them under a new id."


@dataclass(frozen=True, slots=True)
class RailsService:
    """The rails of one installation, by name, and the keys their instruments are sealed with."""

    rails: Mapping[str, Rail]
    keys: Keyring
    desks: DeskFactory

    async def apply(self, uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        """Apply a batch in order. The number of statements does not depend on its size."""
        events = [message.event for message in messages]
        desk = self.desks(uow)
        orders = [e for e in events if isinstance(e, SubmitPayout | CancelAttempt)]
        await desk.load(event.attempt_id for event in orders)
        named = {e.instrument for e in events if isinstance(e, SubmitPayout)}
        named |= {e.instrument_id for e in events if isinstance(e, RegisterInstrument)}
        turn = _Turn(self, uow, desk, await instrument_store.load_instruments(uow.conn, named))
        for message in messages:
            turn.take(message)
        await instrument_store.add_instruments(uow.conn, turn.added, uow.now)
        await desk.save()
        await work.end_jobs(uow.conn, turn.called_off)


@dataclass(slots=True)
class _Turn:
    """A batch while it is decided."""

    service: RailsService
    uow: UnitOfWork
    desk: Desk
    instruments: dict[str, Instrument]
    added: list[Instrument] = field(default_factory=list)
    called_off: list[tuple[str, str, str]] = field(default_factory=list)

    def take(self, message: Received[Any]) -> None:
        match message.event:
            case RegisterInstrument():
                self._register(message, message.event)
            case SubmitPayout():
                self._submit(message, message.event)
            case CancelAttempt():
                self._cancel(message.event)

    def _register(self, message: Received[Any], event: RegisterInstrument) -> None:
        known = self.instruments.get(event.instrument_id)
        try:
            details, checked = self._checked(event)
            if known is not None and not self._same(known, event, details):
                raise InstrumentProblem("id_conflict", "instrument_id", _OTHER_ID)  # noqa: TRY301
        except InstrumentProblem as problem:
            refused = InstrumentRefused(
                instrument_id=event.instrument_id,
                rail=event.rail,
                owner=event.owner,
                code=problem.code,
                field=problem.field,
                remedy=problem.remedy,
                occurred_at=self.uow.now,
            )
            self.uow.emit(refused, topic=INSTRUMENTS, key=event.instrument_id, cause=message)
            return
        if known is not None:
            _LOG.info("instrument_known", instrument_id=known.id)
            return
        instrument = Instrument(
            id=event.instrument_id,
            rail=event.rail,
            owner=event.owner,
            currency=event.currency,
            sealed=event.sealed,
            masked=checked.masked,
            settlement_account=checked.settlement_account,
        )
        self.instruments[instrument.id] = instrument
        self.added.append(instrument)
        registered = registration_of(instrument, self.uow)
        self.uow.emit(registered, topic=INSTRUMENTS, key=instrument.id, cause=message)

    def _checked(self, event: RegisterInstrument) -> tuple[dict[str, str], CheckedInstrument]:
        rail = self.service.rails.get(event.rail)
        if rail is None:
            names = ", ".join(sorted(self.service.rails))
            raise InstrumentProblem("rail_unknown", "rail", f"Give one of: {names}.")
        try:
            details = unseal(
                event.sealed, self.service.keys, instrument_id=event.instrument_id, rail=event.rail
            )
        except SealingError as error:
            raise InstrumentProblem(
                error.code,
                "sealed",
                "Seal the details again, for this instrument and rail, with the current key.",
            ) from error
        return details, rail.check(details, event.currency)

    def _same(
        self, known: Instrument, event: RegisterInstrument, details: Mapping[str, str]
    ) -> bool:
        if (known.rail, known.owner, known.currency) != (event.rail, event.owner, event.currency):
            return False
        try:
            before = unseal(
                known.sealed, self.service.keys, instrument_id=known.id, rail=known.rail
            )
        except SealingError:
            # Sealed with a key that is gone: nobody can say that these are the same details.
            return False
        return before == details

    def _submit(self, message: Received[Any], event: SubmitPayout) -> None:
        order = PayoutOrder(
            attempt_id=event.attempt_id,
            payout_id=event.payout_id,
            instrument_id=event.instrument,
            amount=event.amount.money(),
            owner=event.owner,
            company=event.company,
        )
        known = self.desk.find(event.attempt_id)
        if known is not None:
            if (known.order, known.rail) == (order, event.rail):
                _LOG.info("attempt_known", attempt_id=known.id)
            else:
                self.desk.open_case(
                    known.rail, "attempt_id_conflict", f"{known.id}:{message.event_key}",
                    f"{known.id} was ordered again with other content; the first order stands",
                )  # fmt: skip
            return
        rail = self.service.rails.get(event.rail)
        if rail is None:
            # The topic is a rail's own, so the order and the topic it came on disagree.
            self.desk.open_case(
                event.rail, "rail_unknown", event.attempt_id,
                f"{event.attempt_id} is ordered by rail {event.rail}, which is not installed",
            )  # fmt: skip
            return
        refusal = rail.capabilities.refusal_of(order.amount) or refusal_of(
            order, event.rail, self.instruments.get(event.instrument)
        )
        answer = rail.take(order) if refusal is None else refusal
        self.desk.take(event.rail, order, answer, Context.of(message))
        due_at = rail.due_at(self.uow.now)
        if not isinstance(answer, Rejected) and due_at is not None:
            self.desk.add_job(Job(event.rail, SEND, order.attempt_id, due_at))

    def _cancel(self, event: CancelAttempt) -> None:
        known = self.desk.find(event.attempt_id)
        if known is None or known.order.payout_id != event.payout_id:
            _LOG.warning("cancel_of_unknown_attempt", attempt_id=event.attempt_id)
            return
        if isinstance(self.desk.cancel(event.attempt_id), Moved):
            self.called_off.append((known.rail, SEND, known.id))


def registration_of(instrument: Instrument, uow: UnitOfWork) -> InstrumentRegistered:
    """The event that tells others an instrument can be paid to."""
    return InstrumentRegistered(
        instrument_id=instrument.id,
        rail=instrument.rail,
        owner=instrument.owner,
        currency=instrument.currency,
        masked=instrument.masked,
        settlement_account=instrument.settlement_account,
        occurred_at=uow.now,
    )
