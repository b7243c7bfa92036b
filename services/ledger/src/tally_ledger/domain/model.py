"""What the books are made of. Amounts are int minor units, always of the account's currency."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class TransferKind(StrEnum):
    """What a transfer does to posted and pending: see `legs`."""

    SINGLE = "single"
    PENDING = "pending"
    POST = "post"
    VOID = "void"
    EXPIRE = "expire"
    REVERSE = "reverse"


class HoldState(StrEnum):
    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class Account(NamedTuple):
    """An account without its balance.

    A `guarded` one is never debited below zero (no debit overdraft), a `no_credit_overdraft` one
    never credited above it, and none to more than `max_balance` minor units; holds are counted.
    `aggregated`: one entry per batch. `opened_at` is set by the books, not by whoever asks.
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
    no_credit_overdraft: bool = False
    aggregated: bool = False
    max_balance: int | None = None

    def same_as(self, other: "Account") -> bool:
        """Whether both were asked for alike: freezing, closing and the time are left out."""
        return self[:6] == other[:6] and self[10:] == other[10:]


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
    """One movement. `remaining` is what its hold still reserves after it (kinds of holds only).

    `pending_id` is the transfer it follows on: the hold it resolves, or the transfer it reverses.
    """

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


class BatchEntry(NamedTuple):
    """All that a batch moved on an aggregated account: as `Entry`, for the log row `log_seq`.

    Its parts are the transfers of that log row. The changes may come to zero.
    """

    account: str
    seq: int
    log_seq: int
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
