"""What each step asks of the books, with ids that every replay derives again."""

from datetime import datetime
from typing import TypedDict

from tally_contracts.base import AskedAmount, MoneyEvent, Where, Who, Why
from tally_contracts.ledger import (
    AccountSpec,
    CaptureHold,
    Leg,
    PlaceHold,
    PostJournal,
    ReleaseHold,
)
from tally_contracts.ledger_transfers import StartTransfer, TransferStarted, TransitSettled
from tally_runtime import derived_id

_OWNER = "platform"
_SETTLEMENT = "transit_settlement"


class FiveWs(TypedDict):
    """Who, where, why and when, as every money event has them."""

    who: Who
    where: Where
    why: Why
    occurred_at: datetime


def five_ws(event: MoneyEvent, at: datetime) -> FiveWs:
    """Those of an event, at another time."""
    return {"who": event.who, "where": event.where, "why": event.why, "occurred_at": at}


def hold_id(transfer_id: str) -> str:
    """The reservation at the ledger the money leaves."""
    return derived_id("xhld", transfer_id)


def credit_id(transfer_id: str) -> str:
    """The journal at the ledger the money goes to."""
    return derived_id("xjrn", transfer_id, "credit")


def capture_id(transfer_id: str) -> str:
    """The end of the reservation when the payee was credited."""
    return derived_id("xtr", transfer_id, "capture")


def release_id(transfer_id: str) -> str:
    """The end of the reservation when the other ledger declined."""
    return derived_id("xtr", transfer_id, "release")


def settlement_journal_id(settlement_id: str, ledger: str) -> str:
    """A ledger's side of a settlement."""
    return derived_id("xjrn", settlement_id, ledger)


def in_transit(ledger: str, other: str, currency: str) -> AccountSpec:
    """What a ledger has sent to another one (credit) or has from it (debit), opened on demand."""
    return _account(ledger, "in_transit", f"in_transit/{other}/{currency}", currency)


def clearing(ledger: str, other: str, currency: str) -> AccountSpec:
    """What a ledger owes another one (credit) or has to get from it (debit), once settled."""
    return _account(ledger, "clearing", f"clearing/shards/{other}/{currency}", currency)


def hold(start: StartTransfer) -> PlaceHold:
    """Reserve the money on its way out. Without an expiry: it outlives the other ledger's answer."""
    account = in_transit(start.ledger, start.to_ledger, start.amount.currency)
    return PlaceHold(
        hold_id=hold_id(start.transfer_id),
        ledger=start.ledger,
        reference=start.transfer_id,
        open_accounts=(account,),
        debit=start.debit,
        credit=account.id,
        amount=start.amount,
        code=start.code,
        **five_ws(start, start.occurred_at),
    )


def credit(started: TransferStarted) -> PostJournal:
    """Pay the payee what the other ledger has reserved."""
    account = in_transit(started.to_ledger, started.ledger, started.amount.currency)
    leg = Leg(
        id=derived_id("xtr", started.transfer_id, "credit"),
        debit=account.id,
        credit=started.credit,
        amount=AskedAmount.model_construct(
            currency=started.amount.currency, amount=started.amount.amount
        ),
        code=started.code,
    )
    return PostJournal(
        journal_id=credit_id(started.transfer_id),
        ledger=started.to_ledger,
        reference=started.transfer_id,
        open_accounts=(account,),
        legs=(leg,),
        # The same however often and whenever it is asked: the content of a request never changes.
        effective_at=started.occurred_at,
        **five_ws(started, started.occurred_at),
    )


def capture(start: StartTransfer) -> CaptureHold:
    """Let the reserved money go."""
    return CaptureHold(
        transfer_id=capture_id(start.transfer_id),
        hold_id=hold_id(start.transfer_id),
        ledger=start.ledger,
        reference=start.transfer_id,
        amount=start.amount,
        code=start.code,
        **five_ws(start, start.occurred_at),
    )


def release(start: StartTransfer) -> ReleaseHold:
    """Give the reserved money back."""
    return ReleaseHold(
        transfer_id=release_id(start.transfer_id),
        hold_id=hold_id(start.transfer_id),
        ledger=start.ledger,
        reference=start.transfer_id,
        code=start.code,
        **five_ws(start, start.occurred_at),
    )


def settlement(settled: TransitSettled, ledger: str) -> PostJournal:
    """A ledger's side of a settlement: the account in transit against the clearing account."""
    other = settled.other if ledger == settled.ledger else settled.ledger
    currency = settled.amount.currency
    transit, owed = in_transit(ledger, other, currency), clearing(ledger, other, currency)
    debit, credit_ = (transit, owed) if settled.owed_by == ledger else (owed, transit)
    leg = Leg(
        id=derived_id("xtr", settled.settlement_id, ledger),
        debit=debit.id,
        credit=credit_.id,
        amount=AskedAmount.model_construct(currency=currency, amount=settled.amount.amount),
        code=_SETTLEMENT,
    )
    return PostJournal(
        journal_id=settlement_journal_id(settled.settlement_id, ledger),
        ledger=ledger,
        reference=settled.settlement_id,
        open_accounts=(transit, owed),
        legs=(leg,),
        effective_at=settled.occurred_at,
        **five_ws(settled, settled.occurred_at),
    )


def _account(ledger: str, purpose: str, path: str, currency: str) -> AccountSpec:
    return AccountSpec(
        id=derived_id("acc", ledger, path),
        owner=_OWNER,
        purpose=purpose,
        path=path,
        currency=currency,
        guarded=False,
    )
