"""Escrow agreements: money that stands apart until a condition is met, a party gives it up or time is up.

An agreement names who pays, who is paid, who decides a dispute, one condition and a deadline. Its
money stands in an account of its own. Each command has an id; the same id with the same content gets
the same answer, with other content a refusal.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from tally_contracts.base import (
    Amount,
    AskedAmount,
    Count,
    Event,
    MoneyEvent,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
    Why,
)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""


class ReleaseCondition(Shape):
    """What must happen for the money to go to the payee; `kind` says which fields count.

    `approval`: `needed` of the parties `approvers` approve. `date`: `at` has come. `document`:
    `presenter` presents the document with digest `document`. `event`: the fact `event`
    (pay_in_allocated, payout_paid; more may come) of the payer or the payee names `event_reference`
    as its event, or is about that id.
    """

    kind: Slug
    approvers: Annotated[tuple[Token, ...], Field(max_length=16)] = ()
    needed: Count | None = None
    at: UtcTime | None = None
    document: Sha256 | None = None
    presenter: Token | None = None
    event: Slug | None = None
    event_reference: Token | None = None


class ProposeAgreement(MoneyEvent):
    """Command: enter an agreement; no money moves yet.

    Parties are party ids. `on_deadline` says where what is held then goes: refund (to the payer) or
    release (to the payee). Without an `arbiter` there is no dispute.
    """

    TYPE: ClassVar[str] = "funding.agreement.propose.v1"

    agreement_id: TypeId
    tenant: Token
    payer: Token
    payee: Token
    arbiter: Token | None = None
    amount: AskedAmount
    condition: ReleaseCondition
    deadline: UtcTime
    on_deadline: Slug = "refund"


class _AgreementOrder(Event):
    """What the orders about one agreement have in common; `command_id` is the idempotency id."""

    command_id: TypeId
    agreement_id: TypeId
    tenant: Token
    who: Who
    why: Why
    occurred_at: UtcTime


class FundAgreement(_AgreementOrder):
    """Command: the payer's wallet pays the whole amount into the agreement."""

    TYPE: ClassVar[str] = "funding.agreement.fund.v1"


class ApproveRelease(_AgreementOrder):
    """Command: the principal, an approver of the condition, approves."""

    TYPE: ClassVar[str] = "funding.agreement.approve.v1"


class PresentDocument(_AgreementOrder):
    """Command: the principal presents a document by its digest; the document itself stays outside."""

    TYPE: ClassVar[str] = "funding.agreement.present_document.v1"

    document: Sha256


class ReleaseAgreement(MoneyEvent):
    """Command: pay part or all of what is held to the payee.

    The payer may release at any time; the payee once the condition is met. Without `amount`: all.
    """

    TYPE: ClassVar[str] = "funding.agreement.release.v1"

    command_id: TypeId
    agreement_id: TypeId
    tenant: Token
    amount: AskedAmount | None = None


class RefundAgreement(_AgreementOrder):
    """Command: the payee gives all that is held back to the payer."""

    TYPE: ClassVar[str] = "funding.agreement.refund.v1"


class DisputeAgreement(_AgreementOrder):
    """Command: the payer or the payee disputes; nothing moves until the arbiter decides."""

    TYPE: ClassVar[str] = "funding.agreement.dispute.v1"


class ArbitrateAgreement(MoneyEvent):
    """Command: the arbiter divides a disputed agreement; the two amounts sum to what is held."""

    TYPE: ClassVar[str] = "funding.agreement.arbitrate.v1"

    command_id: TypeId
    agreement_id: TypeId
    tenant: Token
    to_payee: AskedAmount
    to_payer: AskedAmount


class AgreementChanged(MoneyEvent):
    """An agreement changed; `sequence` counts its changes from 1 without a gap.

    `state`: proposed, funding, funded, part_released, releasing, released, refunding, refunded,
    disputed, arbitrating, arbitrated, expiring, expired (more may come). While a state ends in -ing
    the ledger is asked with `journal_id`. `held`, `released` and `refunded` are what the ledger has
    posted: held is what was paid in less the other two. `approvals`: who has approved so far.
    `reason_code` says why a step was taken back, or what moved the agreement.
    """

    TYPE: ClassVar[str] = "funding.agreement.changed.v1"

    agreement_id: TypeId
    tenant: Token
    sequence: Count
    state: Slug
    previous: Slug | None
    payer: Token
    payee: Token
    arbiter: Token | None
    amount: Amount
    held: Amount
    released: Amount
    refunded: Amount
    account: TypeId
    journal_id: TypeId | None
    approvals: tuple[Token, ...]
    condition_met: Annotated[bool, Field(strict=True)]
    deadline: UtcTime
    reason_code: Slug | None


class AgreementRefused(Event):
    """A command about an agreement was refused and changed nothing; asked again, the same answer.

    `field` is a JSON pointer into the command. `code`: agreement_unknown, agreement_exists, id_reused,
    party_unknown, not_allowed, state_forbids, movement_under_way, amount_not_positive, amount_format,
    currency_mismatch, exceeds_held, split_mismatch, condition_invalid, condition_not_met,
    document_unknown, deadline_passed, no_arbiter, why_mismatch, tenant_mismatch (more may come).
    """

    TYPE: ClassVar[str] = "funding.agreement.refused.v1"

    command_type: Token
    subject: Token
    agreement_id: TypeId
    tenant: Token
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text
    who: Who
    occurred_at: UtcTime


COMMANDS: tuple[type[Event], ...] = (
    ProposeAgreement,
    FundAgreement,
    ApproveRelease,
    PresentDocument,
    ReleaseAgreement,
    RefundAgreement,
    DisputeAgreement,
    ArbitrateAgreement,
)
FACTS: tuple[type[Event], ...] = (
    AgreementChanged,
    AgreementRefused,
)
