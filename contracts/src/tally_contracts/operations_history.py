"""What happened to a tenant in the installation it came from, told here for the views alone.

Nothing is done again because of it: balances are those of the books, which are brought by commands.
"""

from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from tally_contracts.base import (
    AssetCode,
    Count,
    Event,
    MoneyEvent,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
)

TOLD_APART: Final = "hist"
"""Prefix of the reference of a journal whose movements are told by `MovementBrought`, not by itself."""

TYPES: Final = frozenset(
    {
        "funding.pay_in.pending.v1",
        "funding.pay_in.received.v1",
        "funding.pay_in.allocated.v1",
        "funding.pay_in.suspended.v1",
        "funding.pay_in.refunded.v1",
        "funding.pay_in.charged_back.v1",
        "funding.pay_in.reinstated.v1",
        "funding.charge.taken.v1",
        "funding.charge.refused.v1",
        "funding.claim.designation_moved.v1",
        "payouts.payout.changed.v1",
        "programs.payment.changed.v1",
        "programs.budget_claim.changed.v1",
    }
)
"""Facts that may be brought: of things that are done with. What goes on is made anew by commands."""

FactType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,119}\.v[0-9]{1,4}$")]
"""The CloudEvents type of a fact."""

Json = Annotated[str, StringConstraints(min_length=2, max_length=262_144)]
"""A JSON object as text, of at most 256 KiB."""

Minor = Annotated[str, StringConstraints(pattern=r"^(0|-?[1-9][0-9]*)$", max_length=60)]
"""A signed whole number of the smallest unit views count in: that of ISO 4217, else 10^-18."""


class FactBrought(Event):
    """A fact as it was published elsewhere: `fact` is its payload, `fact_key` the event's own id.

    `recorded_at` is when its service wrote it down there; `topic` and `source` are where it stood
    and who wrote it.
    """

    TYPE: ClassVar[str] = "operations.fact.brought.v1"

    tenant: Token
    fact_key: Token
    fact_type: FactType
    fact: Json
    topic: Token
    source: Text
    correlation: Text
    causation: Text | None = None
    recorded_at: UtcTime
    occurred_at: UtcTime


class HopBrought(Event):
    """A hop of a time line whose fact is kept no more: `summary` is what was shown of it."""

    TYPE: ClassVar[str] = "operations.hop.brought.v1"

    tenant: Token
    fact_key: Text
    fact_type: FactType
    subject: Text
    about: Text | None = None
    topic: Token
    service: Text
    summary: Json
    correlation: Text
    causation: Text | None = None
    recorded_at: UtcTime
    occurred_at: UtcTime


class MovementBrought(MoneyEvent):
    """What a transfer did to one of the tenant's accounts, as it was shown there.

    `posted` and `held` are what it added; `occurred_at` is when the ledger there recorded it, which
    orders the movements of an account, with `log_seq`. `kind`: journal, reversal, hold, capture,
    release (more may come).
    """

    TYPE: ClassVar[str] = "operations.movement.brought.v1"

    tenant: Token
    fact_key: Text
    account: Token
    counter: Token | None
    transfer_id: TypeId
    journal: Token
    reference: Token
    ledger: Slug
    log_seq: Count
    kind: Slug
    code: Slug
    currency: AssetCode
    posted: Minor
    held: Annotated[Minor, Field(description="Added to what is reserved.")]
    effective_at: UtcTime


FACTS = (FactBrought, HopBrought, MovementBrought)
