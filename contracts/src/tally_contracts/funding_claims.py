"""Money for a payee nobody knows yet: claim, re-designation, expiry and dormancy (X3, F28, F31).

Such money stands in a wallet whose owner is `event:<reference>` or `contact:<token>`. A claim binds
that owner to a verified party, once.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from tally_contracts.base import (
    Amount,
    Count,
    Event,
    MoneyEvent,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
    Why,
)

CodeHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a claim code's text, in lower-case hexadecimal. The code itself never travels in clear."""


class IssueClaim(Event):
    """Command: make a claim code for a wallet of an unknown payee; an earlier open code ends.

    `owner` is `event:<reference>` or `contact:<token>`. With `contact` the code can be redeemed only
    by a party that has this contact verified; an owner `contact:` is bound to its own contact.
    Unclaimed at `expires_at`, the code ends, and with `expires_to` the money goes to that party.
    """

    TYPE: ClassVar[str] = "funding.claim.issue.v1"

    claim_id: TypeId
    owner: Token
    tenant: Token
    contact: Token | None = None
    expires_at: UtcTime
    expires_to: Token | None = None
    who: Who
    why: Why
    occurred_at: UtcTime


class RedeemClaim(Event):
    """Command: the principal, a registered party with a verified contact, claims the wallet."""

    TYPE: ClassVar[str] = "funding.claim.redeem.v1"

    command_id: TypeId
    claim_id: TypeId
    code_hash: CodeHash
    who: Who
    why: Why
    occurred_at: UtcTime


class Redesignate(Event):
    """Command: name another owner for money nobody has claimed, now and for what still comes.

    Allowed to the company whose money it is, and to the parties above it.
    """

    TYPE: ClassVar[str] = "funding.claim.redesignate.v1"

    command_id: TypeId
    owner: Token
    to_owner: Token
    tenant: Token
    who: Who
    why: Why
    occurred_at: UtcTime


class ClaimIssued(Event):
    """A claim code exists; `sealed_code` is for whoever delivers it to the contact."""

    TYPE: ClassVar[str] = "funding.claim.issued.v1"

    claim_id: TypeId
    owner: Token
    tenant: Token
    contact: Token | None
    expires_at: UtcTime
    expires_to: Token | None
    sealed_code: Text
    who: Who
    why: Why
    occurred_at: UtcTime


class ClaimChanged(Event):
    """A claim moved to a state.

    `state`: redeeming, issued (taken back: `reason_code` says why), redeemed, replaced, withdrawn,
    expiring, expired (more may come). `claimant` is the party it went to or is going to.
    """

    TYPE: ClassVar[str] = "funding.claim.changed.v1"

    claim_id: TypeId
    owner: Token
    tenant: Token
    state: Slug
    previous: Slug
    claimant: Token | None
    journal_id: TypeId | None
    reason_code: Slug | None
    who: Who
    why: Why
    occurred_at: UtcTime


class ClaimAlarmRaised(Event):
    """Somebody tried a claim that was used, or with a wrong code: a person should look.

    `code`: claim_used, code_wrong, wrong_person (more may come).
    """

    TYPE: ClassVar[str] = "funding.claim.alarm_raised.v1"

    claim_id: TypeId
    owner: Token
    tenant: Token
    attempted_by: Token
    code: Slug
    who: Who
    occurred_at: UtcTime


class DesignationAsked(MoneyEvent):
    """The ledger was asked to move money of an unknown payee; with nothing there, it is moved at once.

    `reason_code` and `amounts` as in DesignationMoved.
    """

    TYPE: ClassVar[str] = "funding.claim.designation_asked.v1"

    movement_id: TypeId
    owner: Token
    to_owner: Token
    tenant: Token
    reason_code: Slug
    amounts: Annotated[tuple[Amount, ...], Field(max_length=64)]
    journal_id: TypeId | None


class DesignationMoved(MoneyEvent):
    """Money of an unknown payee has another owner in the ledger's books, and what comes later too.

    `reason_code`: claimed, redesignated, expired, followed (came after the owner was known),
    released (its payee, who is known, may receive it by now; more may come). `amounts`: what the journal moved, one per currency; none if nothing was there. `asked_at`:
    when that was fixed; money that came since follows. Facts of before do not say it.
    """

    TYPE: ClassVar[str] = "funding.claim.designation_moved.v1"

    movement_id: TypeId
    owner: Token
    to_owner: Token
    tenant: Token
    reason_code: Slug
    amounts: Annotated[tuple[Amount, ...], Field(max_length=64)]
    journal_id: TypeId | None
    asked_at: UtcTime | None = None


class DesignationRefused(MoneyEvent):
    """The ledger refused to move money of an unknown payee; it stays where it was.

    `reason_code` as in DesignationMoved, `code` as the ledger says.
    """

    TYPE: ClassVar[str] = "funding.claim.designation_refused.v1"

    movement_id: TypeId
    owner: Token
    to_owner: Token
    tenant: Token
    reason_code: Slug
    amounts: Annotated[tuple[Amount, ...], Field(max_length=64)]
    journal_id: TypeId
    code: Slug


class ReceiptRestricted(MoneyEvent):
    """Money is here for a payee that may not receive it yet: it stands apart until the gate opens.

    `owner`: the payee. `account`: where the money stands, which is no wallet of the payee's. What
    restricts it: version `version` of the gate table `table`, with `code`; `remedy` opens it, by
    `must_act`: payee, company, operator. `pay_in_id` or `movement_id` brought it. Nobody has to ask
    for it then: DesignationMoved of `restricted:<owner>` with the reason released says that it is in
    the payee's wallet.
    """

    TYPE: ClassVar[str] = "funding.receipt.restricted.v1"

    owner: Token
    tenant: Token
    account: TypeId
    amount: Amount
    pay_in_id: TypeId | None
    movement_id: TypeId | None
    code: Slug
    remedy: Text
    must_act: Slug
    table: Slug
    version: Count
    agreement_id: TypeId | None = None
    reclaim_id: TypeId | None = None


class DormancyChanged(Event):
    """The dormancy clock of a wallet was started, set back or has run out, and what came of it.

    `state`: active, dormant, notice_sent, reportable, escheated (given to the jurisdiction by the
    filing `filing_id`), reclaimed, claimed (more may come). `period` names the dated row of the
    table it ran by; `dormant_at` is when it runs out, or did; `reportable_at` when it becomes
    reportable without an answer, or did.
    """

    TYPE: ClassVar[str] = "funding.claim.dormancy_changed.v1"

    account: TypeId
    owner: Token
    tenant: Token
    state: Slug
    jurisdiction: Slug
    period: Token
    last_activity_at: UtcTime
    dormant_at: UtcTime
    occurred_at: UtcTime
    reportable_at: UtcTime | None = None
    filing_id: TypeId | None = None


class ClaimRefused(Event):
    """A command about unclaimed money was refused; asked again, the same answer.

    `field` is a JSON pointer into the command. `code`: claim_unknown, claim_used, claim_ended,
    claim_expired, code_wrong, wrong_person, party_unknown, owner_unknown, owner_not_claimable,
    owner_claimed, not_allowed, movement_under_way, expiry_passed, id_reused, why_mismatch,
    tenant_mismatch, same_owner, nothing_reportable, jurisdiction_unknown, filing_unknown,
    filing_decided, line_unknown, line_reclaimed, not_the_claimant, reclaim_unknown,
    reclaim_decided, same_person, not_the_owner (more may come).
    """

    TYPE: ClassVar[str] = "funding.claim.refused.v1"

    command_type: Token
    subject: Token
    owner: Token | None
    tenant: Token
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text
    who: Who
    occurred_at: UtcTime


COMMANDS: tuple[type[Event], ...] = (
    IssueClaim,
    RedeemClaim,
    Redesignate,
)
FACTS: tuple[type[Event], ...] = (
    ClaimIssued,
    ClaimChanged,
    ClaimAlarmRaised,
    DesignationAsked,
    DesignationMoved,
    DesignationRefused,
    ReceiptRestricted,
    DormancyChanged,
    ClaimRefused,
)
