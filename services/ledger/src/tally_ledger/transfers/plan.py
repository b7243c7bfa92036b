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
from tally_contracts.ledger_transfers import (
    StartTransfer,
    TransferStarted,
    TransitSettled,
    TransitStarted,
)
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


def settlement_hold_id(settlement_id: str, ledger: str) -> str:
    """The reservation of a settlement at the ledger that was asked."""
    return derived_id("xhld", settlement_id, ledger)


def settlement_capture_id(settlement_id: str, ledger: str) -> str:
    """The end of a settlement's reservation when the other ledger has booked its side."""
    return derived_id("xtr", settlement_id, ledger, "capture")


def settlement_release_id(settlement_id: str, ledger: str) -> str:
    """The end of a settlement's reservation when the other ledger declined."""
    return derived_id("xtr", settlement_id, ledger, "release")


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


def settlement_hold(started: TransitStarted) -> PlaceHold:
    """Reserve what is to be settled at the ledger that was asked; it outlives the other's answer."""
    debit, credit_ = _sides(started, started.ledger)
    return PlaceHold(
        hold_id=settlement_hold_id(started.settlement_id, started.ledger),
        ledger=started.ledger,
        reference=started.settlement_id,
        open_accounts=(debit, credit_),
        debit=debit.id,
        credit=credit_.id,
        amount=_asked(started),
        code=_SETTLEMENT,
        **five_ws(started, started.occurred_at),
    )


def settlement_capture(started: TransitStarted) -> CaptureHold:
    """Let what was reserved go, as the other ledger has booked its side."""
    return CaptureHold(
        transfer_id=settlement_capture_id(started.settlement_id, started.ledger),
        hold_id=settlement_hold_id(started.settlement_id, started.ledger),
        ledger=started.ledger,
        reference=started.settlement_id,
        amount=_asked(started),
        code=_SETTLEMENT,
        **five_ws(started, started.occurred_at),
    )


def settlement_release(started: TransitStarted) -> ReleaseHold:
    """Give back what was reserved, as the other ledger has refused its side."""
    return ReleaseHold(
        transfer_id=settlement_release_id(started.settlement_id, started.ledger),
        hold_id=settlement_hold_id(started.settlement_id, started.ledger),
        ledger=started.ledger,
        reference=started.settlement_id,
        code=_SETTLEMENT,
        **five_ws(started, started.occurred_at),
    )


def settlement(settled: TransitStarted | TransitSettled, ledger: str) -> PostJournal:
    """The other ledger's side: the account in transit against the clearing account."""
    debit, credit_ = _sides(settled, ledger)
    # The release without answers named the account in transit first: what it booked is the same request.
    opens = (debit, credit_) if settled.owed_by == ledger else (credit_, debit)
    leg = Leg(
        id=derived_id("xtr", settled.settlement_id, ledger),
        debit=debit.id,
        credit=credit_.id,
        amount=_asked(settled),
        code=_SETTLEMENT,
    )
    return PostJournal(
        journal_id=settlement_journal_id(settled.settlement_id, ledger),
        ledger=ledger,
        reference=settled.settlement_id,
        open_accounts=opens,
        legs=(leg,),
        effective_at=settled.occurred_at,
        **five_ws(settled, settled.occurred_at),
    )


def _sides(event: TransitStarted | TransitSettled, ledger: str) -> tuple[AccountSpec, AccountSpec]:
    """The accounts a ledger debits and credits."""
    other = event.other if ledger == event.ledger else event.ledger
    currency = event.amount.currency
    transit, owed = in_transit(ledger, other, currency), clearing(ledger, other, currency)
    return (transit, owed) if event.owed_by == ledger else (owed, transit)


def _asked(event: TransitStarted | TransitSettled) -> AskedAmount:
    amount = event.amount
    return AskedAmount.model_construct(currency=amount.currency, amount=amount.amount)


def _account(ledger: str, purpose: str, path: str, currency: str) -> AccountSpec:
    return AccountSpec(
        id=derived_id("acc", ledger, path),
        owner=_OWNER,
        purpose=purpose,
        path=path,
        currency=currency,
        guarded=False,
    )
