"""What can be asked of the books. `id` is the caller's idempotency id, `request_hash` its content."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

from tally_ledger.domain.model import Account


class Context(NamedTuple):
    """Who, where and why, as the journal keeps them; what and when are the command's own."""

    actor: str
    principal: str
    channel: str
    country: str | None
    program: str
    event: str
    reason: str


class Leg(NamedTuple):
    """One movement asked for; `id` becomes the transfer's id."""

    id: str
    debit: str
    credit: str
    currency: str
    amount: int
    code: str


@dataclass(frozen=True, slots=True)
class PostLegs:
    """Post all legs, in this order, or none."""

    operation: ClassVar[str] = "journal"

    id: str
    reference: str
    accounts: tuple[Account, ...]
    legs: tuple[Leg, ...]
    effective_at: datetime
    context: Context
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Reserve the leg's amount; the hold's id is the leg's."""

    operation: ClassVar[str] = "place"

    id: str
    reference: str
    accounts: tuple[Account, ...]
    leg: Leg
    expires_at: datetime | None
    effective_at: datetime
    context: Context
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Capture:
    """Move part or all of what a hold reserves."""

    operation: ClassVar[str] = "capture"

    id: str
    reference: str
    hold_id: str
    currency: str
    amount: int
    code: str
    effective_at: datetime
    context: Context
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what a hold still reserves."""

    operation: ClassVar[str] = "release"

    id: str
    reference: str
    hold_id: str
    code: str
    effective_at: datetime
    context: Context
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Expire:
    """Give back what a hold still reserves because its time is over; asked by the ledger itself."""

    operation: ClassVar[str] = "expire"

    id: str
    reference: str
    hold_id: str
    code: str
    effective_at: datetime
    context: Context
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """Open an account that no money needs yet; it is its own idempotency id."""

    account: Account


Movement = PostLegs | Place | Capture | Release | Expire
Command = Movement | Open
