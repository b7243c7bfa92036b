"""Money out: the payout saga, and the public status other applications follow."""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool

from tally_contracts.base import (
    Amount,
    Count,
    Event,
    MoneyEvent,
    PositiveAmount,
    Shape,
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


class PayoutHold(Shape):
    """One reason why a payout is held: each stands by itself, and none hides another (F64).

    `source`: kyc, limit (more may come). `code` is the table's or the service's; `remedy` and
    `must_act` say what ends it, and who can do that. `table` and `version` are what decided.
    """

    source: Slug
    code: Slug
    remedy: Text
    must_act: Slug
    table: Slug | None
    version: Count | None


Holds = Annotated[tuple[PayoutHold, ...], Field(max_length=32)]


class PayoutOption(Shape):
    """A way out a payee may choose, or why it is closed (F39).

    `answer`: open, open_to (items of at most `limit`), closed. Whatever is not open says which
    `source` narrows it (program, kyc, limit), its `code`, `remedy` and `must_act`. `table` and
    `version` are what decided, also where it is open: the program and its policy's version, or the
    gate or limit table and its version; both are null where nothing was published.
    """

    rail: Slug
    endpoint_class: Slug
    answer: Slug
    limit: Amount | None
    source: Slug | None
    code: Slug | None
    remedy: Text | None
    must_act: Slug | None
    table: Token | None
    version: Count | None


class PayoutChanged(MoneyEvent):
    """A payout moved to a state; `sequence` counts its changes from 1 without a gap.

    `state`: approved, claimable, held, submitting, unknown, submitted, in_transit, paid, returned,
    failed, rejected, cancelled, expired (more may come; a reader maps the unknown to `unknown`).
    `reason_code` and `must_act` say why a stopped payout stands and who can move it;
    `policy_version` is the program's policy it opened with, where the program had one (F40).
    `remedy` is what can be done, where the program closes the payee's method: what it leaves open.
    `holds` are all that hold it, the first of them told by `reason_code`; empty unless it is held.
    `options` are the installation's rails, as they are open to a payout that waits for a choice.
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
    remedy: Text | None = None
    holds: Holds = ()
    options: Annotated[tuple[PayoutOption, ...], Field(max_length=64)] = ()


class PayoutHoldsChanged(MoneyEvent):
    """A payout that is held stays held, by others than before; `sequence` is that of its state.

    `reason_code` and `must_act` are those of the first of `holds`.
    """

    TYPE: ClassVar[str] = "payouts.payout.holds_changed.v1"

    payout_id: TypeId
    sequence: Count
    owner: Token
    company: Token
    amount: Amount
    holds: Annotated[tuple[PayoutHold, ...], Field(min_length=1, max_length=32)]
    reason_code: Slug
    must_act: Slug


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


class MethodChosen(Event):
    """A choice of method holds, or what became of it when its instrument was judged later (F39).

    `state`: awaiting (its instrument is not usable yet), active, refused (the instrument turned out
    not to be the payee's to use) or disabled (the instrument was closed); more may come.
    `reason_code` says why a choice is not active. `version` counts the owner's choices in this
    currency; one that could never hold is told by PayoutCommandRefused instead.
    """

    TYPE: ClassVar[str] = "payouts.method.chosen.v1"

    owner: Token
    currency: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2,11}$")]
    version: Count
    rail: Slug
    instrument: TypeId
    state: Slug
    reason_code: Slug | None
    who: Who
    occurred_at: UtcTime


class PayoutCommandTaken(Event):
    """A command about a payout holds and has moved it to no new state by itself.

    So it is with a cancellation that waits for the ledger or the rail, and with a command that is
    repeated. `state`, `reason_code` and `must_act` are the payout's as it stands now, as in
    PayoutChanged; that fact is not told again, since later ones may have overtaken it.
    """

    TYPE: ClassVar[str] = "payouts.command.taken.v1"

    command_type: Token
    payout_id: TypeId
    owner: Token
    company: Token
    state: Slug
    reason_code: Slug | None
    must_act: Slug | None
    who: Who
    occurred_at: UtcTime


class PayoutCommandRefused(Event):
    """A command changed nothing. `field` is a JSON pointer into it; `remedy` says what to do.

    `subject` is the payout, or the owner whose method was to be chosen. `code`: payout_unknown,
    cancel_too_late, id_conflict, rail_unknown, instrument_mismatch (more may come).
    """

    TYPE: ClassVar[str] = "payouts.command.refused.v1"

    command_type: Token
    subject: Token
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text
    who: Who
    occurred_at: UtcTime
