"""Transfers between ledgers as this process takes part in them: as source, as destination, or both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import BaseModel

from tally_contracts.catalogue import topic
from tally_contracts.ledger_transfers import (
    StartTransfer,
    TransferCredited,
    TransferDeclined,
    TransferStarted,
)
from tally_ledger.placement import Placement
from tally_ledger.transfers import facts, plan, store
from tally_ledger.transfers.books import carry_out
from tally_ledger.transfers.domain import (
    CreditStep,
    Refusal,
    begun,
    decide_credit,
)
from tally_ledger.transfers.ends import OtherSaid, Reserved, same_request, take_in, waves
from tally_ledger.transfers.store import StoredTransfer
from tally_messaging import Received, Router, Subscription, UnitOfWork

_CONFLICT = Refusal(
    "id_conflict", "transfer_id: was used for another transfer, which stands; use a new id"
)

Asked = list[tuple[Received[Any], BaseModel]]


def subscription() -> Subscription:
    """The topic of the facts both sides act upon."""
    return Subscription(facts.TRANSFERS, ordered=False, types=topic(facts.TRANSFERS).types)


@dataclass(frozen=True, slots=True)
class Transfers:
    """The steps of a transfer, each one transaction. What concerns other databases is passed over."""

    placement: Placement

    def register(self, router: Router) -> None:
        """Let the router hand transfers over."""
        router.fold(StartTransfer)(self.start)
        router.fold(TransferStarted)(self.credit)
        router.fold(TransferCredited, TransferDeclined)(self.end)

    async def start(self, uow: UnitOfWork, messages: Sequence[Received[StartTransfer]]) -> None:
        """Reserve the money, or refuse; asked again, say where the transfer stands."""
        for wave in waves(messages, _id_of):
            known = await store.transfers(uow.conn, [m.event.transfer_id for m in wave])
            fresh = [m for m in wave if m.event.transfer_id not in known]
            refused = {m.event.transfer_id: self._senseless(m.event, uow) for m in fresh}
            asked: Asked = [
                (m, plan.hold(m.event)) for m in fresh if refused[m.event.transfer_id] is None
            ]
            answers = await carry_out(uow, asked)
            new: list[StoredTransfer] = []
            for message in fresh:
                start = message.event
                refusal = refused[start.transfer_id]
                if refusal is None:
                    refusal = answers[plan.hold_id(start.transfer_id)]
                transfer = begun(start.transfer_id, refusal)
                new.append(StoredTransfer(transfer, start, message.cause.to_text(), uow.now))
            await store.add(uow.conn, new)
            rows = {**known, **{one.transfer.id: one for one in new}}
            for message in wave:
                self._tell(uow, message, rows[message.event.transfer_id])

    async def credit(self, uow: UnitOfWork, messages: Sequence[Received[TransferStarted]]) -> None:
        """Credit the payee or decline, once for good; asked again, give the same answer."""
        ours = [m for m in messages if self.placement.answers_for(m.event.to_ledger)]
        for wave in waves(ours, _id_of):
            known = await store.credits_(uow.conn, [m.event.transfer_id for m in wave])
            decided: dict[str, Refusal | None] = {}
            asked: Asked = []
            for message in wave:
                started = message.event
                stored = known.get(started.transfer_id)
                if stored is not None:
                    about = store.of_credit(started)
                    decided[started.transfer_id] = stored.answer(about, _CONFLICT)
                step = decide_credit(
                    decided.get(started.transfer_id),
                    started.expires_at,
                    uow.now,
                    known=stored is not None,
                )
                if step is CreditStep.POST:
                    asked.append((message, plan.credit(started)))
                elif step is CreditStep.DECLINE_EXPIRED:
                    decided[started.transfer_id] = Refusal(
                        "transfer_expired", "expires_at: is past; ask for a new transfer"
                    )
            answers = await carry_out(uow, asked)
            for message, _ in asked:
                transfer_id = message.event.transfer_id
                decided[transfer_id] = answers[plan.credit_id(transfer_id)]
            new = [m.event for m in wave if m.event.transfer_id not in known]
            await store.add_credits(
                uow.conn, [(event, decided[event.transfer_id]) for event in new], uow.now
            )
            for message in wave:
                event = message.event
                fact = facts.of_credit(event, decided[event.transfer_id], uow.now)
                uow.emit(fact, topic=facts.TRANSFERS, key=event.transfer_id, cause=message)

    async def end(
        self, uow: UnitOfWork, messages: Sequence[Received[TransferCredited | TransferDeclined]]
    ) -> None:
        """Capture or release what was reserved, by the other ledger's answer; a repeat is no news."""
        ours = [m for m in messages if self.placement.answers_for(m.event.ledger)]
        for wave in waves(ours, _id_of):
            known = await store.transfers(uow.conn, [_id_of(m.event) for m in wave])
            said = [_said(message, known.get(_id_of(message.event))) for message in wave]
            done = await take_in(uow, said)
            await store.end(uow.conn, [end for _, end in done], uow.now)
            for one, end in done:
                self._tell(uow, one.message, replace(known[one.id], transfer=end))

    def _senseless(self, start: StartTransfer, uow: UnitOfWork) -> Refusal | None:
        """Why a transfer is refused before the books are asked."""
        if start.ledger == start.to_ledger:
            return Refusal("same_ledger", "to_ledger: is the ledger itself; post a journal")
        if start.expires_at is not None and start.expires_at <= uow.now:
            return Refusal("already_expired", "expires_at: is past; ask for a later time")
        return None

    def _tell(self, uow: UnitOfWork, message: Received[Any], stored: StoredTransfer) -> None:
        event = message.event
        fact = facts.of_transfer(stored, uow.now)
        if isinstance(event, StartTransfer) and not same_request(event, stored.start):
            asked = replace(stored, start=event)
            fact = facts.refused(asked, begun(event.transfer_id, _CONFLICT), uow.now)
        uow.emit(fact, topic=facts.TRANSFERS, key=event.transfer_id, cause=message)


def _said(
    message: Received[TransferCredited | TransferDeclined], stored: StoredTransfer | None
) -> OtherSaid:
    event = message.event
    reserved = None
    # These books may have been restored, and the id used again since: an answer to the transfer of
    # before says nothing about this one, which would capture what nobody was credited for.
    if stored is not None and _answers(event, stored.start):
        reserved = Reserved(
            stored.transfer,
            partial(plan.capture, stored.start),
            partial(plan.release, stored.start),
        )
    refusal = Refusal(event.code, event.detail) if isinstance(event, TransferDeclined) else None
    return OtherSaid(message, "transfer", event.transfer_id, reserved, refusal)


def _answers(event: TransferCredited | TransferDeclined, start: StartTransfer) -> bool:
    told, asked = event.amount, start.amount
    if event.credit not in {None, start.credit}:
        return False
    # One of a release before names no payee, and may be about another one; L15 names what it ended.
    return (event.ledger, event.to_ledger, told.currency, told.amount) == (
        start.ledger,
        start.to_ledger,
        asked.currency,
        asked.amount,
    )


def _id_of(
    event: StartTransfer | TransferStarted | TransferCredited | TransferDeclined,
) -> str:
    return event.transfer_id
