"""The log: gap-free, every root recomputed from the rows, journals whole.

The bytes are those the ledger's canonical encoding documents: records of fields joined by U+001F and
ended by U+001E. Form 2: root = SHA-256(previous root + header + root of the leaves' RFC 6962 tree), a
leaf per journal; form 1: root = SHA-256(previous root + header + records of the batch). This is an
implementation of its own.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tally_postgres import Record
from tally_reconciliation.findings import Findings
from tally_reconciliation.merkle import tree_root
from tally_reconciliation.report import Check
from tally_reconciliation.snapshot import Snapshot

_ZERO = bytes(32)

_FORMS = (_WHOLE, _TREE) = (1, 2)
_HASH = 32

_SHARDS = """
SELECT shard, log_seq, transfer_seq, head, recorded_at FROM ledger.shard_state ORDER BY shard
"""

_LOG = """
SELECT seq, first_transfer, last_transfer, root, previous_root, recorded_at, form, leaves
FROM ledger.log WHERE shard = $1 ORDER BY seq
"""

_TRANSFERS = """
SELECT t.seq, t.log_seq, t.id, t.journal_id, t.kind, t.pending_id, t.debit, t.credit, t.asset,
       t.amount, t.code, t.remaining, t.expires_at,
       j.id AS j_id, j.shard AS j_shard, j.log_seq AS j_log_seq, j.first_transfer, j.last_transfer,
       j.operation, j.reference, j.request_hash, j.effective_at, j.recorded_at, j.who_actor,
       j.who_principal, j.where_channel, j.where_country, j.why_program, j.why_event, j.why_reason
FROM ledger.transfer t LEFT JOIN ledger.journal j ON j.id = t.journal_id
WHERE t.shard = $1 ORDER BY t.seq
"""

_STRAY_JOURNALS = """
SELECT j.id, j.shard, j.log_seq, j.first_transfer, j.last_transfer
FROM ledger.journal j
LEFT JOIN ledger.transfer t
    ON t.shard = j.shard AND t.seq = j.first_transfer AND t.journal_id = j.id
WHERE t.seq IS NULL ORDER BY j.id
"""

_STRAY_SHARDS = """
SELECT DISTINCT s.shard FROM (
    SELECT shard FROM ledger.log UNION SELECT shard FROM ledger.transfer
    UNION SELECT shard FROM ledger.journal
) s LEFT JOIN ledger.shard_state h USING (shard) WHERE h.shard IS NULL
"""


@dataclass(slots=True)
class _Leaf:
    """A journal with its transfers, as it is now."""

    journal: str
    first_transfer: int
    last_transfer: int
    data: bytes

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(b"\x00" + self.data).digest()


@dataclass(slots=True)
class _Walk:
    """A shard's transfers, taken in order; `row` is the next one."""

    shard: str
    journals: Findings
    log: Findings
    rows: AsyncIterator[Record]
    row: Record | None = None
    seq: int = 0
    journal: str | None = None
    journal_first: int = 0
    journal_last: int = 0
    journal_transfers: int = 0
    journal_count: int = 0

    async def advance(self) -> None:
        self.row = await anext(self.rows, None)

    async def batch(self, entry: Record) -> "list[_Leaf]":
        """The leaves of one log row, from the transfers it names."""
        leaves: list[_Leaf] = []
        # A journal never spans two batches.
        self._end_journal()
        while self.row is not None and self.row["seq"] <= entry["last_transfer"]:
            row = self.row
            begins = row["journal_id"] != self.journal
            if begins:
                self._end_journal()
            self._transfer(row, entry["seq"])
            if begins:
                self._begin_journal(row)
                leaves.append(
                    _Leaf(row["journal_id"], row["seq"], row["seq"], _journal_record(row))
                )
            leaves[-1].last_transfer = row["seq"]
            leaves[-1].data += _transfer_record(row)
            await self.advance()
        self._end_journal()
        return leaves

    def _transfer(self, row: Record, log_seq: int) -> None:
        if row["seq"] != self.seq + 1:
            self.log.wrong(
                "transfer_gap", shard=self.shard, seq=row["seq"], expected_seq=self.seq + 1
            )
        self.seq = row["seq"]
        self.journal_transfers += 1
        if row["log_seq"] != log_seq:
            self.journals.wrong(
                "transfer_in_another_batch",
                transfer=row["id"],
                seq=row["seq"],
                stated=row["log_seq"],
                log_seq=log_seq,
            )

    def _begin_journal(self, row: Record) -> None:
        self.journal, self.journal_count = row["journal_id"], self.journal_count + 1
        where = {"journal": row["journal_id"], "transfer": row["id"], "seq": row["seq"]}
        if row["j_id"] is None:
            self.journals.wrong("journal_missing", **where)
            self.journal = None
            return
        self.journal_first, self.journal_last = row["first_transfer"], row["last_transfer"]
        stated = (row["j_shard"], row["j_log_seq"], row["first_transfer"])
        if stated != (self.shard, row["log_seq"], row["seq"]):
            self.journals.wrong(
                "journal_differs_from_transfers",
                **where,
                stated="/".join(map(str, stated)),
                found=f"{self.shard}/{row['log_seq']}/{row['seq']}",
            )

    def _end_journal(self) -> None:
        span = self.journal_last - self.journal_first + 1
        if self.journal is not None and self.journal_transfers != span:
            self.journals.wrong(
                "journal_in_part",
                journal=self.journal,
                first_transfer=self.journal_first,
                last_transfer=self.journal_last,
                found=self.journal_transfers,
            )
        self.journal, self.journal_transfers = None, 0


async def check_chain(snap: Snapshot) -> list[Check]:
    """Invariants 9 and 11: journals are all or nothing, the log's roots recompute."""
    journals = Findings("L9", "journals are whole: their transfers follow one another")
    log = Findings("L11", "the log is gap-free and every root recomputes")
    batches = counted = transfers = 0
    for shard in await snap.all(_SHARDS):
        walk = _Walk(shard["shard"], journals, log, aiter(snap.rows(_TRANSFERS, shard["shard"])))
        await walk.advance()
        batches += await _shard(snap, walk, shard)
        counted += walk.journal_count
        transfers += walk.seq
    for row in await snap.all(_STRAY_SHARDS):
        log.wrong("shard_unknown", shard=row["shard"])
    stated = await snap.value("SELECT count(*) FROM ledger.journal")
    if stated != counted:
        async for row in snap.rows(_STRAY_JOURNALS):
            journals.wrong("journal_without_transfers", journal=row["id"], log_seq=row["log_seq"])
        if not journals.count:
            journals.wrong("journal_count", stated=stated, found=counted)
    journals.figures.update(journals=counted, transfers=transfers)
    log.figures.update(batches=batches, transfers=transfers)
    return [
        journals.judged(f"{counted} journals of {transfers} transfers"),
        log.judged(f"{batches} batches, {transfers} transfers"),
    ]


async def _shard(snap: Snapshot, walk: _Walk, head: Record) -> int:
    """Recompute a shard's chain; how many batches it has."""
    log, shard = walk.log, walk.shard
    root, seq, recorded = _ZERO, 0, None
    remade = root
    async for entry in snap.rows(_LOG, shard):
        where = {"shard": shard, "log_seq": entry["seq"]}
        if entry["seq"] != seq + 1:
            log.wrong("log_gap", **where, expected_seq=seq + 1)
        seq = entry["seq"]
        # A row before that was spoilt is named there, and not once more here.
        previous = entry["previous_root"]
        if previous not in {root, remade}:
            log.wrong("previous_root_differs", **where)
            previous = root
        if entry["first_transfer"] != walk.seq + 1:
            log.wrong("batch_not_next", **where, first_transfer=entry["first_transfer"])
        remade = _judge(log, entry, previous, await walk.batch(entry), shard)
        if walk.seq != entry["last_transfer"]:
            log.wrong("batch_in_part", **where, last_transfer=entry["last_transfer"])
        if recorded is not None and entry["form"] != _WHOLE and entry["recorded_at"] < recorded:
            log.wrong("recorded_before_the_last", **where)
        root, recorded = entry["root"], entry["recorded_at"]
    while walk.row is not None:
        log.wrong("transfer_not_in_log", shard=shard, seq=walk.row["seq"], transfer=walk.row["id"])
        await walk.advance()
    if (head["log_seq"], head["transfer_seq"]) != (seq, walk.seq) or head["head"] not in {
        root,
        remade,
    }:
        log.wrong(
            "head_differs",
            shard=shard,
            stated=f"{head['log_seq']}/{head['transfer_seq']}",
            found=f"{seq}/{walk.seq}",
        )
    if recorded is not None and (head["recorded_at"] is None or head["recorded_at"] < recorded):
        log.wrong("head_before_the_last", shard=shard, log_seq=seq)
    return seq


def _judge(
    log: Findings, entry: Record, previous: bytes, leaves: Sequence[_Leaf], shard: str
) -> bytes:
    """Compare a log row with what it stands for; returns the root it should have.

    Its root and its leaves' hashes bear witness to each other: where both agree, the journal that
    differs is at fault, otherwise the row itself.
    """
    where = {"shard": shard, "log_seq": entry["seq"]}
    if entry["form"] not in _FORMS:
        log.wrong("form_unknown", **where, form=entry["form"])
        return bytes(entry["root"])
    found = [leaf.hash for leaf in leaves]
    remade = _root(entry, previous, shard, found, leaves)
    if entry["form"] == _WHOLE:
        if remade != entry["root"]:
            span = {name: entry[name] for name in ("first_transfer", "last_transfer")}
            log.wrong("root_differs", **where, **span)
        return remade
    kept = entry["leaves"] or b""
    stated = [kept[start : start + _HASH] for start in range(0, len(kept), _HASH)]
    if remade == entry["root"]:
        if stated != found:
            log.wrong("leaves_differ", **where)
        return remade
    by_stated = _root(entry, previous, shard, stated, ())
    if by_stated != entry["root"] and stated == found:
        log.wrong(
            "root_differs",
            **where,
            first_transfer=entry["first_transfer"],
            last_transfer=entry["last_transfer"],
        )
        return remade
    if by_stated != entry["root"]:
        log.wrong("log_row_differs", **where)
    known = set(stated)
    strange = [leaf for leaf in leaves if leaf.hash not in known]
    for leaf in strange:
        log.wrong(
            "leaf_differs",
            journal=leaf.journal,
            **where,
            first_transfer=leaf.first_transfer,
            last_transfer=leaf.last_transfer,
        )
    if not strange:
        log.wrong("leaves_missing", **where, stated=len(stated), found=len(found))
    return by_stated


def _root(
    entry: Record,
    previous: bytes,
    shard: str,
    hashes: Sequence[bytes],
    leaves: Sequence[_Leaf],
) -> bytes:
    span = (entry["first_transfer"], entry["last_transfer"])
    if entry["form"] == _WHOLE:
        whole = b"".join(leaf.data for leaf in leaves)
        return hashlib.sha256(previous + _record("L", shard, entry["seq"], *span) + whole).digest()
    header = _record("L", _TREE, shard, entry["seq"], *span, len(hashes), entry["recorded_at"])
    return hashlib.sha256(previous + header + tree_root(hashes)).digest()


def _journal_record(row: Record) -> bytes:
    if row["j_id"] is None:
        return b""
    return _record(
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


def _transfer_record(row: Record) -> bytes:
    return _record(
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


def _record(*fields: str | int | datetime | None) -> bytes:
    return ("\x1f".join(map(_field, fields)) + "\x1e").encode()


def _field(value: str | int | datetime | None) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
    return str(value)
