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
    """One movement asked for; `id` becomes the transfer's id. The amount may be anything."""

    id: str
    debit: str
    credit: str
    currency: str
    amount: int
    code: str


class Reversal(NamedTuple):
    """Part or all of a transfer to be moved back; `id` becomes the new transfer's id."""

    id: str
    target: str
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
class Reverse:
    """Move back what legs of the journal or capture `target` moved: all legs, in this order, or none."""

    operation: ClassVar[str] = "reverse"

    id: str
    reference: str
    target: str
    legs: tuple[Reversal, ...]
    effective_at: datetime
    context: Context
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """A request that says something no books can hold; it is refused and remembered like any other.

    One whose id is not its sender's to use is refused without being `remembered`, each time it comes.
    """

    operation: str
    id: str
    reference: str
    code: str
    detail: str
    effective_at: datetime
    context: Context
    request_hash: bytes
    remembered: bool = True


@dataclass(frozen=True, slots=True)
class Open:
    """Open an account that no money needs yet; it is its own idempotency id.

    `unreadable`: why its balance limit or currency cannot be.
    """

    account: Account
    unreadable: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ChangeAccount:
    """Freeze, unfreeze or close an account: flags to set, None where one stays as it is."""

    operation: str
    id: str
    account: str
    frozen_in: bool | None
    frozen_out: bool | None
    closed: bool | None
    context: Context
    request_hash: bytes

    @property
    def reference(self) -> str:
        """What the change is about."""
        return self.account


Movement = PostLegs | Place | Capture | Release | Expire | Reverse | Malformed
Request = Movement | ChangeAccount
Command = Request | Open
