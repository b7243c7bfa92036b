"""Facts of payments: hops, and what pay-ins and payouts have come to."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from tally_contracts.base import AskedAmount, Event
from tally_contracts.funding import PayInAllocated, PayInReceived, PayInSuspended
from tally_contracts.ledger import (
    AccountOpened,
    HoldCaptured,
    HoldPlaced,
    HoldRejected,
    HoldReleased,
    JournalPosted,
    JournalRejected,
    JournalReversed,
)
from tally_contracts.operations import RecordQuarantined
from tally_contracts.payouts import PayoutChanged
from tally_contracts.rails import AttemptChanged
from tally_messaging import Received
from tally_portfolio.domain.projection import (
    WALLET,
    Account,
    PayIn,
    Payout,
    Projection,
    SetAside,
)
from tally_portfolio.domain.tree import event_key
from tally_portfolio.wire.reading import Reader, Summary, add_hop, five_ws

LEGS_SHOWN = 16
"""A journal's hop keeps this many legs, and how many there are."""

_RECEIVED, _SUSPENSE, _ALLOCATED = ("received", 1), ("suspense", 2), ("allocated", 3)


def _money(amount: AskedAmount) -> Summary:
    return {"amount": amount.amount, "currency": amount.currency}


def _told(event: Event, *names: str) -> Summary:
    return {name: getattr(event, name) for name in names}


def _pay_in_received(
    message: Received[PayInReceived], at: datetime, projection: Projection
) -> None:
    event = message.event
    owner = None if event.beneficiary is None else event.beneficiary.owner
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "source", "external_id", "company")
        | {"owner": owner, "originator": event.originator.reference}
    )
    _add_pay_in(projection, message, _RECEIVED, at, company=event.company, owner=owner)
    if event.beneficiary is not None and event.beneficiary.party is None:
        projection.add_key(event.beneficiary.owner, event.pay_in_id, at, shared=True)
    projection.involve(event.pay_in_id, "pay_in", at, event.company, owner)
    add_hop(projection, message, event.pay_in_id, at, summary)


def _pay_in_allocated(
    message: Received[PayInAllocated], at: datetime, projection: Projection
) -> None:
    event = message.event
    shares = event.allocations
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "journal_id", "rule")
        | {
            "allocations": [
                [s.account, s.owner, s.role, s.amount.amount, s.pay_out] for s in shares
            ]
        }
    )
    expected = sum(1 for share in shares if share.pay_out)
    _add_pay_in(projection, message, _ALLOCATED, at, company=event.company, expected=expected)
    projection.involve(event.pay_in_id, "pay_in", at, event.company)
    for share in shares:
        projection.add_key(share.account, event.pay_in_id, at, shared=True)
        projection.involve(event.pay_in_id, "pay_in", at, share.owner)
    add_hop(projection, message, event.pay_in_id, at, summary)


def _pay_in_suspended(
    message: Received[PayInSuspended], at: datetime, projection: Projection
) -> None:
    event = message.event
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "journal_id", "case_id", "reason_code", "remedy")
    )
    _add_pay_in(
        projection, message, _SUSPENSE, at, reason_code=event.reason_code, remedy=event.remedy
    )
    projection.add_key(event.case_id, event.pay_in_id, at)
    add_hop(projection, message, event.pay_in_id, at, summary)


def _add_pay_in(  # noqa: PLR0913 - the parts that differ between three facts, by keyword
    projection: Projection,
    message: Received[PayInReceived] | Received[PayInAllocated] | Received[PayInSuspended],
    state: tuple[str, int],
    at: datetime,
    *,
    company: str | None = None,
    owner: str | None = None,
    expected: int | None = None,
    reason_code: str | None = None,
    remedy: str | None = None,
) -> None:
    event = message.event
    correlation_id = message.envelope.cause.correlation_id
    projection.add_key(event.external_id, event.pay_in_id, at, shared=True)
    projection.add_key(correlation_id, event.pay_in_id, at, shared=True)
    projection.add_key(event_key(event.why.event), event.pay_in_id, at, shared=True)
    name, rank = state
    projection.add_pay_in(
        PayIn(
            pay_in_id=event.pay_in_id,
            correlation_id=correlation_id,
            source=event.source,
            external_id=event.external_id,
            amount=event.amount.money(),
            state=name,
            state_rank=rank,
            changed_at=at,
            company=company,
            owner=owner,
            received_at=at if state is _RECEIVED else None,
            payouts_expected=expected,
            reason_code=reason_code,
            remedy=remedy,
        )
    )


def _journal_posted(message: Received[JournalPosted], at: datetime, projection: Projection) -> None:
    event = message.event
    legs = event.legs
    summary = (
        five_ws(event)
        | _told(event, "journal_id", "log_seq")
        | {
            "legs": [
                [leg.debit, leg.credit, leg.amount.amount, leg.amount.currency, leg.code]
                for leg in legs[:LEGS_SHOWN]
            ],
            "legs_total": len(legs),
        }
    )
    projection.add_key(event.journal_id, event.reference, at)
    for leg in legs:
        projection.add_key(leg.id, event.reference, at)
    add_hop(projection, message, event.reference, at, summary)


def _journal_reversed(
    message: Received[JournalReversed], at: datetime, projection: Projection
) -> None:
    event = message.event
    summary = (
        five_ws(event)
        | _told(event, "journal_id", "log_seq", "reverses")
        | {
            "legs": [
                [leg.debit, leg.credit, leg.amount.amount, leg.amount.currency, leg.code]
                for leg in event.legs[:LEGS_SHOWN]
            ],
            "legs_total": len(event.legs),
        }
    )
    projection.add_key(event.journal_id, event.reference, at)
    for leg in event.legs:
        projection.add_key(leg.id, event.reference, at)
    add_hop(projection, message, event.reference, at, summary)


def _journal_rejected(
    message: Received[JournalRejected], at: datetime, projection: Projection
) -> None:
    event = message.event
    projection.add_key(event.journal_id, event.reference, at)
    summary = five_ws(event) | _told(event, "journal_id", "code", "detail")
    add_hop(projection, message, event.reference, at, summary)


def _hold_placed(message: Received[HoldPlaced], at: datetime, projection: Projection) -> None:
    event = message.event
    expires = None if event.expires_at is None else event.expires_at.isoformat()
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "hold_id", "log_seq", "debit", "credit")
        | {"expires_at": expires}
    )
    projection.add_key(event.hold_id, event.reference, at)
    add_hop(projection, message, event.reference, at, summary)


def _hold_captured(message: Received[HoldCaptured], at: datetime, projection: Projection) -> None:
    event = message.event
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "hold_id", "transfer_id", "log_seq", "debit", "credit")
        | {"remaining": event.remaining.amount}
    )
    projection.add_key(event.hold_id, event.reference, at)
    projection.add_key(event.transfer_id, event.reference, at)
    add_hop(projection, message, event.reference, at, summary)


def _hold_released(message: Received[HoldReleased], at: datetime, projection: Projection) -> None:
    event = message.event
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "hold_id", "transfer_id", "log_seq", "debit", "expired")
    )
    projection.add_key(event.hold_id, event.reference, at)
    projection.add_key(event.transfer_id, event.reference, at)
    add_hop(projection, message, event.reference, at, summary)


def _hold_rejected(message: Received[HoldRejected], at: datetime, projection: Projection) -> None:
    event = message.event
    summary = five_ws(event) | _told(event, "hold_id", "command_id", "operation", "code", "detail")
    projection.add_key(event.hold_id, event.reference, at)
    projection.add_key(event.command_id, event.reference, at)
    add_hop(projection, message, event.reference, at, summary)


def _payout_changed(message: Received[PayoutChanged], at: datetime, projection: Projection) -> None:
    event = message.event
    correlation_id = message.envelope.cause.correlation_id
    if event.pay_in_id is None:
        # A withdrawal begins its own payment; other payouts are found through their pay-in.
        projection.add_key(event.account, event.payout_id, at, shared=True)
        projection.add_key(correlation_id, event.payout_id, at, shared=True)
        projection.add_key(event_key(event.why.event), event.payout_id, at, shared=True)
    kind = "withdrawal" if event.pay_in_id is None else "payout"
    projection.involve(event.payout_id, kind, at, event.owner, event.company)
    projection.add_payout(
        Payout(
            payout_id=event.payout_id,
            pay_in_id=event.pay_in_id,
            correlation_id=correlation_id,
            owner=event.owner,
            company=event.company,
            account=event.account,
            amount=event.amount.money(),
            sequence=event.sequence,
            state=event.state,
            changed_at=at,
            rail=event.rail,
            reason_code=event.reason_code,
            must_act=event.must_act,
        )
    )
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "sequence", "state", "previous", "owner", "account", "rail")
        | _told(event, "hold_id", "attempt_id", "reason_code", "must_act")
    )
    add_hop(projection, message, event.payout_id, at, summary)


def _attempt_changed(
    message: Received[AttemptChanged], at: datetime, projection: Projection
) -> None:
    event = message.event
    summary = (
        five_ws(event)
        | _money(event.amount)
        | _told(event, "attempt_id", "rail", "sequence", "state", "provider_reference")
        | _told(event, "code", "action", "source", "return_reference")
    )
    projection.add_key(event.attempt_id, event.payout_id, at)
    add_hop(projection, message, event.payout_id, at, summary)


def _account_opened(message: Received[AccountOpened], at: datetime, projection: Projection) -> None:
    event = message.event
    spec = event.account
    projection.add_account(
        Account(spec.id, event.ledger, spec.path, spec.owner, spec.purpose, spec.currency, at)
    )
    if spec.purpose == WALLET:
        projection.involve(spec.id, "wallet", event.occurred_at, spec.owner)
    summary: Summary = {
        "account": spec.id,
        "path": spec.path,
        "owner": spec.owner,
        "purpose": spec.purpose,
        "currency": spec.currency,
    }
    add_hop(projection, message, spec.id, at, summary)


def _record_quarantined(
    message: Received[RecordQuarantined], _: datetime, projection: Projection
) -> None:
    event = message.event
    projection.add_set_aside(
        SetAside(
            event.consumer,
            event.topic,
            event.partition,
            event.offset,
            event.code,
            event.detail,
            event.occurred_at,
        )
    )


READERS: Mapping[type[Event], Reader] = MappingProxyType(
    {
        PayInReceived: _pay_in_received,
        PayInAllocated: _pay_in_allocated,
        PayInSuspended: _pay_in_suspended,
        JournalPosted: _journal_posted,
        JournalRejected: _journal_rejected,
        JournalReversed: _journal_reversed,
        HoldPlaced: _hold_placed,
        HoldCaptured: _hold_captured,
        HoldReleased: _hold_released,
        HoldRejected: _hold_rejected,
        PayoutChanged: _payout_changed,
        AttemptChanged: _attempt_changed,
        AccountOpened: _account_opened,
        RecordQuarantined: _record_quarantined,
    }
)
