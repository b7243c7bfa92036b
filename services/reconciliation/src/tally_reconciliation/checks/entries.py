"""The replay: every entry against its transfer and the entry before it, account by account.

One pass in (account, recorded time, seq) order with a constant amount of memory. Together with the count of
entries it proves that each transfer has exactly its two entries.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from tally_postgres import Record
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check
from tally_reconciliation.snapshot import Snapshot

# What an amount does to (posted, pending) on both sides, per kind of transfer.
EFFECT: Mapping[str, tuple[int, int]] = {
    "single": (1, 0),
    "pending": (0, 1),
    "post": (1, -1),
    "void": (0, -1),
    "expire": (0, -1),
    "reverse": (1, 0),
}

# Index scans only: the pass is streamed in key order, never sorted as a whole.
_STREAMED = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off"
_AS_USUAL = "RESET enable_seqscan; RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_sort"

_ENTRIES = """
SELECT e.account, e.recorded_at, e.seq, e.transfer_id, e.log_seq, e.amount, e.pending,
       e.posted_after, e.pending_after, a.aggregated,
       t.shard, t.seq AS transfer_seq, t.kind, t.debit, t.credit, t.asset, t.amount AS moved
FROM ledger.entry e
LEFT JOIN ledger.account a ON a.id = e.account
LEFT JOIN LATERAL (
    SELECT s.shard, s.seq, s.kind, s.debit, s.credit, s.asset, s.amount
    FROM ledger.transfer s WHERE s.id = e.transfer_id
    UNION ALL
    SELECT s.shard, s.seq, s.kind, s.debit, s.credit, s.asset, s.amount
    FROM ledger.log l
    JOIN ledger.transfer s
        ON s.shard = l.shard AND s.seq BETWEEN l.first_transfer AND l.last_transfer
    WHERE e.log_seq IS NOT NULL AND l.shard = a.shard AND l.seq = e.log_seq
      AND e.account IN (s.debit, s.credit)
) t ON true
ORDER BY e.account, e.recorded_at, e.seq
"""

_ACCOUNTS = """
SELECT id, path, asset, shard, guarded, no_credit_overdraft, max_balance,
       debits_posted, credits_posted, debits_pending, credits_pending, seq
FROM ledger.account ORDER BY id
"""

_WITHOUT_ENTRY = """
SELECT t.seq, t.id, side.account
FROM ledger.transfer t
CROSS JOIN LATERAL (VALUES (t.debit), (t.credit)) AS side (account)
LEFT JOIN ledger.account a ON a.id = side.account
LEFT JOIN ledger.entry e ON e.account = side.account
    AND (e.transfer_id = t.id OR (a.aggregated AND e.log_seq = t.log_seq))
WHERE e.account IS NULL ORDER BY t.seq
"""


@dataclass(slots=True)
class Replayed:
    """An account rebuilt from nothing but its transfers, in the order of its entries."""

    account: str
    shard: str | None = None
    asset: str | None = None
    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0
    seq: int = 0
    last_transfer: int = 0

    def apply(self, row: Record) -> None:
        """Take over one transfer's effect on this account's side."""
        posted, pending = EFFECT[row["kind"]]
        if row["debit"] == self.account:
            self.debits_posted += posted * row["moved"]
            self.debits_pending += pending * row["moved"]
        else:
            self.credits_posted += posted * row["moved"]
            self.credits_pending += pending * row["moved"]
        self.shard, self.asset = row["shard"], row["asset"]
        self.last_transfer = row["transfer_seq"]

    @property
    def posted(self) -> int:
        return self.credits_posted - self.debits_posted

    @property
    def pending(self) -> int:
        return self.credits_pending - self.debits_pending


@dataclass(slots=True)
class _Pass:
    whole: Findings
    balances: Findings
    counters: Findings
    chain: Findings
    order: Findings
    entries: int = 0
    sides: int = 0
    accounts: int = 0
    current: Replayed | None = None
    posted_after: int = 0
    pending_after: int = 0
    posted_sum: int = 0
    pending_sum: int = 0
    sums: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def entry(self, rows: Sequence[Record]) -> None:
        """One entry with the transfers it enters, in order."""
        self.entries += 1
        self.sides += len(rows)
        row = rows[0]
        replayed = self.current
        assert replayed is not None, "an account's entries follow its beginning"
        where = {"account": row["account"], "seq": row["seq"], "transfer": row["transfer_id"]}
        if row["seq"] != replayed.seq + 1:
            self.chain.wrong("entry_gap", **where, expected_seq=replayed.seq + 1)
        replayed.seq = row["seq"]
        for kind, change, after, before in (
            ("posted", row["amount"], row["posted_after"], self.posted_after),
            ("pending", row["pending"], row["pending_after"], self.pending_after),
        ):
            if before + change != after:
                self.chain.wrong(
                    f"entry_{kind}_not_chained",
                    **where,
                    before=str(before),
                    change=str(change),
                    after=str(after),
                )
        self.posted_after, self.pending_after = row["posted_after"], row["pending_after"]
        self.posted_sum += row["amount"]
        self.pending_sum += row["pending"]
        if (row["log_seq"] is not None) != row["aggregated"]:
            self.chain.wrong("entry_not_as_account_says", **where, log_seq=row["log_seq"])
        moved = [0, 0]
        for part in sorted(rows, key=lambda part: part["transfer_seq"] or 0):
            effect = self._against_transfer(part, replayed, where)
            if effect is None:
                return
            moved[0] += effect[0]
            moved[1] += effect[1]
        if [row["amount"], row["pending"]] != moved:
            self.chain.wrong(
                "entry_differs_from_transfer",
                **where,
                entered=f"{row['amount']}/{row['pending']}",
                expected=f"{moved[0]}/{moved[1]}",
            )

    def _against_transfer(
        self, row: Record, replayed: Replayed, where: Mapping[str, str | int | None]
    ) -> tuple[int, int] | None:
        """Replay one transfer; what it does to this account, None if it does nothing to it."""
        if row["kind"] is None:
            self.chain.wrong("entry_without_transfer", **where)
            return None
        if row["account"] not in {row["debit"], row["credit"]}:
            self.chain.wrong("entry_of_another_account", **where)
            return None
        if row["kind"] not in EFFECT:
            self.chain.wrong("transfer_kind_unknown", **where, kind=row["kind"])
            return None
        if row["transfer_seq"] <= replayed.last_transfer:
            self.order.wrong("entry_out_of_order", **where, transfer_seq=row["transfer_seq"])
        replayed.apply(row)
        posted, pending = EFFECT[row["kind"]]
        sign = -1 if row["debit"] == row["account"] else 1
        return sign * posted * row["moved"], sign * pending * row["moved"]

    def account(self, row: Record) -> None:
        """The account's row, once all its entries were replayed."""
        self.accounts += 1
        replayed = self.current
        assert replayed is not None, "an account is compared with its replay"
        stated = {name: row[name] for name in _COUNTERS}
        computed = {name: getattr(replayed, name) for name in _COUNTERS}
        for name in _COUNTERS:
            if stated[name] != computed[name]:
                self.counters.wrong(
                    "counter_differs_from_replay",
                    account=row["id"],
                    path=row["path"],
                    counter=name,
                    stated=str(stated[name]),
                    replayed=str(computed[name]),
                )
        if replayed.seq and (replayed.asset, replayed.shard) != (row["asset"], row["shard"]):
            self.counters.wrong(
                "account_in_another_asset_or_shard",
                account=row["id"],
                stated=f"{row['asset']}/{row['shard']}",
                moved=f"{replayed.asset}/{replayed.shard}",
            )
        stated_balance = (
            row["credits_posted"] - row["debits_posted"],
            row["credits_pending"] - row["debits_pending"],
        )
        self._whole(row, replayed, stated_balance)
        if stated_balance != (self.posted_after, self.pending_after):
            self.chain.wrong(
                "last_entry_differs_from_account",
                account=row["id"],
                path=row["path"],
                seq=replayed.seq,
                entry=f"{self.posted_after}/{self.pending_after}",
                account_says=f"{stated_balance[0]}/{stated_balance[1]}",
            )

    def _whole(self, row: Record, replayed: Replayed, stated: tuple[int, int]) -> None:
        """The account's entries as a sum, and added to its currency's."""
        where = {"account": row["id"], "path": row["path"], "currency": row["asset"]}
        if stated != (self.posted_sum, self.pending_sum):
            self.balances.wrong(
                "balance_differs_from_entries",
                **where,
                stated=f"{stated[0]}/{stated[1]}",
                entries=f"{self.posted_sum}/{self.pending_sum}",
            )
        if row["guarded"] and replayed.debits_posted + replayed.debits_pending > (
            replayed.credits_posted
        ):
            self.balances.wrong("replayed_below_floor", **where, posted=str(replayed.posted))
        most = replayed.posted + replayed.credits_pending
        limit = 0 if row["no_credit_overdraft"] else row["max_balance"]
        if limit is not None and most > limit:
            self.balances.wrong("replayed_above_limit", **where, most=str(most), limit=str(limit))
        key = (row["shard"], row["asset"])
        posted, pending = self.sums.get(key, (0, 0))
        self.sums[key] = (posted + self.posted_sum, pending + self.pending_sum)

    def end(self) -> None:
        """Judge the sums of each ledger's currencies."""
        for (shard, asset), (posted, pending) in sorted(self.sums.items()):
            if posted or pending:
                self.whole.wrong(
                    "entries_do_not_sum_to_zero",
                    ledger=shard,
                    currency=asset,
                    posted=str(posted),
                    pending=str(pending),
                )

    def begin(self, account: str) -> None:
        self.current = Replayed(account)
        self.posted_after = self.pending_after = self.posted_sum = self.pending_sum = 0


_COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending", "seq")


async def check_entries(snap: Snapshot) -> list[Check]:
    """O1, O2 and invariants 3, 4 and 13: sums, counters replayed, entries chained and in order."""
    work = _Pass(
        Findings("O1", "per currency and ledger, all entries sum to zero"),
        Findings("O2", "balances are their entries' sum, none below its floor"),
        Findings("L3", "counters = replay of transfers"),
        Findings("L4", "entries chain to the balance without gaps, two for each transfer"),
        Findings("L13", "every account's entries follow the order of transfers"),
    )
    await snap.execute(_STREAMED)
    await _merge(snap, work)
    await snap.execute(_AS_USUAL)
    transfers = await snap.value("SELECT count(*) FROM ledger.transfer")
    if work.sides != 2 * transfers:
        async for row in snap.rows(_WITHOUT_ENTRY):
            work.chain.wrong(
                "entry_missing", account=row["account"], transfer=row["id"], transfer_seq=row["seq"]
            )
        if not work.chain.count:
            work.chain.wrong("entry_count", entered=work.sides, transfers=transfers)
    work.end()
    for found in (work.whole, work.balances, work.counters, work.chain, work.order):
        found.figures.update(accounts=work.accounts, entries=work.entries, transfers=int(transfers))
    return [
        work.whole.judged(f"{work.entries} entries in {len(work.sums)} currencies"),
        work.balances.judged(f"{work.accounts} balances"),
        work.counters.judged(f"{work.accounts} accounts replayed from {transfers} transfers"),
        work.chain.judged(f"{work.entries} entries of {transfers} transfers"),
        work.order.judged(f"{work.entries} entries"),
    ]


async def _merge(snap: Snapshot, work: _Pass) -> None:
    """Walk accounts and entries together, both in id order."""
    entries = _entries(snap)
    entry = await anext(entries, None)
    async for account in snap.rows(_ACCOUNTS):
        while entry is not None and entry[0]["account"] < account["id"]:
            entry = await _orphan(work, entry, entries)
        work.begin(account["id"])
        while entry is not None and entry[0]["account"] == account["id"]:
            work.entry(entry)
            entry = await anext(entries, None)
        work.account(account)
    while entry is not None:
        entry = await _orphan(work, entry, entries)


async def _entries(snap: Snapshot) -> AsyncIterator[Sequence[Record]]:
    """Entry by entry, each with a row for every transfer it enters."""
    rows: list[Record] = []
    async for row in snap.rows(_ENTRIES):
        if rows and _key(rows[0]) != _key(row):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _key(row: Record) -> tuple[object, ...]:
    return row["account"], row["recorded_at"], row["seq"]


async def _orphan(
    work: _Pass, entry: Sequence[Record], rest: AsyncIterator[Sequence[Record]]
) -> Sequence[Record] | None:
    work.entries += 1
    work.sides += 1
    work.chain.wrong("entry_without_account", account=entry[0]["account"], seq=entry[0]["seq"])
    return await anext(rest, None)
