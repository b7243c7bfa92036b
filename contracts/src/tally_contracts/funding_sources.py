"""Money in from every source, what it is matched with, and money that goes back.

Every command is answered by at least one fact that names it as its cause, also when it comes again
or is refused. All facts are on one topic; those about a pay-in are keyed by it.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool, StringConstraints

from tally_contracts.base import (
    Amount,
    AskedAmount,
    Day,
    Event,
    MoneyEvent,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)
from tally_contracts.funding import Beneficiary, Originator

RawBody = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", min_length=4, max_length=400_000)
]
Percent = Annotated[int, Field(strict=True, ge=0, le=100)]
"""A whole number of percent."""


class ReceiveWebhook(Event):
    """Command: take what a card processor sent; the gateway has checked its signature.

    `content` is the body as it came, in base64. `source` names the processor's account, and so the
    clearing account its money stands in; `who.principal` is the company the account belongs to.
    """

    TYPE: ClassVar[str] = "funding.webhook.receive.v1"

    webhook_id: TypeId
    source: Slug
    content: RawBody
    who: Who
    occurred_at: UtcTime


class EnterPayIn(MoneyEvent):
    """Command: propose a pay-in by hand; it is booked once another person approves it."""

    TYPE: ClassVar[str] = "funding.entry.propose.v1"

    entry_id: TypeId
    external_id: Token
    amount: AskedAmount
    originator: Originator
    company: Token
    beneficiary: Beneficiary | None = None
    kind: Slug = "payables"
    value_date: Day
    references: dict[Slug, Text] = Field(
        default_factory=dict, max_length=16, json_schema_extra={"additionalProperties": False}
    )


class DecideEntry(Event):
    """Command: approve or decline a proposed pay-in; whoever proposed it may only decline."""

    TYPE: ClassVar[str] = "funding.entry.decide.v1"

    entry_id: TypeId
    approve: StrictBool
    note: Text
    who: Who
    occurred_at: UtcTime


class ExpectPayIn(MoneyEvent):
    """Command: say what money will name, and for whom it then is.

    `kind`: invoice, purchase_order, prefund, virtual_account (more may come). `reference` is what
    the payer writes, or the virtual account paid into; it is one expectation's within its company.
    `amount` None: any amount, any number of times. `payer`: the originator's reference, if known.
    """

    TYPE: ClassVar[str] = "funding.expectation.register.v1"

    expectation_id: TypeId
    kind: Slug
    reference: Token
    amount: AskedAmount | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    company: Token
    beneficiary: Beneficiary
    program: Slug
    payer: Token | None = None


class DecideMatch(Event):
    """Command: say whose money in suspense is.

    Either `expectation_id`, or `beneficiary` and `program`. `match_id` starts with `match_`.
    """

    TYPE: ClassVar[str] = "funding.match.decide.v1"

    match_id: TypeId
    pay_in_id: TypeId
    expectation_id: TypeId | None = None
    beneficiary: Beneficiary | None = None
    program: Slug | None = None
    note: Text
    who: Who
    occurred_at: UtcTime


class OwnerShare(Shape):
    """How much of a return one owner bears."""

    owner: Token
    amount: AskedAmount


class ReturnPayIn(MoneyEvent):
    """Command: give back part or all of a pay-in. `return_id` starts with `ret_`.

    `kind`: refund, chargeback. `method` says who bears it: proportional (each allocation by its
    size), exact (`shares`, which sum to `amount`), in_order (each of `order` as far as its
    allocation goes, then the next).
    """

    TYPE: ClassVar[str] = "funding.pay_in.return.v1"

    return_id: TypeId
    pay_in_id: TypeId
    kind: Slug
    amount: AskedAmount
    method: Slug = "proportional"
    shares: Annotated[tuple[OwnerShare, ...], Field(max_length=64)] = ()
    order: Annotated[tuple[Token, ...], Field(max_length=64)] = ()


class SettleReceivable(MoneyEvent):
    """Command: an owner pays what it owes from its wallet of that currency, in part or in full.

    `settlement_id` starts with `settle_`.
    """

    TYPE: ClassVar[str] = "funding.receivable.settle.v1"

    settlement_id: TypeId
    receivable_id: TypeId
    amount: AskedAmount


class WebhookReceived(Event):
    """What became of a webhook.

    `outcome`: applied, known (the same event came before), ignored (it moves no money). A card
    processor sends an event again and in any order: each is applied once. `pay_in_id` is None where
    it is about no pay-in.
    """

    TYPE: ClassVar[str] = "funding.webhook.received.v1"

    webhook_id: TypeId
    source: Slug
    provider_event: Token
    event_type: Slug
    outcome: Slug
    pay_in_id: TypeId | None
    who: Who
    occurred_at: UtcTime


class PayInPending(MoneyEvent):
    """Money announced that has yet to clear; no wallet has it. It becomes received, or fails."""

    TYPE: ClassVar[str] = "funding.pay_in.pending.v1"

    pay_in_id: TypeId
    source: Slug
    external_id: Token
    amount: Amount
    company: Token


class PayInFailed(MoneyEvent):
    """Money that was pending will not come. `code` is the source's own."""

    TYPE: ClassVar[str] = "funding.pay_in.failed.v1"

    pay_in_id: TypeId
    source: Slug
    external_id: Token
    amount: Amount
    company: Token
    code: Slug


class EntryProposed(MoneyEvent):
    """A pay-in was proposed by hand and waits for another person; no money has moved."""

    TYPE: ClassVar[str] = "funding.entry.proposed.v1"

    entry_id: TypeId
    external_id: Token
    amount: Amount
    company: Token
    beneficiary: Beneficiary | None


class EntryDecided(Event):
    """A proposed pay-in was approved, and is booked as `pay_in_id`, or declined."""

    TYPE: ClassVar[str] = "funding.entry.decided.v1"

    entry_id: TypeId
    approved: StrictBool
    pay_in_id: TypeId | None
    proposed_by: Token
    note: Text
    who: Who
    occurred_at: UtcTime


class PayInExpected(MoneyEvent):
    """From now on money that names the reference is matched with this expectation."""

    TYPE: ClassVar[str] = "funding.expectation.registered.v1"

    expectation_id: TypeId
    kind: Slug
    reference: Token
    amount: Amount | None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    company: Token
    beneficiary: Beneficiary
    program: Slug


class ExpectationPaid(MoneyEvent):
    """Money was matched with an expectation that names an amount (F65).

    `standing`: part_paid, paid, over_paid. `received` is all that was matched with it so far.
    """

    TYPE: ClassVar[str] = "funding.expectation.paid.v1"

    expectation_id: TypeId
    kind: Slug
    reference: Token
    company: Token
    expected: Amount
    received: Amount
    standing: Slug
    pay_in_id: TypeId


class MatchCandidate(Shape):
    """An expectation that money in suspense may be for.

    `confidence` is a whole number of percent; `reasons`: virtual_account, reference, amount, payer
    (more may come).
    """

    expectation_id: TypeId
    reference: Token
    confidence: Percent
    reasons: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=8)]


class MatchProposed(Event):
    """Money in suspense may be for one of these; none is sure enough, so a person decides (F14)."""

    TYPE: ClassVar[str] = "funding.match.proposed.v1"

    pay_in_id: TypeId
    case_id: TypeId
    candidates: Annotated[tuple[MatchCandidate, ...], Field(min_length=1, max_length=16)]
    occurred_at: UtcTime


class PayInMatched(Event):
    """Money in suspense was matched and is being allocated; the ledger's answer follows.

    `automatic`: the match was sure enough without a person. `confidence` is 100 for a person's word.
    """

    TYPE: ClassVar[str] = "funding.pay_in.matched.v1"

    match_id: TypeId
    pay_in_id: TypeId
    case_id: TypeId
    expectation_id: TypeId | None
    beneficiary: Beneficiary
    program: Slug
    confidence: Percent
    automatic: StrictBool
    note: Text
    who: Who
    occurred_at: UtcTime


class ReturnStarted(MoneyEvent):
    """A return was taken up. It waits where the pay-in is not in the books yet."""

    TYPE: ClassVar[str] = "funding.return.started.v1"

    return_id: TypeId
    pay_in_id: TypeId
    kind: Slug
    method: Slug
    amount: Amount


class ReturnedShare(Shape):
    """What one owner bears of a return: from its wallet, or owed where the wallet has it no more.

    `owner` is `platform` for money that stood in suspense. `receivable_id` is None unless owed.
    """

    owner: Token
    account: TypeId
    amount: Amount
    receivable_id: TypeId | None


class _PayInReturned(MoneyEvent):
    """What both kinds of return have in common; the shares sum to `amount` exactly.

    `returned` is all that was returned of the pay-in so far, `pay_in_amount` its whole amount.
    `state`: partly_refunded, refunded, charged_back.
    """

    return_id: TypeId
    pay_in_id: TypeId
    source: Slug
    company: Token
    amount: Amount
    returned: Amount
    pay_in_amount: Amount
    state: Slug
    shares: Annotated[tuple[ReturnedShare, ...], Field(min_length=1, max_length=64)]


class PayInRefunded(_PayInReturned):
    """Money went back to the payer, whole, whatever the wallets still had (F15)."""

    TYPE: ClassVar[str] = "funding.pay_in.refunded.v1"


class PayInChargedBack(_PayInReturned):
    """The payer's bank took money back, or a debit failed after it was credited (F15)."""

    TYPE: ClassVar[str] = "funding.pay_in.charged_back.v1"


class PayInReinstated(MoneyEvent):
    """A chargeback was won: what it took is given back to the wallets, and what it left owed ends."""

    TYPE: ClassVar[str] = "funding.pay_in.reinstated.v1"

    return_id: TypeId
    pay_in_id: TypeId
    source: Slug
    company: Token
    amount: Amount
    returned: Amount
    shares: Annotated[tuple[ReturnedShare, ...], Field(min_length=1, max_length=64)]


class ReceivableOpened(MoneyEvent):
    """An owner owes money that was taken back after its wallet had spent it.

    `account` is the owner's account of what it owes, below zero by what is open.
    """

    TYPE: ClassVar[str] = "funding.receivable.opened.v1"

    receivable_id: TypeId
    return_id: TypeId
    pay_in_id: TypeId
    owner: Token
    company: Token
    account: TypeId
    amount: Amount
    reason_code: Slug


class SettlementStarted(MoneyEvent):
    """The ledger was asked to move money from the owner's wallet to what it owes."""

    TYPE: ClassVar[str] = "funding.receivable.settlement_started.v1"

    settlement_id: TypeId
    receivable_id: TypeId
    owner: Token
    amount: Amount


class ReceivableSettled(MoneyEvent):
    """Part or all of a receivable was settled; `open_amount` is what is still owed.

    `settled_by`: owner, reinstatement (more may come).
    """

    TYPE: ClassVar[str] = "funding.receivable.settled.v1"

    receivable_id: TypeId
    settlement_id: TypeId
    owner: Token
    company: Token
    amount: Amount
    open_amount: Amount
    settled_by: Slug


class SourceCommandRefused(Event):
    """A command of this topic was refused and changed nothing.

    `subject` is the id the command was about, `field` a JSON pointer into the command.
    """

    TYPE: ClassVar[str] = "funding.source_command.refused.v1"

    command_type: Token
    subject: Token
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text
    who: Who
    occurred_at: UtcTime


COMMANDS: tuple[type[Event], ...] = (
    ReceiveWebhook,
    EnterPayIn,
    DecideEntry,
    ExpectPayIn,
    DecideMatch,
    ReturnPayIn,
    SettleReceivable,
)
FACTS: tuple[type[Event], ...] = (
    WebhookReceived,
    PayInPending,
    PayInFailed,
    EntryProposed,
    EntryDecided,
    PayInExpected,
    ExpectationPaid,
    MatchProposed,
    PayInMatched,
    ReturnStarted,
    PayInRefunded,
    PayInChargedBack,
    PayInReinstated,
    ReceivableOpened,
    SettlementStarted,
    ReceivableSettled,
    SourceCommandRefused,
)
