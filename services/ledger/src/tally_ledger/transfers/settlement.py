"""Bringing the accounts in transit between two ledgers back to zero, on both sides alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tally_contracts.ledger_transfers import SettleTransit, TransitSettled
from tally_ledger.placement import Placement
from tally_ledger.transfers import facts, plan, store
from tally_ledger.transfers.books import carry_out
from tally_ledger.transfers.domain import Refusal
from tally_ledger.transfers.store import Settlement
from tally_messaging import Received, Router, UnitOfWork
from tally_money import AssetKind, Currency, Money
from tally_runtime import get_logger

_LOG = get_logger("tally_ledger.settlement")


@dataclass(frozen=True, slots=True)
class Settlements:
    """The ledger that is asked moves what it finds; the other one mirrors the same amount.

    Whatever the amount, moving it on both sides leaves their sum as it was: that the first side's
    balance goes on changing meanwhile does no harm.
    """

    placement: Placement

    def register(self, router: Router) -> None:
        """Let the router hand settlements over."""
        router.fold(SettleTransit)(self.settle)
        router.fold(TransitSettled)(self.mirror)

    async def settle(self, uow: UnitOfWork, messages: Sequence[Received[SettleTransit]]) -> None:
        """Move what stands on the account in transit; asked again, say what was moved."""
        for message in messages:
            asked = message.event
            done = await store.settlement(uow.conn, asked.settlement_id)
            if done is None:
                done = await self._settle(uow, message)
                await store.add_settlement(uow.conn, done)
            elif not _same(asked, done.request):
                conflict = Refusal(
                    "id_conflict",
                    "settlement_id: was used for another settlement, which stands; use a new id",
                )
                done = replace(done, request=asked, refusal=conflict)
            fact = facts.of_settlement(done)
            uow.emit(fact, topic=facts.TRANSFERS, key=asked.settlement_id, cause=message)

    async def mirror(self, uow: UnitOfWork, messages: Sequence[Received[TransitSettled]]) -> None:
        """Do as the other ledger did."""
        ours = [
            message
            for message in messages
            if self.placement.answers_for(message.event.other) and _moves(message.event)
        ]
        answers = await carry_out(uow, [(m, plan.settlement(m.event, m.event.other)) for m in ours])
        for message in ours:
            event = message.event
            refusal = answers[plan.settlement_journal_id(event.settlement_id, event.other)]
            if refusal is not None:
                _LOG.error(
                    "transit_mirror_refused",
                    settlement_id=event.settlement_id,
                    ledger=event.other,
                    code=refusal.code,
                    runbook="services/ledger/README.md: transfers between ledgers",
                )

    async def _settle(self, uow: UnitOfWork, message: Received[SettleTransit]) -> Settlement:
        asked = message.event
        if asked.ledger == asked.other:
            refusal = Refusal("same_ledger", "other: is the ledger itself; name another one")
            return Settlement(asked, "0", asked.ledger, refusal, uow.now)
        scale = await store.scale(uow.conn, asked.currency)
        if scale is None:
            refusal = Refusal(
                "currency_unknown", f"currency: {asked.currency} is not in the books; correct it"
            )
            return Settlement(asked, "0", asked.ledger, refusal, uow.now)
        account = plan.in_transit(asked.ledger, asked.other, asked.currency)
        standing = await store.standing(uow.conn, account.id)
        unit = Currency(asked.currency, scale, AssetKind.FIAT)
        done = Settlement(
            asked,
            Money(abs(standing), unit).wire_amount,
            asked.ledger if standing >= 0 else asked.other,
            None,
            uow.now,
        )
        fact = facts.of_settlement(done)
        if not isinstance(fact, TransitSettled) or not standing:
            return done
        answers = await carry_out(uow, [(message, plan.settlement(fact, asked.ledger))])
        return replace(
            done, refusal=answers[plan.settlement_journal_id(asked.settlement_id, asked.ledger)]
        )


def _moves(settled: TransitSettled) -> bool:
    return bool(settled.amount.amount.strip("0."))


def _same(one: SettleTransit, other: SettleTransit) -> bool:
    return one.model_copy(update={"occurred_at": other.occurred_at}) == other
