"""The bytes of the books: what a batch is hashed to, and how it is chained to the one before.

Source of truth for whoever recomputes the chain; everything needed is in the tables.

A *record* is a list of fields joined by U+001F and ended by U+001E, in UTF-8. No field can contain
either character: free text in the platform has no control characters. A record's first field is a
letter that says its kind.

Fields are written so: text as it is; integers in decimal, no sign, no leading zeros; times in UTC as
`YYYY-MM-DDTHH:MM:SS.ffffffZ`, always six decimals; bytes as lower-case hex; yes and no as `true` and
`false`; NULL as nothing.

A *leaf* is what is booked or left as one thing; its kind is the letter of its first record. The
leaves of a batch (a row of `log`, form 2) are, in this order:

1. for each journal with `journal.log_seq = log.seq`, ordered by first_transfer, one leaf of
   a. one record  `J`, id, operation, reference, request_hash, effective_at, recorded_at,
      who_actor, who_principal, where_channel, where_country, why_program, why_event, why_reason
   b. for each of its transfers, ordered by seq, one record  `T`, seq, id, kind, pending_id,
      debit, credit, asset, amount, code, remaining, expires_at
2. for each account change with `account_change.log_seq = log.seq`, ordered by seq, one leaf of
   one record  `A`, seq, id, account, operation, frozen_in, frozen_out, closed, request_hash,
   recorded_at, who_actor, who_principal, why_program, why_event, why_reason
3. leaves of other kinds, none so far

`account_change.seq` counts a shard's changes from 1 without gaps. Changes without one were made before
they were leaves; no later one is.

header = one record  `L`, 2, shard, log.seq, first_transfer, last_transfer, how many leaves, recorded_at
root   = SHA-256(previous_root ‖ header ‖ root of the leaves' tree by `merkle`), 32 bytes

The previous root of log 1 is 32 zero bytes; of log n it is the root of log n-1. `shard_state.head`
is the last root. `log.leaves` keeps the leaves' hashes one behind the other, so that a changed row is
told from its neighbours and a proof needs no other row.

Form 1 (books of before the trees; `log.leaves` is empty): the header is `L`, shard, seq,
first_transfer, last_transfer, and root = SHA-256(previous_root ‖ header ‖ the leaves in a row).

What the leaves leave out follows from them and is to be compared: transfer.log_seq and
journal.first_transfer / last_transfer with the log row's range, entries and counters with the
transfers replayed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tally_ledger.domain import ChangeAccount, Changed, Movement, Posted
from tally_ledger.merkle import leaf_hash, tree_root

FORM = 2
FIELD = "\x1f"
RECORD = "\x1e"


class Seal(NamedTuple):
    """A batch's root, and the hashes of its leaves one behind the other."""

    root: bytes
    leaves: bytes


def journal_leaves(
    posted: Iterable[tuple[Movement, Posted]], *, first_transfer: int, recorded_at: datetime
) -> list[bytes]:
    """A leaf per journal about to be written; transfers are numbered from `first_transfer`."""
    leaves: list[bytes] = []
    recorded = time_text(recorded_at)
    seq = first_transfer
    for command, decision in posted:
        actor, principal, channel, country, program, event, reason = command.context
        leaf = (
            f"J{FIELD}{command.id}{FIELD}{command.operation}{FIELD}{command.reference}{FIELD}"
            f"{command.request_hash.hex()}{FIELD}{time_text(command.effective_at)}{FIELD}{recorded}"
            f"{FIELD}{actor}{FIELD}{principal}{FIELD}{channel}{FIELD}{country or ''}{FIELD}"
            f"{program}{FIELD}{event}{FIELD}{reason}{RECORD}"
        )
        for transfer in decision.transfers:
            id_, kind, pending_id, debit, credit, asset, amount, code, left, expires_at = transfer
            leaf += (
                f"T{FIELD}{seq}{FIELD}{id_}{FIELD}{kind}{FIELD}{pending_id or ''}{FIELD}{debit}"
                f"{FIELD}{credit}{FIELD}{asset}{FIELD}{amount}{FIELD}{code}{FIELD}"
                f"{'' if left is None else left}{FIELD}"
                f"{'' if expires_at is None else time_text(expires_at)}{RECORD}"
            )
            seq += 1
        leaves.append(leaf.encode())
    return leaves


def change_leaves(
    changed: Iterable[tuple[ChangeAccount, Changed]], *, first: int, recorded_at: datetime
) -> list[bytes]:
    """A leaf per account change about to be written; changes are numbered from `first`."""
    recorded = time_text(recorded_at)
    return [
        record(
            "A",
            str(seq),
            command.id,
            change.account,
            command.operation,
            *(str(flag).lower() for flag in change[1:]),
            command.request_hash.hex(),
            recorded,
            command.context.actor,
            command.context.principal,
            command.context.program,
            command.context.event,
            command.context.reason,
        )
        for seq, (command, change) in enumerate(changed, first)
    ]


def batch_header(
    shard: str,
    log_seq: int,
    *,
    first_transfer: int,
    last_transfer: int,
    leaves: int,
    recorded_at: datetime,
) -> bytes:
    """The record that says which batch it is; a batch without transfers ends before it begins."""
    fields = (FORM, shard, log_seq, first_transfer, last_transfer, leaves, time_text(recorded_at))
    return record("L", *map(str, fields))


def chained(previous_root: bytes, header: bytes, tree: bytes) -> bytes:
    """A batch's root from the one before, its header and the root of its tree."""
    return hashlib.sha256(previous_root + header + tree).digest()


def seal(
    previous_root: bytes,
    shard: str,
    log_seq: int,
    *,
    first_transfer: int,
    last_transfer: int,
    leaves: Sequence[bytes],
    recorded_at: datetime,
) -> Seal:
    """Hash and chain a batch about to be written, by the bytes of its leaves."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    header = batch_header(
        shard,
        log_seq,
        first_transfer=first_transfer,
        last_transfer=last_transfer,
        leaves=len(hashes),
        recorded_at=recorded_at,
    )
    return Seal(chained(previous_root, header, tree_root(hashes)), b"".join(hashes))


def record(*fields: str) -> bytes:
    """Fields as a record."""
    return f"{FIELD.join(fields)}{RECORD}".encode()


def time_text(moment: datetime) -> str:
    """A moment as a field."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[:-6]}Z"
