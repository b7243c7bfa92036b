"""What the ledger says of its log: roots that third parties keep."""

from typing import Annotated, ClassVar

from pydantic import StringConstraints

from tally_contracts.base import Count, Day, Event, Slug, UtcTime

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in lower-case hex."""


class RootSigned(Event):
    """A day of a ledger is closed: one signed hash for all that was recorded on it (UTC).

    `root` is over the batches `first_log` to `last_log` (none if last_log is first_log - 1), `head`
    the head of the log at the day's end, `previous` the hash of the day before's record. What is
    signed (Ed25519) is defined in docs/reference/ledger-proofs.md; `signed_by` is the public
    key's id: the first 16 hex digits of its SHA-256.
    """

    TYPE: ClassVar[str] = "ledger.root.signed.v1"

    ledger: Slug
    day: Day
    first_log: Count
    last_log: Count
    root: Hash
    head: Hash
    previous: Hash
    signed_at: UtcTime
    signed_by: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
