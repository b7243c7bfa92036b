"""Makes a proof from the tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from tally_ledger import canonical, merkle
from tally_ledger.proofs import (
    ChangeProof,
    ChangeWithoutProof,
    FormWithoutProof,
    Proof,
    ProofError,
    TransferUnknown,
)
from tally_ledger.proofs.checking import readable, readable_change
from tally_ledger.proofs.document import (
    CHANGE_FIELDS,
    CHANGE_FORMAT,
    FORMAT,
    JOURNAL_FIELDS,
    LATER_MAX,
    Batch,
    ChangeLeaf,
    LaterBatch,
    Leaf,
    SignedRoot,
)
from tally_ledger.store import roots
from tally_postgres import Connection, Record


class BooksDiffer(ProofError):  # noqa: N818 - named for what it says
    """The rows are not those that were hashed: nothing can be proven by them."""

    code = "books_differ"


async def make_proof(conn: Connection, id_: str) -> Proof | ChangeProof:
    """Prove that the journal of an id, its own or a transfer's, or an account change is in the books.

    To be called in one snapshot. Raises `ProofError`.
    """
    found = await roots.journal(conn, id_)
    if found is not None:
        journal, transfers = found
        data = leaf_bytes(journal, transfers)
        way = await _way(conn, journal, data, f"journal {journal['id']}")
        said, moved = readable(data)
        leaf = Leaf(data=data.hex(), journal=said, transfers=moved)
        return Proof(format=FORMAT, leaf=leaf, **way)
    change = await roots.change(conn, id_)
    if change is None:
        raise TransferUnknown(id_)
    if change["log_seq"] is None:
        raise ChangeWithoutProof(id_)
    data = canonical.record("A", *map(_field, (change[name] for name in CHANGE_FIELDS)))
    way = await _way(conn, change, data, f"account change {change['id']}")
    return ChangeProof(
        format=CHANGE_FORMAT,
        leaf=ChangeLeaf(data=data.hex(), change=readable_change(data)),
        **way,
    )


class _Way(TypedDict):
    """How a leaf leads to a signed day or to the head."""

    batch: Batch
    day: SignedRoot | None
    later: tuple[LaterBatch, ...]


async def _way(conn: Connection, row: Record, data: bytes, what: str) -> _Way:
    """From the bytes of a row's leaf to a signed day or the head; `what` names it in an error."""
    shard, log_seq = row["shard"], row["log_seq"]
    rows = await roots.batches(conn, shard, log_seq, 1)
    if not rows:
        raise _differ(shard, log_seq, "the batch is not in the log")
    entry = rows[0]
    if entry["form"] != canonical.FORM:
        raise FormWithoutProof(shard, log_seq)
    hashes = _hashes(entry)
    if merkle.leaf_hash(data) not in hashes:
        raise _differ(shard, log_seq, f"{what} is not as it was recorded")
    index = hashes.index(merkle.leaf_hash(data))
    day = await _day(conn, shard, log_seq)
    batch = Batch(
        shard=shard,
        log_seq=log_seq,
        first_transfer=entry["first_transfer"],
        last_transfer=entry["last_transfer"],
        leaves=len(hashes),
        recorded_at=canonical.time_text(entry["recorded_at"]),
        previous_root=entry["previous_root"].hex(),
        index=index,
        path=tuple(step.hex() for step in merkle.inclusion_path(hashes, index)),
        root=entry["root"].hex(),
    )
    return _Way(batch=batch, day=day, later=() if day else await _later(conn, shard, log_seq))


def leaf_bytes(journal: Record, transfers: Sequence[Record]) -> bytes:
    """The bytes of a journal's leaf, from its rows."""
    said = [journal[name] for name in JOURNAL_FIELDS]
    return canonical.record("J", *map(_field, said)) + b"".join(
        canonical.record("T", *map(_field, tuple(transfer))) for transfer in transfers
    )


def _field(value: str | int | bytes | datetime | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return canonical.time_text(value)
    return str(value)


def _hashes(entry: Record) -> list[bytes]:
    kept: bytes = entry["leaves"]
    step = merkle.HASH_BYTES
    return [kept[start : start + step] for start in range(0, len(kept), step)]


async def _day(conn: Connection, shard: str, log_seq: int) -> SignedRoot | None:
    signed = await roots.day_of_batch(conn, shard, log_seq)
    if signed is None:
        return None
    day = signed.of
    leaves = [
        merkle.leaf_hash(root)
        async for page in roots.roots(conn, shard, day.first_log, day.last_log)
        for root in page
    ]
    path = merkle.inclusion_path(leaves, log_seq - day.first_log)
    return SignedRoot(
        day=day.day.isoformat(),
        first_log=day.first_log,
        last_log=day.last_log,
        path=tuple(step.hex() for step in path),
        root=day.root.hex(),
        head=day.head.hex(),
        previous=day.previous.hex(),
        signed_at=canonical.time_text(day.signed_at),
        key_id=day.key_id,
        signature=signed.signature.hex(),
    )


async def _later(conn: Connection, shard: str, log_seq: int) -> tuple[LaterBatch, ...]:
    later: list[LaterBatch] = []
    for entry in await roots.batches(conn, shard, log_seq + 1, LATER_MAX):
        if entry["form"] != canonical.FORM:
            break
        hashes = _hashes(entry)
        later.append(
            LaterBatch(
                log_seq=entry["seq"],
                first_transfer=entry["first_transfer"],
                last_transfer=entry["last_transfer"],
                leaves=len(hashes),
                recorded_at=canonical.time_text(entry["recorded_at"]),
                tree=merkle.tree_root(hashes).hex(),
                root=entry["root"].hex(),
            )
        )
    return tuple(later)


def _differ(shard: str, log_seq: int, what: str) -> BooksDiffer:
    return BooksDiffer(
        f"{what} (batch {log_seq} of {shard})",
        field="transfer",
        remedy="nothing is proven by these rows: find the one at fault with `tally verify`",
    )
