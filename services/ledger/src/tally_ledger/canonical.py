"""The bytes of the books, and the root that chains each batch to the one before.

Source of truth for whoever recomputes the chain; everything needed is in the tables.

A *record* is a list of fields joined by U+001F and ended by U+001E, in UTF-8. No field can contain
either character: free text in the platform has no control characters.

Fields are written so: text as it is; integers in decimal, no sign, no leading zeros; times in UTC as
`YYYY-MM-DDTHH:MM:SS.ffffffZ`, always six decimals; bytes as lower-case hex; NULL as nothing.

The stream of a batch (a row of `log`) is, in this order:

1. one record  `L`, shard, log.seq, log.first_transfer, log.last_transfer
2. for each journal with `journal.log_seq = log.seq`, ordered by first_transfer:
   a. one record  `J`, id, operation, reference, request_hash, effective_at, recorded_at,
      who_actor, who_principal, where_channel, where_country, why_program, why_event, why_reason
   b. for each of its transfers, ordered by seq, one record  `T`, seq, id, kind, pending_id,
      debit, credit, asset, amount, code, remaining, expires_at

root = SHA-256(previous_root ‖ stream), 32 bytes. The previous root of log 1 is 32 zero bytes; of
log n it is the root of log n-1. `shard_state.head` is the last root.

What the stream leaves out follows from it and is to be compared: transfer.log_seq and
journal.first_transfer / last_transfer with the log row's range, entries and counters with the
transfers replayed.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from tally_ledger.domain import Movement, Posted

FIELD = "\x1f"
RECORD = "\x1e"


def root_of_batch(
    previous_root: bytes,
    shard: str,
    log_seq: int,
    *,
    first_transfer: int,
    posted: Iterable[tuple[Movement, Posted]],
    recorded_at: datetime,
) -> bytes:
    """The root of a batch about to be written; its transfers are numbered from `first_transfer`."""
    records: list[str] = []
    recorded = _time(recorded_at)
    seq = first_transfer
    for command, decision in posted:
        actor, principal, channel, country, program, event, reason = command.context
        records.append(
            f"J{FIELD}{command.id}{FIELD}{command.operation}{FIELD}{command.reference}{FIELD}"
            f"{command.request_hash.hex()}{FIELD}{_time(command.effective_at)}{FIELD}{recorded}"
            f"{FIELD}{actor}{FIELD}{principal}{FIELD}{channel}{FIELD}{country or ''}{FIELD}"
            f"{program}{FIELD}{event}{FIELD}{reason}{RECORD}"
        )
        for transfer in decision.transfers:
            id_, kind, pending_id, debit, credit, asset, amount, code, left, expires_at = transfer
            records.append(
                f"T{FIELD}{seq}{FIELD}{id_}{FIELD}{kind}{FIELD}{pending_id or ''}{FIELD}{debit}"
                f"{FIELD}{credit}{FIELD}{asset}{FIELD}{amount}{FIELD}{code}{FIELD}"
                f"{'' if left is None else left}{FIELD}"
                f"{'' if expires_at is None else _time(expires_at)}{RECORD}"
            )
            seq += 1
    header = FIELD.join(("L", shard, str(log_seq), str(first_transfer), str(seq - 1)))
    stream = f"{header}{RECORD}{''.join(records)}"
    return hashlib.sha256(previous_root + stream.encode()).digest()


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"
