"""What is published about transfers and settlements between ledgers."""

from datetime import datetime

from tally_contracts.base import AssetAmount
from tally_contracts.ledger_transfers import (
    TransferCompleted,
    TransferCredited,
    TransferDeclined,
    TransferRefused,
    TransferStarted,
    TransitDeclined,
    TransitMirrored,
    TransitRefused,
    TransitSettled,
    TransitStarted,
)
from tally_ledger.transfers import plan
from tally_ledger.transfers.domain import CrossState, CrossTransfer, Refusal, Side
from tally_ledger.transfers.settlement_store import Settlement
from tally_ledger.transfers.store import StoredTransfer

TRANSFERS = "ledger.transfers.v1"


def of_transfer(
    stored: StoredTransfer, at: datetime
) -> TransferStarted | TransferCompleted | TransferRefused:
    """Where a transfer stands, told at a time; a started one is always told in the same words."""
    start, transfer = stored.start, stored.transfer
    if transfer.state is CrossState.STARTED:
        return TransferStarted(
            transfer_id=start.transfer_id,
            ledger=start.ledger,
            debit=start.debit,
            to_ledger=start.to_ledger,
            credit=start.credit,
            amount=_amount(start.amount.currency, start.amount.amount),
            code=start.code,
            expires_at=start.expires_at,
            **plan.five_ws(start, stored.asked_at),
        )
    if transfer.state is CrossState.COMPLETED:
        return TransferCompleted(
            transfer_id=start.transfer_id,
            ledger=start.ledger,
            debit=start.debit,
            to_ledger=start.to_ledger,
            credit=start.credit,
            amount=_amount(start.amount.currency, start.amount.amount),
            code=start.code,
            **plan.five_ws(start, at),
        )
    return refused(stored, transfer, at)


def refused(stored: StoredTransfer, transfer: CrossTransfer, at: datetime) -> TransferRefused:
    """A transfer that did not come about; the one stored is not asked for its state."""
    start, refusal = stored.start, transfer.refusal
    assert refusal is not None, "a refused transfer has its reason"
    return TransferRefused(
        transfer_id=start.transfer_id,
        ledger=start.ledger,
        to_ledger=start.to_ledger,
        amount=start.amount,
        side=transfer.side or Side.SOURCE,
        code=refusal.code,
        detail=refusal.detail,
        **plan.five_ws(start, at),
    )


def of_credit(
    started: TransferStarted, refusal: Refusal | None, at: datetime
) -> TransferCredited | TransferDeclined:
    """What the ledger a transfer goes to has decided."""
    if refusal is None:
        return TransferCredited(
            transfer_id=started.transfer_id,
            ledger=started.ledger,
            to_ledger=started.to_ledger,
            journal_id=plan.credit_id(started.transfer_id),
            amount=started.amount,
            credit=started.credit,
            **plan.five_ws(started, at),
        )
    return TransferDeclined(
        transfer_id=started.transfer_id,
        ledger=started.ledger,
        to_ledger=started.to_ledger,
        amount=started.amount,
        credit=started.credit,
        code=refusal.code,
        detail=refusal.detail,
        **plan.five_ws(started, at),
    )


def of_settlement(done: Settlement) -> TransitStarted | TransitSettled | TransitRefused:
    """Where a settlement stands, always told in the same words."""
    asked, state = done.request, done.state
    if state.state is CrossState.STARTED:
        return transit_started(done)
    if state.refusal is not None:
        return TransitRefused(
            settlement_id=asked.settlement_id,
            ledger=asked.ledger,
            other=asked.other,
            side=state.side or Side.SOURCE,
            code=state.refusal.code,
            detail=state.refusal.detail,
            **plan.five_ws(asked, done.ended_at or done.at),
        )
    return TransitSettled(
        settlement_id=asked.settlement_id,
        ledger=asked.ledger,
        other=asked.other,
        amount=_amount(asked.currency, done.amount),
        owed_by=done.owed_by,
        **plan.five_ws(asked, done.ended_at or done.at),
    )


def transit_started(begun: Settlement) -> TransitStarted:
    """What the other ledger is asked to book, whatever became of it since."""
    asked = begun.request
    return TransitStarted(
        settlement_id=asked.settlement_id,
        ledger=asked.ledger,
        other=asked.other,
        amount=_amount(asked.currency, begun.amount),
        owed_by=begun.owed_by,
        **plan.five_ws(asked, begun.at),
    )


def of_mirror(
    begun: TransitStarted | TransitSettled, refusal: Refusal | None, at: datetime
) -> TransitMirrored | TransitDeclined:
    """What the other ledger has decided about a settlement."""
    if refusal is None:
        return TransitMirrored(
            settlement_id=begun.settlement_id,
            ledger=begun.ledger,
            other=begun.other,
            journal_id=plan.settlement_journal_id(begun.settlement_id, begun.other),
            amount=begun.amount,
            **plan.five_ws(begun, at),
        )
    return TransitDeclined(
        settlement_id=begun.settlement_id,
        ledger=begun.ledger,
        other=begun.other,
        amount=begun.amount,
        code=refusal.code,
        detail=refusal.detail,
        **plan.five_ws(begun, at),
    )


def _amount(currency: str, amount: str) -> AssetAmount:
    """An amount that was read from the wire or made by the books, and is exact."""
    return AssetAmount.model_construct(currency=currency, amount=amount)
