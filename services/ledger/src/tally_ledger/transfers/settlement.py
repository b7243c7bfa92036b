"""Bringing the accounts in transit between two ledgers back to zero, on both sides alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tally_contracts.ledger_transfers import (
    SettleTransit,
    TransitDeclined,
    TransitMirrored,
    TransitSettled,
    TransitStarted,
)
from tally_ledger.placement import Placement
from tally_ledger.transfers import facts, plan
from tally_ledger.transfers import settlement_store as store
from tally_ledger.transfers.books import carry_out
from tally_ledger.transfers.domain import Refusal, begun, ended
from tally_ledger.transfers.ends import OtherSaid, Reserved, same_request, take_in, waves
from tally_ledger.transfers.settlement_store import Settlement
from tally_messaging import Received, Router, UnitOfWork
from tally_money import AssetKind, Currency, Money

_CONFLICT = Refusal(
    "id_conflict", "settlement_id: was used for another settlement, which stands; use a new id"
)


@dataclass(frozen=True, slots=True)
class Settlements:
    """The ledger that is asked reserves what it finds, the other one books the same or declines.

    Then the first one captures or gives back. Whatever the amount, moving it on both sides leaves
    their sum as it was: that the first side's balance goes on changing meanwhile does no harm.
    """

    placement: Placement

    def register(self, router: Router) -> None:
        """Let the router hand settlements over."""
        router.fold(SettleTransit)(self.settle)
        router.fold(TransitStarted, TransitSettled)(self.mirror)
        router.fold(TransitMirrored, TransitDeclined)(self.end)

    async def settle(self, uow: UnitOfWork, messages: Sequence[Received[SettleTransit]]) -> None:
        """Reserve what stands on the account in transit; asked again, say where it stands."""
        for message in messages:
            asked = message.event
            known = await store.settlements(uow.conn, [asked.settlement_id])
            done = known.get(asked.settlement_id)
            if done is None:
                done = await self._begin(uow, message)
                await store.add(uow.conn, done)
            elif not same_request(asked, done.request):
                state = begun(asked.settlement_id, _CONFLICT)
                done = replace(done, request=asked, state=state, at=uow.now, ended_at=uow.now)
            _tell(uow, message, done)

    async def mirror(
        self, uow: UnitOfWork, messages: Sequence[Received[TransitStarted | TransitSettled]]
    ) -> None:
        """Book the same, or decline, once for good; asked again, give the same answer.

        Another settlement under a known id is declined: what was booked is not what it would capture.
        A settled one that nobody asked about is of a release that asked by this very fact.
        """
        ours = [
            message
            for message in messages
            if self.placement.answers_for(message.event.other) and _moves(message.event)
        ]
        for wave in waves(ours, _id_of):
            known = await store.mirrors(uow.conn, [_id_of(m.event) for m in wave])
            new = [m for m in wave if _id_of(m.event) not in known]
            answers = await carry_out(
                uow, [(m, plan.settlement(m.event, m.event.other)) for m in new]
            )
            decided = {
                _id_of(m.event): answers[plan.settlement_journal_id(_id_of(m.event), m.event.other)]
                for m in new
            }
            await store.add_mirrors(
                uow.conn, [(m.event, decided[_id_of(m.event)]) for m in new], uow.now
            )
            for message in wave:
                event = message.event
                stored, about = known.get(event.settlement_id), store.of_mirror(event)
                if stored is None:
                    refusal = decided[event.settlement_id]
                elif isinstance(event, TransitSettled) and stored.is_about(about):
                    continue
                else:
                    refusal = stored.answer(about, _CONFLICT)
                fact = facts.of_mirror(event, refusal, uow.now)
                uow.emit(fact, topic=facts.TRANSFERS, key=event.settlement_id, cause=message)

    async def end(
        self, uow: UnitOfWork, messages: Sequence[Received[TransitMirrored | TransitDeclined]]
    ) -> None:
        """Capture or give back what was reserved, by the other ledger's answer; a repeat is no news."""
        ours = [m for m in messages if self.placement.answers_for(m.event.ledger)]
        for wave in waves(ours, _id_of):
            known = await store.settlements(uow.conn, [_id_of(m.event) for m in wave])
            said = [_said(message, known.get(_id_of(message.event))) for message in wave]
            done = await take_in(uow, said)
            await store.end(uow.conn, [end for _, end in done], uow.now)
            for one, end in done:
                _tell(uow, one.message, replace(known[one.id], state=end, ended_at=uow.now))

    async def _begin(self, uow: UnitOfWork, message: Received[SettleTransit]) -> Settlement:
        asked = message.event
        new = Settlement(
            asked,
            "0",
            asked.ledger,
            begun(asked.settlement_id, None),
            message.cause.to_text(),
            uow.now,
        )
        scale = await store.scale(uow.conn, asked.currency)
        refusal = await _senseless(uow, asked, scale)
        if refusal is not None:
            return replace(new, state=begun(asked.settlement_id, refusal), ended_at=uow.now)
        assert scale is not None, "an unknown asset is refused"
        account = plan.in_transit(asked.ledger, asked.other, asked.currency)
        standing = await store.standing(uow.conn, account.id)
        unit = Currency(asked.currency, scale, AssetKind.FIAT)
        new = replace(
            new,
            amount=Money(abs(standing), unit).wire_amount,
            owed_by=asked.ledger if standing >= 0 else asked.other,
        )
        if not standing:
            return replace(new, state=ended(new.state, None), ended_at=uow.now)
        command = plan.settlement_hold(facts.transit_started(new))
        refusal = (await carry_out(uow, [(message, command)]))[command.hold_id]
        if refusal is None:
            return new
        return replace(new, state=begun(asked.settlement_id, refusal), ended_at=uow.now)


async def _senseless(uow: UnitOfWork, asked: SettleTransit, scale: int | None) -> Refusal | None:
    """Why a settlement is refused before the books are asked."""
    if asked.ledger == asked.other:
        return Refusal("same_ledger", "other: is the ledger itself; name another one")
    if scale is None:
        return Refusal(
            "currency_unknown", f"currency: {asked.currency} is not in the books; correct it"
        )
    waiting = await store.open_one(uow.conn, asked.ledger, asked.other, asked.currency)
    if waiting is not None:
        return Refusal(
            "settlement_open",
            f"settlement_id: {waiting} waits for {asked.other}; ask under a new id when it has ended",
        )
    return None


def _said(
    message: Received[TransitMirrored | TransitDeclined], stored: Settlement | None
) -> OtherSaid:
    event = message.event
    reserved = None
    started = None if stored is None else facts.transit_started(stored)
    # An answer about another settlement of this id, of before a restore, says nothing about this one.
    if stored is not None and started is not None and _answers(event, started):
        reserved = Reserved(
            stored.state,
            partial(plan.settlement_capture, started),
            partial(plan.settlement_release, started),
        )
    refusal = Refusal(event.code, event.detail) if isinstance(event, TransitDeclined) else None
    return OtherSaid(message, "settlement", event.settlement_id, reserved, refusal)


def _answers(event: TransitMirrored | TransitDeclined, started: TransitStarted) -> bool:
    return (event.ledger, event.other, event.amount) == (
        started.ledger,
        started.other,
        started.amount,
    )


def _tell(uow: UnitOfWork, message: Received[Any], done: Settlement) -> None:
    fact = facts.of_settlement(done)
    uow.emit(fact, topic=facts.TRANSFERS, key=done.request.settlement_id, cause=message)


def _id_of(event: TransitStarted | TransitSettled | TransitMirrored | TransitDeclined) -> str:
    return event.settlement_id


def _moves(event: TransitStarted | TransitSettled) -> bool:
    return bool(event.amount.amount.strip("0."))
