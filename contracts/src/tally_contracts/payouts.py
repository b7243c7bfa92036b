"""Money out: the payout saga, and the public status other applications follow."""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool

from tally_contracts.base import (
    Amount,
    Count,
    Event,
    MoneyEvent,
    PositiveAmount,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)


class ChooseMethod(Event):
    """Command: the payee wants money of this currency to leave this way from now on (F39).

    `instrument` names details held by the rails service; nothing here identifies a bank account.
    """

    TYPE: ClassVar[str] = "payouts.method.choose.v1"

    owner: Token
    currency: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2,11}$")]
    rail: Slug
    instrument: TypeId
    who: Who
    occurred_at: UtcTime


class RequestPayout(MoneyEvent):
    """Command: pay out of a wallet (a withdrawal)."""

    TYPE: ClassVar[str] = "payouts.payout.request.v1"

    payout_id: TypeId
    ledger: Slug
    account: TypeId
    owner: Token
    company: Token
    amount: PositiveAmount


class CancelPayout(Event):
    """Command: stop a payout that has not been handed to a rail."""

    TYPE: ClassVar[str] = "payouts.payout.cancel.v1"

    payout_id: TypeId
    who: Who
    reason: Text
    occurred_at: UtcTime


class PayoutChanged(MoneyEvent):
    """A payout moved to a state; `sequence` counts its changes from 1 without a gap.

    `state`: approved, claimable, held, submitting, unknown, submitted, in_transit, paid, returned,
    failed, rejected, cancelled, expired (more may come; a reader maps the unknown to `unknown`).
    `reason_code` and `must_act` say why a stopped payout stands and who can move it;
    `policy_version` is the program's policy it opened with, where the program had one (F40).
    """

    TYPE: ClassVar[str] = "payouts.payout.changed.v1"

    payout_id: TypeId
    sequence: Count
    state: Slug
    previous: Slug | None
    owner: Token
    company: Token
    account: TypeId
    amount: Amount
    pay_in_id: TypeId | None
    rail: Slug | None
    hold_id: TypeId | None
    attempt_id: TypeId | None
    reason_code: Slug | None
    must_act: Slug | None
    policy_version: Count | None = None


class PayoutStatus(MoneyEvent):
    """Public: the status of one payout, compact and strictly monotone in `sequence` and `rank`.

    Keyed by payout on a compacted topic: the newest record of a key is the payout's status. A
    redelivered record repeats its `ce_id`; a consumer that keeps the highest `sequence` per payout
    needs no other care. `state` as in PayoutChanged.
    """

    TYPE: ClassVar[str] = "payouts.status.changed.v1"

    payout_id: TypeId
    sequence: Count
    rank: Count
    state: Slug
    final: StrictBool
    amount: Amount
    owner: Token
    company: Token
    pay_in_id: TypeId | None
    external_id: Token | None
    rail: Slug | None
    reason_code: Slug | None
    must_act: Slug | None
