"""Programs: what they allow, what they may spend, what they owe, and who has to approve."""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool

from tally_contracts.base import (
    Amount,
    AssetCode,
    Count,
    Country,
    Day,
    DecimalText,
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


class _Command(Event):
    """What every command to the programs service names: whose program, and who asks."""

    tenant: Token
    program_id: TypeId
    who: Who
    occurred_at: UtcTime


class _Fact(Event):
    """What every fact of the programs service names; `who` is who caused it."""

    tenant: Token
    program_id: TypeId
    who: Who
    occurred_at: UtcTime


class _MoneyCommand(MoneyEvent):
    """A command about amounts: its why names the program, and what the money is for."""

    tenant: Token
    program_id: TypeId


class _MoneyFact(MoneyEvent):
    """A fact about amounts; where and why are those of the command or the money it follows."""

    tenant: Token
    program_id: TypeId


class AmountLimit(Shape):
    """The least and the most one payout may be in a currency."""

    currency: AssetCode
    minimum: DecimalText
    maximum: DecimalText | None


class ApprovalLevel(Shape):
    """A payment of more than `above` needs this many approvals by different people."""

    currency: AssetCode
    above: DecimalText
    approvals: Annotated[int, Field(strict=True, ge=0, le=9)]


class Restriction(Shape):
    """Forbids endpoint classes where every list that is not empty names the payout's value (F42).

    `sources`: funding sources, such as one that holds operating funds. `kinds`: kinds of value, as
    in FundingReceived (F24).
    """

    forbids: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=8)]
    countries: Annotated[tuple[Country, ...], Field(max_length=260)] = ()
    sources: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    kinds: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()


class PolicyDocument(Shape):
    """What payouts of a program may use. An empty list allows all; `limits` bind their currency.

    `classes`: cash, cash_like, closed_loop (more may come).
    """

    rails: Annotated[tuple[Slug, ...], Field(max_length=64)] = ()
    classes: Annotated[tuple[Slug, ...], Field(max_length=8)] = ()
    countries: Annotated[tuple[Country, ...], Field(max_length=260)] = ()
    currencies: Annotated[tuple[AssetCode, ...], Field(max_length=260)] = ()
    limits: Annotated[tuple[AmountLimit, ...], Field(max_length=260)] = ()
    approvals: Annotated[tuple[ApprovalLevel, ...], Field(max_length=64)] = ()
    restrictions: Annotated[tuple[Restriction, ...], Field(max_length=64)] = ()


class Endpoint(Shape):
    """A rail and the class of endpoint it reaches (F41)."""

    rail: Slug
    endpoint_class: Slug


class FeeLine(Shape):
    """The fee for amounts of a currency: fixed plus a percentage of the amount, within bounds.

    `rail` absent: every rail that has no line of its own. `bearer`: payer, payee, shared; for shared
    `payer_percent` says how much of the fee the payer bears.
    """

    rail: Slug | None
    currency: AssetCode
    fixed: DecimalText
    percent: DecimalText
    floor: DecimalText | None
    cap: DecimalText | None
    bearer: Slug
    payer_percent: DecimalText | None


class FundingWallet(Shape):
    """A wallet that funds a program: an account of the ledger in one currency."""

    account: TypeId
    currency: AssetCode


class CreateProgram(_Command):
    """Command: begin a program of a company. `program` is its name in every event's why."""

    TYPE: ClassVar[str] = "programs.program.create.v1"

    program: Slug
    company: Token
    title: Text


class PublishPolicy(_Command):
    """Command: put a policy in force from a moment on, or at once where `effective_from` is absent.

    `version` is one more than the last. Payouts and payments begun before keep theirs (F40).
    """

    TYPE: ClassVar[str] = "programs.policy.publish.v1"

    version: Count
    effective_from: UtcTime | None
    effective_until: UtcTime | None
    policy: PolicyDocument


class SetFees(_Command):
    """Command: put a fee schedule in force from a moment on, or at once."""

    TYPE: ClassVar[str] = "programs.fees.set.v1"

    version: Count
    effective_from: UtcTime | None
    lines: Annotated[tuple[FeeLine, ...], Field(max_length=260)]


class SetFundingOrder(_Command):
    """Command: name the wallets that fund the program, in the order of their use (F60)."""

    TYPE: ClassVar[str] = "programs.funding_order.set.v1"

    version: Count
    wallets: Annotated[tuple[FundingWallet, ...], Field(min_length=1, max_length=64)]


class OpenBudget(_MoneyCommand):
    """Command: open a budget; with a parent, its amount is taken from the parent's (F17).

    `wallet` is the funding wallet behind a budget without a parent; a child has its parent's.
    """

    TYPE: ClassVar[str] = "programs.budget.open.v1"

    budget_id: TypeId
    parent: TypeId | None
    holder: Token
    amount: Amount
    wallet: TypeId | None


class AllocateBudget(_MoneyCommand):
    """Command: give a budget more from its parent, or take back what it has not used."""

    TYPE: ClassVar[str] = "programs.budget.allocate.v1"

    allocation_id: TypeId
    budget_id: TypeId
    amount: PositiveAmount
    take_back: StrictBool


class ReserveBudget(_MoneyCommand):
    """Command: set part of a budget aside for something that will be paid."""

    TYPE: ClassVar[str] = "programs.budget.reserve.v1"

    reservation_id: TypeId
    budget_id: TypeId
    amount: PositiveAmount
    reference: Token


class UseBudget(_MoneyCommand):
    """Command: part or all of a reservation was spent."""

    TYPE: ClassVar[str] = "programs.budget.use.v1"

    use_id: TypeId
    budget_id: TypeId
    reservation_id: TypeId
    amount: PositiveAmount


class ReleaseBudget(_MoneyCommand):
    """Command: what is left of a reservation is free again."""

    TYPE: ClassVar[str] = "programs.budget.release.v1"

    release_id: TypeId
    budget_id: TypeId
    reservation_id: TypeId


class BroughtSettlement(Shape):
    """What one pay-in, payout or payment counts for; `sequence` is that of the fact that said so."""

    reference: TypeId
    amount: Amount
    sequence: Count


class BroughtPayable(Shape):
    """What had become of a payable in the installation it comes from (F62)."""

    settled: Annotated[tuple[BroughtSettlement, ...], Field(max_length=500)]
    cancelled: StrictBool


class RegisterPayable(_MoneyCommand):
    """Command: an invoice or purchase order is to be paid (F65).

    `document`: invoice, purchase_order. `settled_by` says which money counts: pay_in (the payee is
    owed), payout or payment (the payer owes); one alone, since one is often the cause of another.
    Money names it in its why: the program, and as event the payable's id or its number. `brought`
    is for the operator alone.
    """

    TYPE: ClassVar[str] = "programs.payable.register.v1"

    payable_id: TypeId
    document: Slug
    number: Token
    payer: Token
    payee: Token
    amount: PositiveAmount
    due: Day
    kind: Slug
    settled_by: Slug
    brought: BroughtPayable | None = None


class CancelPayable(_MoneyCommand):
    """Command: nothing more is to be paid; refused once anything was."""

    TYPE: ClassVar[str] = "programs.payable.cancel.v1"

    payable_id: TypeId


class ProposePayment(_MoneyCommand):
    """Command: pay somebody out of a holder's budgets, once enough people have approved."""

    TYPE: ClassVar[str] = "programs.payment.propose.v1"

    payment_id: TypeId
    holder: Token
    payee: Token
    amount: PositiveAmount
    rail: Slug
    kind: Slug
    payable_id: TypeId | None


class ApprovePayment(_Command):
    """Command: one person approves; the proposer never does, and nobody twice."""

    TYPE: ClassVar[str] = "programs.payment.approve.v1"

    payment_id: TypeId


class RejectPayment(_Command):
    """Command: call a payment off that has not been approved; its budget is free again."""

    TYPE: ClassVar[str] = "programs.payment.reject.v1"

    payment_id: TypeId
    reason: Text


class SubmitBudgetClaim(_MoneyCommand):
    """Command: the holder of a budget claims part of it, with a reference to the evidence."""

    TYPE: ClassVar[str] = "programs.budget_claim.submit.v1"

    claim_id: TypeId
    budget_id: TypeId
    amount: PositiveAmount
    kind: Slug
    evidence: Token


class DecideBudgetClaim(_MoneyCommand):
    """Command: the company approves a claim, in whole or up to `amount`, or rejects it.

    Its why says for what reason.
    """

    TYPE: ClassVar[str] = "programs.budget_claim.decide.v1"

    claim_id: TypeId
    approve: StrictBool
    amount: PositiveAmount | None


class ProgramCreated(_Fact):
    """A program exists; its name is taken for the whole installation."""

    TYPE: ClassVar[str] = "programs.program.created.v1"

    program: Slug
    company: Token
    title: Text


class ProgramPolicyPublished(_Fact):
    """A policy version, whole, so that a reader needs no table of its own.

    In force from `effective_from` to `effective_until`, or to the next version's beginning where
    that comes first. `endpoints` is the class of each rail as of this version.
    """

    TYPE: ClassVar[str] = "programs.policy.published.v1"

    program: Slug
    version: Count
    effective_from: UtcTime
    effective_until: UtcTime | None
    policy: PolicyDocument
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=64)]


class ProgramFeesSet(_Fact):
    """A fee schedule, whole; it is in force until the next version's beginning."""

    TYPE: ClassVar[str] = "programs.fees.changed.v1"

    program: Slug
    version: Count
    effective_from: UtcTime
    lines: Annotated[tuple[FeeLine, ...], Field(max_length=260)]


class FundingOrderSet(_Fact):
    """The wallets that fund the program, in the order of their use, from now on."""

    TYPE: ClassVar[str] = "programs.funding_order.changed.v1"

    program: Slug
    version: Count
    wallets: Annotated[tuple[FundingWallet, ...], Field(min_length=1, max_length=64)]


class BudgetChanged(_MoneyFact):
    """A budget as it is now; the highest `sequence` of a budget is its state.

    `limit` is never less than `allocated` (to children), `reserved` and `used` together. `path`:
    the budgets above it, the top one first. `change`: opened, raised, lowered, allocated,
    taken_back, reserved, used, released (more may come); `subject` is the id of what changed it.
    """

    TYPE: ClassVar[str] = "programs.budget.changed.v1"

    budget_id: TypeId
    sequence: Count
    parent: TypeId | None
    path: Annotated[tuple[TypeId, ...], Field(max_length=16)]
    holder: Token
    wallet: TypeId
    limit: Amount
    allocated: Amount
    reserved: Amount
    used: Amount
    change: Slug
    changed_by: Amount
    subject: Token


class PayableChanged(_MoneyFact):
    """An invoice or purchase order as it is now; the highest `sequence` is its state.

    `state`: open, part_paid, paid, over_paid, cancelled (more may come). `reference` is the id of
    the pay-in or payout that changed `paid`.
    """

    TYPE: ClassVar[str] = "programs.payable.changed.v1"

    payable_id: TypeId
    sequence: Count
    state: Slug
    document: Slug
    number: Token
    payer: Token
    payee: Token
    amount: Amount
    paid: Amount
    due: Day
    kind: Slug
    settled_by: Slug
    reference: TypeId | None


class Draw(Shape):
    """Part of a payment, and the budget and wallet it comes from."""

    budget_id: TypeId
    reservation_id: TypeId
    wallet: TypeId
    amount: Amount


class PaymentFee(Shape):
    """The fee of a payment and who bears it: `payer` and `payee` sum to `total`."""

    total: Amount
    payer: Amount
    payee: Amount


class PaymentChanged(_MoneyFact):
    """A payment as it is now; the highest `sequence` is its state.

    `state`: proposed, approved, rejected, paid, failed (more may come). The draws sum to the amount
    and the payer's part of the fee. It keeps the versions of policy and fees it was proposed under.
    """

    TYPE: ClassVar[str] = "programs.payment.changed.v1"

    payment_id: TypeId
    sequence: Count
    state: Slug
    holder: Token
    payee: Token
    amount: Amount
    rail: Slug
    kind: Slug
    payable_id: TypeId | None
    policy_version: Count
    fees_version: Count | None
    fee: PaymentFee
    draws: Annotated[tuple[Draw, ...], Field(max_length=64)]
    approvals_needed: Count
    approved_by: Annotated[tuple[Token, ...], Field(max_length=9)]
    journal_id: TypeId | None
    reason_code: Slug | None


class BudgetClaimChanged(_MoneyFact):
    """A claim as it is now. `state`: submitted, approved, rejected (more may come).

    An approved claim's `granted` stays reserved in the budget until it is used or released.
    """

    TYPE: ClassVar[str] = "programs.budget_claim.changed.v1"

    claim_id: TypeId
    sequence: Count
    state: Slug
    budget_id: TypeId
    reservation_id: TypeId
    holder: Token
    amount: Amount
    granted: Amount | None
    kind: Slug
    evidence: Token
    reason: Text | None


class ProgramCommandRefused(_Fact):
    """A command changed nothing. `field` is a JSON pointer into it; `remedy` says what to do.

    `code`: id_conflict, not_permitted, program_unknown, program_taken, version_not_next,
    effective_past, effective_overlap, budget_exceeded, policy_forbids, same_person (more may come).
    """

    TYPE: ClassVar[str] = "programs.command.refused.v1"

    command_type: Token
    subject: Token
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text


COMMANDS: tuple[type[Event], ...] = (
    CreateProgram,
    PublishPolicy,
    SetFees,
    SetFundingOrder,
    OpenBudget,
    AllocateBudget,
    ReserveBudget,
    UseBudget,
    ReleaseBudget,
    RegisterPayable,
    CancelPayable,
    ProposePayment,
    ApprovePayment,
    RejectPayment,
    SubmitBudgetClaim,
    DecideBudgetClaim,
)
FACTS: tuple[type[Event], ...] = (
    ProgramCreated,
    ProgramPolicyPublished,
    ProgramFeesSet,
    FundingOrderSet,
    BudgetChanged,
    PayableChanged,
    PaymentChanged,
    BudgetClaimChanged,
    ProgramCommandRefused,
)
