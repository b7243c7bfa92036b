"""The log: gap-free, every root recomputed from the rows, journals whole.

The bytes are those the ledger's canonical encoding documents: records of fields joined by U+001F and
ended by U+001E. Form 2: root = SHA-256(previous root + header + root of the leaves' RFC 6962 tree), a
leaf per journal and behind them one per account change; form 1: root = SHA-256(previous root + header + records of the batch). This is an
implementation of its own.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from tally_postgres import Record
from tally_reconciliation.checks.leaves import (
    Leaf,
    change_record,
    journal_record,
    record,
    transfer_record,
)
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

_CHANGES = """
SELECT seq, coalesce(log_seq, 0) AS log_seq, id, account, operation, frozen_in, frozen_out, closed, request_hash,
       recorded_at, who_actor, who_principal, why_program, why_event, why_reason
FROM ledger.account_change WHERE shard = $1 AND seq IS NOT NULL ORDER BY seq
"""

# Changes of before they were leaves have no number; since the first that has one, all have.
_UNNUMBERED = """
SELECT c.id, c.shard, c.account FROM ledger.account_change c
WHERE c.seq IS NULL AND c.recorded_at >= (
    SELECT min(n.recorded_at) FROM ledger.account_change n
    WHERE n.shard = c.shard AND n.seq IS NOT NULL)
ORDER BY c.id
"""

# No shard's walk would meet them, or that of another one would.
_CHANGES_ASTRAY = """
SELECT c.id, c.shard, c.account, coalesce(a.shard, '') AS account_shard
FROM ledger.account_change c LEFT JOIN ledger.account a ON a.id = c.account
WHERE a.shard IS DISTINCT FROM c.shard ORDER BY c.id
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
    UNION SELECT shard FROM ledger.journal UNION SELECT shard FROM ledger.account_change
) s LEFT JOIN ledger.shard_state h USING (shard) WHERE h.shard IS NULL
"""


@dataclass(slots=True)
class _Changes:
    """A shard's account changes, taken in order; `row` is the next one."""

    shard: str
    log: Findings
    rows: AsyncIterator[Record]
    row: Record | None = None
    seq: int = 0

    async def advance(self) -> None:
        self.row = await anext(self.rows, None)

    async def batch(self, entry: Record) -> list[Leaf]:
        """The leaves of one log row."""
        leaves: list[Leaf] = []
        while self.row is not None and self.row["log_seq"] <= entry["seq"]:
            row = self.row
            where = {"shard": self.shard, "seq": row["seq"], "change": row["id"]}
            if row["seq"] != self.seq + 1:
                self.log.wrong("change_gap", **where, expected_seq=self.seq + 1)
            self.seq = row["seq"]
            if row["log_seq"] == entry["seq"]:
                last = entry["last_transfer"]
                leaves.append(Leaf(row["id"], last + 1, last, change_record(row), "change"))
            else:
                self.log.wrong("change_in_another_batch", **where, log_seq=row["log_seq"])
            await self.advance()
        return leaves


@dataclass(slots=True)
class _Walk:
    """A shard's transfers, taken in order; `row` is the next one."""

    shard: str
    journals: Findings
    log: Findings
    rows: AsyncIterator[Record]
    changes: _Changes
    row: Record | None = None
    seq: int = 0
    journal: str | None = None
    journal_first: int = 0
    journal_last: int = 0
    journal_transfers: int = 0
    journal_count: int = 0

    async def advance(self) -> None:
        self.row = await anext(self.rows, None)

    async def batch(self, entry: Record) -> list[Leaf]:
        """The leaves of one log row, from the transfers it names and the changes that name it."""
        leaves: list[Leaf] = []
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
                leaves.append(Leaf(row["journal_id"], row["seq"], row["seq"], journal_record(row)))
            leaves[-1].last_transfer = row["seq"]
            leaves[-1].data += transfer_record(row)
            await self.advance()
        self._end_journal()
        return [*leaves, *await self.changes.batch(entry)]

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
    batches = counted = transfers = changes = 0
    for shard in await snap.all(_SHARDS):
        name = shard["shard"]
        made = _Changes(name, log, aiter(snap.rows(_CHANGES, name)))
        walk = _Walk(name, journals, log, aiter(snap.rows(_TRANSFERS, name)), made)
        await walk.advance()
        await made.advance()
        batches += await _shard(snap, walk, shard)
        counted += walk.journal_count
        transfers += walk.seq
        changes += made.seq
    for row in await snap.all(_STRAY_SHARDS):
        log.wrong("shard_unknown", shard=row["shard"])
    async for row in snap.rows(_UNNUMBERED):
        log.wrong("change_not_in_log", shard=row["shard"], change=row["id"], account=row["account"])
    async for row in snap.rows(_CHANGES_ASTRAY):
        log.wrong(
            "change_of_another_shard",
            shard=row["shard"],
            change=row["id"],
            account=row["account"],
            account_shard=row["account_shard"],
        )
    stated = await snap.value("SELECT count(*) FROM ledger.journal")
    if stated != counted:
        async for row in snap.rows(_STRAY_JOURNALS):
            journals.wrong("journal_without_transfers", journal=row["id"], log_seq=row["log_seq"])
        if not journals.count:
            journals.wrong("journal_count", stated=stated, found=counted)
    journals.figures.update(journals=counted, transfers=transfers)
    log.figures.update(batches=batches, transfers=transfers, changes=changes)
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
    while (made := walk.changes.row) is not None:
        log.wrong("change_not_in_log", shard=shard, change=made["id"], account=made["account"])
        await walk.changes.advance()
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
    log: Findings, entry: Record, previous: bytes, leaves: Sequence[Leaf], shard: str
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
            **{leaf.kind: leaf.id},
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
    leaves: Sequence[Leaf],
) -> bytes:
    span = (entry["first_transfer"], entry["last_transfer"])
    if entry["form"] == _WHOLE:
        whole = b"".join(leaf.data for leaf in leaves)
        return hashlib.sha256(previous + record("L", shard, entry["seq"], *span) + whole).digest()
    header = record("L", _TREE, shard, entry["seq"], *span, len(hashes), entry["recorded_at"])
    return hashlib.sha256(previous + header + tree_root(hashes)).digest()
