"""The outside world: instruments money can leave by, and attempts to send it."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

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

Sealed = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$", max_length=4096)
]
"""Details encrypted for the rails service; nothing else can read them."""


class RegisterInstrument(Event):
    """Command: keep these sealed details under this id."""

    TYPE: ClassVar[str] = "rails.instrument.register.v1"

    instrument_id: TypeId
    rail: Slug
    owner: Token
    currency: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2,11}$")]
    sealed: Sealed
    who: Who
    occurred_at: UtcTime


class InstrumentRegistered(Event):
    """The instrument can be paid to. `masked` is safe to show.

    `settlement_account` is the ledger account a captured hold moves to, where the instrument itself
    is a wallet; for rails with a clearing account it is absent.
    """

    TYPE: ClassVar[str] = "rails.instrument.registered.v1"

    instrument_id: TypeId
    rail: Slug
    owner: Token
    currency: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2,11}$")]
    masked: Text
    settlement_account: TypeId | None
    occurred_at: UtcTime


class InstrumentRefused(Event):
    """The details cannot be paid to: which field, why, and what to do.

    Also published when a rail reports a stored instrument dead (`code` = the provider's).
    """

    TYPE: ClassVar[str] = "rails.instrument.refused.v1"

    instrument_id: TypeId
    rail: Slug
    owner: Token
    code: Slug
    field: Text
    remedy: Text
    occurred_at: UtcTime


class SubmitPayout(MoneyEvent):
    """Command: send this money by this rail. `attempt_id` is the idempotency id of the sending."""

    TYPE: ClassVar[str] = "rails.payout.submit.v1"

    attempt_id: TypeId
    payout_id: TypeId
    rail: Slug
    instrument: TypeId
    owner: Token
    company: Token
    amount: PositiveAmount


class CancelAttempt(Event):
    """Command: take the attempt back if the rail has not sent it yet."""

    TYPE: ClassVar[str] = "rails.payout.cancel.v1"

    attempt_id: TypeId
    payout_id: TypeId
    rail: Slug
    who: Who
    occurred_at: UtcTime


class AttemptChanged(MoneyEvent):
    """One attempt on one rail moved to a state; `sequence` counts from 1 without a gap.

    `state`: scheduled, submitting, unknown, submitted, in_transit, paid, failed, cancelled,
    returned (more may come). `code` is the provider's own; `action` is what follows from it:
    none, retry_later, fix_details, disable_method, freeze_party, operator. `source` tells how it
    was learnt: answer, poll, acknowledgement, return_file, settlement, operator.
    """

    TYPE: ClassVar[str] = "rails.attempt.changed.v1"

    attempt_id: TypeId
    payout_id: TypeId
    rail: Slug
    sequence: Count
    state: Slug
    amount: Amount
    provider_reference: Token | None
    code: Token | None
    action: Slug
    source: Slug
    return_reference: Token | None = None
