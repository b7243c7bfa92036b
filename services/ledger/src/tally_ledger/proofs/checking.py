"""Whether a proof holds: a pure function of the document and the public keys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Never

from pydantic import Field, TypeAdapter, ValidationError

from tally_ledger import canonical
from tally_ledger.merkle import leaf_hash, root_by_path
from tally_ledger.proofs.document import (
    CHANGE_FIELDS,
    JOURNAL_FIELDS,
    TRANSFER_FIELDS,
    Batch,
    ChangeLeaf,
    ChangeProof,
    LaterBatch,
    Leaf,
    Proof,
    SignedRoot,
)
from tally_ledger.proofs.errors import ProofRefused
from tally_ledger.proofs.signing import PublicKey

_ANY: TypeAdapter[Proof | ChangeProof] = TypeAdapter(
    Annotated[Proof | ChangeProof, Field(discriminator="format")]
)
_NOT_TRUE = "the document was changed or made up: ask for a new one"


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof says: of a journal or of an account change.

    Without `day` it holds only if `head` is the head of the books.
    """

    shard: str
    log_seq: int
    journal: Mapping[str, str] | None
    transfers: Sequence[Mapping[str, str]]
    change: Mapping[str, str] | None
    day: str | None
    key_id: str | None
    head: str
    head_seq: int


def check_proof(document: str | bytes, keys: Iterable[PublicKey]) -> Proven:
    """Check a proof, a JSON text, by the public keys one trusts.

    Raises `ProofRefused`, naming the field, for a document that proves nothing.
    """
    try:
        proof = _ANY.validate_json(document)
    except ValidationError as error:
        first = error.errors()[0]
        # Behind the kind of proof, which is the document's own `format`.
        where = ".".join(map(str, first["loc"][1:])) or "document"
        _refuse(where, first["msg"], "give a file made by `tally ledger prove`")
    if isinstance(proof, Proof):
        _check_leaf(proof.leaf, proof.batch)
    else:
        _check_change(proof.leaf)
    _check_batch(proof.leaf, proof.batch)
    head, head_seq = proof.batch.root, proof.batch.log_seq
    if proof.day is not None:
        if proof.later:
            _refuse("later", "a signed day needs no later batches", _NOT_TRUE)
        _check_day(proof.batch, proof.day, {key.id: key for key in keys})
    else:
        for number, later in enumerate(proof.later):
            head, head_seq = (
                _follow(proof.batch.shard, head, head_seq, later, number),
                later.log_seq,
            )
    return Proven(
        shard=proof.batch.shard,
        log_seq=proof.batch.log_seq,
        journal=proof.leaf.journal if isinstance(proof, Proof) else None,
        transfers=proof.leaf.transfers if isinstance(proof, Proof) else (),
        change=proof.leaf.change if isinstance(proof, ChangeProof) else None,
        day=None if proof.day is None else proof.day.day,
        key_id=None if proof.day is None else proof.day.key_id,
        head=head,
        head_seq=head_seq,
    )


def readable(data: bytes) -> tuple[dict[str, str], tuple[dict[str, str], ...]]:
    """What the bytes of a leaf say, by the names of their fields.

    Raises `ValueError` if they are no journal.
    """
    text = data.decode()
    if not text.endswith(canonical.RECORD):
        raise ValueError("a record has no end")
    first, *rest = (part.split(canonical.FIELD) for part in text[:-1].split(canonical.RECORD))
    journal = _named("J", JOURNAL_FIELDS, first)
    transfers = tuple(_named("T", TRANSFER_FIELDS, fields) for fields in rest)
    if not transfers:
        raise ValueError("no transfers")
    return journal, transfers


def readable_change(data: bytes) -> dict[str, str]:
    """What the bytes of an account change's leaf say, by the names of their fields.

    Raises `ValueError` if they are none.
    """
    text = data.decode()
    if text.count(canonical.RECORD) != 1 or not text.endswith(canonical.RECORD):
        raise ValueError("not one record")
    return _named("A", CHANGE_FIELDS, text[:-1].split(canonical.FIELD))


def _named(kind: str, names: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    if fields[0] != kind:
        raise ValueError(f"a record of kind {fields[0]!r}")
    return dict(zip(names, fields[1:], strict=True))


def _check_leaf(leaf: Leaf, batch: Batch) -> None:
    try:
        journal, transfers = readable(bytes.fromhex(leaf.data))
    except ValueError as error:
        _refuse("leaf.data", f"these are no journal's bytes ({error})", _NOT_TRUE)
    if leaf.journal != journal:
        _refuse("leaf.journal", "it does not say what the bytes say", _NOT_TRUE)
    if leaf.transfers != transfers:
        _refuse("leaf.transfers", "they do not say what the bytes say", _NOT_TRUE)
    span = range(batch.first_transfer, batch.last_transfer + 1)
    if any(not (seq := one["seq"]).isdecimal() or int(seq) not in span for one in transfers):
        _refuse("leaf.transfers", "they are not of this batch", _NOT_TRUE)


def _check_change(leaf: ChangeLeaf) -> None:
    try:
        change = readable_change(bytes.fromhex(leaf.data))
    except ValueError as error:
        _refuse("leaf.data", f"these are no account change's bytes ({error})", _NOT_TRUE)
    if leaf.change != change:
        _refuse("leaf.change", "it does not say what the bytes say", _NOT_TRUE)


def _check_batch(leaf: Leaf | ChangeLeaf, batch: Batch) -> None:
    tree = root_by_path(
        leaf_hash(bytes.fromhex(leaf.data)),
        batch.index,
        batch.leaves,
        [bytes.fromhex(step) for step in batch.path],
    )
    if tree is None:
        _refuse("batch.path", "it has not the length its place asks for", _NOT_TRUE)
    root = _chained(batch.shard, batch.previous_root, batch, tree)
    if root != batch.root:
        _refuse("batch.root", "the leaf does not lead there", _NOT_TRUE)


def _check_day(batch: Batch, day: SignedRoot, keys: Mapping[str, PublicKey]) -> None:
    if not day.first_log <= batch.log_seq <= day.last_log:
        _refuse("day.first_log", "the batch is not of this day", _NOT_TRUE)
    root = root_by_path(
        leaf_hash(bytes.fromhex(batch.root)),
        batch.log_seq - day.first_log,
        day.last_log - day.first_log + 1,
        [bytes.fromhex(step) for step in day.path],
    )
    if root is None or root.hex() != day.root:
        _refuse("day.root", "the batch does not lead there", _NOT_TRUE)
    record = canonical.record(
        "D",
        "1",
        batch.shard,
        day.day,
        str(day.first_log),
        str(day.last_log),
        day.root,
        day.head,
        day.previous,
        day.signed_at,
        day.key_id,
    )
    key = keys.get(day.key_id)
    if key is None:
        given = ", ".join(keys) or "none"
        _refuse(
            "day.key_id",
            f"signed with key {day.key_id}, given were {given}",
            "give the public key of that id, from the operator and not from the document",
        )
    if not key.verifies(bytes.fromhex(day.signature), record):
        _refuse("day.signature", f"key {day.key_id} did not sign this", _NOT_TRUE)


def _follow(shard: str, head: str, head_seq: int, later: LaterBatch, number: int) -> str:
    """The head behind one more batch."""
    if later.log_seq != head_seq + 1:
        _refuse(f"later.{number}.log_seq", "a batch is missing before it", _NOT_TRUE)
    if _chained(shard, head, later, bytes.fromhex(later.tree)) != later.root:
        _refuse(f"later.{number}.root", "the batch before does not lead there", _NOT_TRUE)
    return later.root


def _chained(shard: str, previous: str, batch: Batch | LaterBatch, tree: bytes) -> str:
    header = canonical.record(
        "L",
        str(canonical.FORM),
        shard,
        str(batch.log_seq),
        str(batch.first_transfer),
        str(batch.last_transfer),
        str(batch.leaves),
        batch.recorded_at,
    )
    return canonical.chained(bytes.fromhex(previous), header, tree).hex()


def _refuse(field: str, message: str, remedy: str) -> Never:
    raise ProofRefused(message, field=field, remedy=remedy)
