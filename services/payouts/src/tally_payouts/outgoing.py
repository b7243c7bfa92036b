"""Decisions as events: what the payouts service tells the ledger, the rails and the public."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from tally_contracts.base import Amount, MoneyEvent, PositiveAmount, Where, Who, Why
from tally_contracts.ledger import (
    AccountSpec,
    CaptureHold,
    Leg,
    PlaceHold,
    PostJournal,
    ReleaseHold,
)
from tally_contracts.payouts import (
    PayoutChanged,
    PayoutHold,
    PayoutHoldsChanged,
    PayoutOption,
    PayoutStatus,
)
from tally_contracts.rails import CancelAttempt, SubmitPayout
from tally_messaging import Cause, UnitOfWork
from tally_money import Money
from tally_payouts.answers import PAYOUT_FACTS
from tally_payouts.context import Context
from tally_payouts.domain.options import Option
from tally_payouts.domain.payout import Command, HoldsChanged, Moved, Payout, Route
from tally_payouts.domain.states import FINAL, RANK, HoldState, PayoutState
from tally_runtime import derived_id

LEDGER_COMMANDS = "ledger.commands.v1"
PAYOUT_STATUS = "payouts.status.v1"
_PLATFORM = "platform"
_PAYOUT = "payout"
_RETURN = "payout_return"


class _FiveWs(TypedDict):
    who: Who
    where: Where
    why: Why
    occurred_at: datetime


def return_journal_id(payout: Payout) -> str | None:
    """The journal that brings the payout's returned money back: one per attempt and reference."""
    if payout.returned is None:
        return None
    return derived_id("jrn", payout.attempt_id, payout.returned.reference)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Emits into one unit of work, for one installation."""

    uow: UnitOfWork
    tenant: str

    def status(
        self, step: Moved, context: Context, cause: Cause, options: Sequence[Option] = ()
    ) -> None:
        """Tell the inside (PayoutChanged) and the public (PayoutStatus) of one state."""
        payout, order = step.payout, step.payout.order
        rail = None if payout.route is None else payout.route.rail
        amount = Amount.of(order.amount)
        changed = PayoutChanged(
            payout_id=payout.id,
            sequence=payout.sequence,
            state=payout.state,
            previous=step.previous,
            owner=order.owner,
            company=order.company,
            account=order.account,
            amount=amount,
            pay_in_id=order.pay_in_id,
            rail=rail,
            hold_id=None if payout.hold is HoldState.NONE else payout.hold_id,
            attempt_id=None if payout.attempt is None else payout.attempt_id,
            reason_code=payout.standing.reason_code,
            must_act=payout.standing.must_act,
            policy_version=payout.policy_version,
            remedy=payout.standing.remedy,
            holds=_holds(payout) if payout.state is PayoutState.HELD else (),
            options=tuple(_option(option) for option in options),
            **self._five_ws(context),
        )
        self.uow.emit(changed, topic=PAYOUT_FACTS, key=payout.id, cause=cause)
        status = PayoutStatus(
            payout_id=payout.id,
            sequence=payout.sequence,
            rank=RANK[payout.state],
            state=payout.state,
            final=payout.state in FINAL,
            amount=amount,
            owner=order.owner,
            company=order.company,
            pay_in_id=order.pay_in_id,
            external_id=order.external_id,
            rail=rail,
            reason_code=payout.standing.reason_code,
            must_act=payout.standing.must_act,
            **self._five_ws(context),
        )
        self.uow.emit(status, topic=PAYOUT_STATUS, key=payout.id, cause=cause)

    def holds(self, step: HoldsChanged, context: Context, cause: Cause) -> None:
        """Tell that others hold the payout now."""
        payout, order = step.payout, step.payout.order
        reason_code, must_act = payout.standing.reason_code, payout.standing.must_act
        assert reason_code is not None, f"{payout.id} is held for no reason"
        assert must_act is not None, f"{payout.id} is held, and nobody must act"
        changed = PayoutHoldsChanged(
            payout_id=payout.id,
            sequence=payout.sequence,
            owner=order.owner,
            company=order.company,
            amount=Amount.of(order.amount),
            holds=_holds(payout),
            reason_code=reason_code,
            must_act=must_act,
            **self._five_ws(context),
        )
        self.uow.emit(changed, topic=PAYOUT_FACTS, key=payout.id, cause=cause)

    def command(
        self, command: Command, payout: Payout, context: Context, cause: Cause, who: Who
    ) -> None:
        """Ask the ledger or the rail for what was decided; `who` asks to cancel an attempt."""
        route = payout.route
        assert route is not None, f"{payout.id} commands nothing before it has a way out"
        event: MoneyEvent | CancelAttempt
        match command:
            case Command.SUBMIT:
                event = self._submit(payout, route, context)
            case Command.CANCEL_ATTEMPT:
                event = CancelAttempt(
                    attempt_id=payout.attempt_id,
                    payout_id=payout.id,
                    rail=route.rail,
                    who=who,
                    occurred_at=self.uow.now,
                )
            case Command.PLACE_HOLD:
                event = self._place(payout, route, context)
            case Command.CAPTURE:
                event = self._capture(payout, context)
            case Command.RELEASE:
                event = self._release(payout, context)
            case Command.POST_RETURN:
                event = self._post_return(payout, route, context)
        to_rail = command in {Command.SUBMIT, Command.CANCEL_ATTEMPT}
        self.uow.emit(
            event,
            topic=f"rails.{route.rail}.commands.v1" if to_rail else LEDGER_COMMANDS,
            key=payout.id if to_rail else payout.order.ledger,
            cause=cause,
        )

    def _submit(self, payout: Payout, route: Route, context: Context) -> SubmitPayout:
        order = payout.order
        return SubmitPayout(
            attempt_id=payout.attempt_id,
            payout_id=payout.id,
            rail=route.rail,
            instrument=route.instrument,
            # The rail pays whom the instrument is of.
            owner=route.owner or order.owner,
            company=order.company,
            amount=_positive(order.amount),
            **self._five_ws(context),
        )

    def _place(self, payout: Payout, route: Route, context: Context) -> PlaceHold:
        order = payout.order
        clearing = self._clearing(payout, route)
        return PlaceHold(
            hold_id=payout.hold_id,
            ledger=order.ledger,
            reference=payout.id,
            open_accounts=() if clearing is None else (clearing,),
            debit=order.account,
            credit=_settlement(route, clearing),
            amount=_positive(order.amount),
            code=_PAYOUT,
            **self._five_ws(context),
        )

    def _capture(self, payout: Payout, context: Context) -> CaptureHold:
        return CaptureHold(
            transfer_id=derived_id("cap", payout.hold_id),
            hold_id=payout.hold_id,
            ledger=payout.order.ledger,
            reference=payout.id,
            amount=_positive(payout.order.amount),
            code=_PAYOUT,
            **self._five_ws(context),
        )

    def _release(self, payout: Payout, context: Context) -> ReleaseHold:
        return ReleaseHold(
            transfer_id=derived_id("rel", payout.hold_id),
            hold_id=payout.hold_id,
            ledger=payout.order.ledger,
            reference=payout.id,
            code=_PAYOUT,
            **self._five_ws(context),
        )

    def _post_return(self, payout: Payout, route: Route, context: Context) -> PostJournal:
        order = payout.order
        clearing = self._clearing(payout, route)
        journal_id = return_journal_id(payout)
        assert journal_id is not None, f"{payout.id} posts a return it has not seen"
        leg = Leg(
            id=derived_id("trf", journal_id),
            debit=_settlement(route, clearing),
            credit=order.account,
            amount=_positive(order.amount),
            code=_RETURN,
        )
        return PostJournal(
            journal_id=journal_id,
            ledger=order.ledger,
            reference=payout.id,
            legs=(leg,),
            effective_at=self.uow.now,
            **self._five_ws(context),
        )

    def _clearing(self, payout: Payout, route: Route) -> AccountSpec | None:
        """The rail's clearing account in the payout's currency, where the rail has one."""
        if route.settlement_account is not None:
            return None
        code = payout.order.amount.currency.code
        path = f"clearing/{route.rail}/{code}"
        return AccountSpec(
            id=derived_id("acc", self.tenant, path),
            owner=_PLATFORM,
            purpose="clearing",
            path=path,
            currency=code,
            guarded=False,
        )

    def _five_ws(self, context: Context) -> _FiveWs:
        return _FiveWs(
            who=context.who, where=context.where, why=context.why, occurred_at=self.uow.now
        )


def _settlement(route: Route, clearing: AccountSpec | None) -> str:
    if clearing is not None:
        return clearing.id
    assert route.settlement_account is not None, "a way out without clearing account names one"
    return route.settlement_account


def _holds(payout: Payout) -> tuple[PayoutHold, ...]:
    return tuple(
        PayoutHold(
            source=hold.source,
            code=hold.code,
            remedy=hold.remedy,
            must_act=hold.must_act,
            table=hold.table,
            version=hold.version,
        )
        for hold in payout.holds
    )


def _option(option: Option) -> PayoutOption:
    by, ruling = option.closed_by, option.ruling
    table = None if ruling is None else ruling.table
    version = None if ruling is None else ruling.version
    return PayoutOption(
        rail=option.rail,
        endpoint_class=option.endpoint_class,
        answer=option.answer,
        limit=None if option.limit is None else Amount.of(option.limit),
        source=None if by is None else by.source,
        code=None if by is None else by.code,
        remedy=None if by is None else by.remedy,
        must_act=None if by is None else by.must_act,
        table=table if by is None else by.table,
        version=version if by is None else by.version,
    )


def _positive(amount: Money) -> PositiveAmount:
    return PositiveAmount(currency=amount.currency.code, amount=amount.wire_amount)
