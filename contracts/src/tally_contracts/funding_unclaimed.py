"""Money whose owner has given no sign of life: notices, filings with a state, and reclaims (F31).

The holder is the root of the tree whose wallets they are. Two people decide whatever moves money.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool, StringConstraints

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

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hexadecimal."""

ReportText = Annotated[str, StringConstraints(min_length=1, max_length=400_000)]
"""A file as text, UTF-8 with line feeds."""

Amounts = Annotated[tuple[Amount, ...], Field(max_length=64)]
"""One amount per currency."""


class ProposeFiling(MoneyEvent):
    """Command: enter all wallets that are reportable to a jurisdiction into a filing; no money moves.

    At most 500, the longest without a sign of the owner first. The principal is the holder, or the
    operator.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.propose_filing.v1"

    filing_id: TypeId
    holder: Token
    jurisdiction: Slug


class DecideFiling(Event):
    """Command: a second person lets the money of a filing go to the jurisdiction, or stops it."""

    TYPE: ClassVar[str] = "funding.unclaimed.decide_filing.v1"

    command_id: TypeId
    filing_id: TypeId
    approve: StrictBool
    note: Text
    who: Who
    occurred_at: UtcTime


class ProposeReclaim(MoneyEvent):
    """Command: money that was filed is the claimant's and comes back; none moves yet.

    `account` names the line of the filing. The claimant is the party that claimed the owner's
    wallet, or the owner where it was known.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.propose_reclaim.v1"

    reclaim_id: TypeId
    filing_id: TypeId
    account: TypeId
    claimant: Token


class DecideReclaim(Event):
    """Command: a second person gives the money back, or declines."""

    TYPE: ClassVar[str] = "funding.unclaimed.decide_reclaim.v1"

    command_id: TypeId
    reclaim_id: TypeId
    approve: StrictBool
    note: Text
    who: Who
    occurred_at: UtcTime


class ConfirmOwner(Event):
    """Command: the owner itself gives a sign of life, which sets the clocks of its wallets back.

    `sign`: login, answer (to a notice), contact (more may come). The principal is the owner.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.confirm_owner.v1"

    command_id: TypeId
    owner: Token
    sign: Slug
    who: Who
    occurred_at: UtcTime


class NoticeDue(MoneyEvent):
    """The owner is to be told, through every channel known, that the money will be given away.

    `contacts` are tokens of the owner's contacts, `companies` whose money it was: they are asked
    where no contact is known. Without an answer by `answer_by` it becomes reportable; null where
    no jurisdiction takes it.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.notice_due.v1"

    notice_id: TypeId
    account: TypeId
    owner: Token
    holder: Token
    contacts: Annotated[tuple[Token, ...], Field(max_length=64)]
    companies: Annotated[tuple[Token, ...], Field(max_length=64)]
    amount: Amount
    jurisdiction: Slug
    answer_by: UtcTime | None


class FilingChanged(MoneyEvent):
    """A filing moved to a state; `owner` is the account holder `escheat:<jurisdiction>`.

    `state`: proposed, remitting (the ledger was asked), filed, declined, void (nothing of it could
    be moved; more may come). `totals` and `line_count` are of what is in it by now; `digest` names
    exactly what was proposed.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.filing_changed.v1"

    filing_id: TypeId
    owner: Token
    holder: Token
    jurisdiction: Slug
    state: Slug
    previous: Slug | None
    line_count: Count
    totals: Amounts
    digest: Digest
    proposed_by: Token
    note: Text | None


class ReportFiled(MoneyEvent):
    """The report of a filing whose money has moved: its totals are those of the journals.

    `content` is CSV; it names accounts and tokens, and nobody. `sha256` is of its UTF-8 bytes.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.report_filed.v1"

    report_id: TypeId
    filing_id: TypeId
    owner: Token
    holder: Token
    jurisdiction: Slug
    line_count: Count
    totals: Amounts
    file_name: Token
    content: ReportText
    sha256: Digest


class OwnerFound(MoneyEvent):
    """Somebody has claimed a wallet whose money was given to a jurisdiction before.

    It can be asked for there by `report_id`, or be reclaimed by the holder.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.owner_found.v1"

    filing_id: TypeId
    report_id: TypeId
    account: TypeId
    owner: Token
    holder: Token
    claimant: Token
    amount: PositiveAmount
    jurisdiction: Slug


class ReclaimChanged(MoneyEvent):
    """A reclaim moved to a state: money of a filing comes back to its owner.

    `state`: proposed, moving, moved, refused (by the ledger: `reason_code`), declined (more may
    come). `owner` is whose money it was when it was filed.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.reclaim_changed.v1"

    reclaim_id: TypeId
    filing_id: TypeId
    account: TypeId
    owner: Token
    holder: Token
    claimant: Token
    amount: PositiveAmount
    state: Slug
    previous: Slug | None
    journal_id: TypeId | None
    reason_code: Slug | None
    proposed_by: Token
    note: Text | None


class OwnerConfirmed(Event):
    """The owner gave a sign of life; `wallets` says how many clocks of its money begin anew by it.

    Those that began less than a day before are counted, and stand.
    """

    TYPE: ClassVar[str] = "funding.unclaimed.owner_confirmed.v1"

    owner: Token
    sign: Slug
    wallets: Count
    who: Who
    occurred_at: UtcTime


COMMANDS: tuple[type[Event], ...] = (
    ProposeFiling,
    DecideFiling,
    ProposeReclaim,
    DecideReclaim,
    ConfirmOwner,
)
FACTS: tuple[type[Event], ...] = (
    NoticeDue,
    FilingChanged,
    ReportFiled,
    OwnerFound,
    ReclaimChanged,
    OwnerConfirmed,
)
