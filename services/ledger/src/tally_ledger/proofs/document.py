"""A proof as a JSON document: everything needed to check it but the public key."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in lower-case hex."""

Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
Whole = Annotated[StrictInt, Field(ge=0, le=2**53 - 1)]
Path = Annotated[tuple[Hash, ...], Field(max_length=60)]

FORMAT: Literal["tallystick.ledger-proof.v1"] = "tallystick.ledger-proof.v1"
CHANGE_FORMAT: Literal["tallystick.ledger-change-proof.v1"] = "tallystick.ledger-change-proof.v1"
LATER_MAX = 10_000
"""Batches behind the proven one that a document of an open day lists at most."""

JOURNAL_FIELDS = (
    "id",
    "operation",
    "reference",
    "request_hash",
    "effective_at",
    "recorded_at",
    "who_actor",
    "who_principal",
    "where_channel",
    "where_country",
    "why_program",
    "why_event",
    "why_reason",
)
TRANSFER_FIELDS = (
    "seq",
    "id",
    "kind",
    "pending_id",
    "debit",
    "credit",
    "asset",
    "amount",
    "code",
    "remaining",
    "expires_at",
)


CHANGE_FIELDS = (
    "seq",
    "id",
    "account",
    "operation",
    "frozen_in",
    "frozen_out",
    "closed",
    "request_hash",
    "recorded_at",
    "who_actor",
    "who_principal",
    "why_program",
    "why_event",
    "why_reason",
)


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)


class Leaf(_Part):
    """A journal with its transfers: the bytes that are hashed, and what they say."""

    data: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$")]
    journal: dict[str, str]
    transfers: tuple[dict[str, str], ...]


class ChangeLeaf(_Part):
    """An account change: the bytes that are hashed, and what they say."""

    data: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$")]
    change: dict[str, str]


class Batch(_Part):
    """The header of the batch, and the way from the leaf to its root."""

    shard: Name
    log_seq: Whole
    first_transfer: Whole
    last_transfer: Whole
    leaves: Whole
    recorded_at: Moment
    previous_root: Hash
    index: Whole
    path: Path
    root: Hash


class SignedRoot(_Part):
    """The signed record of the day, and the way from the batch to its root."""

    day: Day
    first_log: Whole
    last_log: Whole
    path: Path
    root: Hash
    head: Hash
    previous: Hash
    signed_at: Moment
    key_id: KeyId
    signature: Signature


class LaterBatch(_Part):
    """A batch behind the proven one: its header, the root of its tree, its root in the chain."""

    log_seq: Whole
    first_transfer: Whole
    last_transfer: Whole
    leaves: Whole
    recorded_at: Moment
    tree: Hash
    root: Hash


class _Proof(_Part):
    """The way from a leaf to a signed day or to the head.

    `day` is there once its day is closed. Until then `later` leads from its batch to the last one
    there was: the head of the books, to be compared with one that was learnt from elsewhere.
    """

    batch: Batch
    day: SignedRoot | None
    later: Annotated[tuple[LaterBatch, ...], Field(max_length=LATER_MAX)]


class Proof(_Proof):
    """That a journal is in the books."""

    format: Literal["tallystick.ledger-proof.v1"]
    leaf: Leaf


class ChangeProof(_Proof):
    """That an account was frozen, unfrozen or closed, by whom and why."""

    format: Literal["tallystick.ledger-change-proof.v1"]
    leaf: ChangeLeaf


def day_of(root: SignedRoot) -> date | None:
    """The day as a date; None for one that no calendar has."""
    try:
        return date.fromisoformat(root.day)
    except ValueError:
        return None
