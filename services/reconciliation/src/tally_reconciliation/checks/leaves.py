"""The bytes of the log's leaves: records of fields joined by U+001F and ended by U+001E."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from tally_postgres import Record


@dataclass(slots=True)
class Leaf:
    """A journal with its transfers, or an account change (`kind`), as it is now."""

    id: str
    first_transfer: int
    last_transfer: int
    data: bytes
    kind: str = "journal"

    @property
    def hash(self) -> bytes:
        """Of the leaf, by RFC 6962."""
        return hashlib.sha256(b"\x00" + self.data).digest()


def journal_record(row: Record) -> bytes:
    """The first record of a journal's leaf; nothing if its row is missing."""
    if row["j_id"] is None:
        return b""
    return record(
        "J",
        row["j_id"],
        row["operation"],
        row["reference"],
        row["request_hash"].hex(),
        row["effective_at"],
        row["recorded_at"],
        row["who_actor"],
        row["who_principal"],
        row["where_channel"],
        row["where_country"],
        row["why_program"],
        row["why_event"],
        row["why_reason"],
    )


def change_record(row: Record) -> bytes:
    """The record of an account change's leaf."""
    flags = (str(row[name]).lower() for name in ("frozen_in", "frozen_out", "closed"))
    return record(
        "A",
        row["seq"],
        row["id"],
        row["account"],
        row["operation"],
        *flags,
        row["request_hash"].hex(),
        row["recorded_at"],
        row["who_actor"],
        row["who_principal"],
        row["why_program"],
        row["why_event"],
        row["why_reason"],
    )


def transfer_record(row: Record) -> bytes:
    """A record of a journal's leaf."""
    return record(
        "T",
        row["seq"],
        row["id"],
        row["kind"],
        row["pending_id"],
        row["debit"],
        row["credit"],
        row["asset"],
        row["amount"],
        row["code"],
        row["remaining"],
        row["expires_at"],
    )


def record(*fields: str | int | datetime | None) -> bytes:
    """Fields as a record."""
    return ("\x1f".join(map(_field, fields)) + "\x1e").encode()


def _field(value: str | int | datetime | None) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    return str(value)
