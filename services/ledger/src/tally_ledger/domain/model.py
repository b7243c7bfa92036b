"""What the books are made of. Amounts are int minor units, always of the account's currency."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class TransferKind(StrEnum):
    """What a transfer does to posted and pending: see `Draft`."""

    SINGLE = "single"
    PENDING = "pending"
    POST = "post"
    VOID = "void"
    EXPIRE = "expire"


class HoldState(StrEnum):
    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class Account(NamedTuple):
    """An account without its balance. A `guarded` one is never debited below zero, holds counted.

    `opened_at` is set by the books, not by whoever asks for the account.
    """

    id: str
    currency: str
    owner: str
    purpose: str
    path: str
    guarded: bool
    frozen_in: bool = False
    frozen_out: bool = False
    closed: bool = False
    opened_at: datetime | None = None


class Balance(NamedTuple):
    """The four counters of an account, and the number of its last entry."""

    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    seq: int

    @property
    def available(self) -> int:
        """What may still be debited from a guarded account."""
        return self.credits_posted - self.debits_posted - self.debits_pending


EMPTY = Balance(0, 0, 0, 0, 0)


class Transfer(NamedTuple):
    """One movement. `remaining` is what its hold still reserves after it (kinds but single)."""

    id: str
    kind: TransferKind
    pending_id: str | None
    debit: str
    credit: str
    currency: str
    amount: int
    code: str
    remaining: int | None = None
    expires_at: datetime | None = None


class Entry(NamedTuple):
    """One side of a transfer: signed changes of posted and pending, and both balances after it.

    A balance is credits minus debits.
    """

    account: str
    seq: int
    transfer_id: str
    amount: int
    pending: int
    posted_after: int
    pending_after: int


class Hold(NamedTuple):
    """A reservation as it stands; `remaining` is what is still reserved."""

    id: str
    debit: str
    credit: str
    currency: str
    amount: int
    remaining: int
    state: HoldState
    expires_at: datetime | None
