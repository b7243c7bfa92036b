"""Use cases: load what a batch touches, decide it in memory, write what was decided."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tally_ledger import store
from tally_ledger.canonical import Seal, change_leaves, journal_leaves, seal
from tally_ledger.domain import Batch, Command, fold
from tally_ledger.errors import AssetScaleChanged
from tally_money import Currency
from tally_postgres import Connection


async def post(
    conn: Connection,
    ledger: str,
    commands: Sequence[Command],
    now: datetime,
    causes: Mapping[str, str],
) -> Batch:
    """Apply commands of one ledger in order and return what was answered to each.

    `causes` are kept with holds that can expire, by hold id. The transaction fails with 40001, and
    is to be run again, when somebody else wrote to this ledger meanwhile.
    """
    head, books = await store.load(conn, ledger, commands)
    if head is not None and head.recorded_at is not None:
        # Another replica's clock may be ahead, and a day that was closed stays closed.
        now = max(now, head.recorded_at)
    batch = fold(books, commands, now)
    if batch.changes_nothing:
        return batch
    sealed = None
    change_seq = await store.last_change(conn, ledger) if batch.changed else 0
    if batch.is_logged:
        assert head is not None, "a ledger that is not open posts nothing"
        sealed = _seal(head, batch, now, change_seq)
    await store.save(conn, head, batch, seal=sealed, causes=causes, now=now, change_seq=change_seq)
    return batch


def _seal(head: store.Head, batch: Batch, now: datetime, change_seq: int) -> Seal:
    first = head.transfer_seq + 1
    leaves = journal_leaves(batch.posted, first_transfer=first, recorded_at=now)
    leaves += change_leaves(batch.changed, first=change_seq + 1, recorded_at=now)
    return seal(
        head.root,
        batch.after.ledger,
        batch.after.log_seq,
        first_transfer=first,
        last_transfer=head.transfer_seq + sum(len(p.transfers) for _, p in batch.posted),
        leaves=leaves,
        recorded_at=now,
    )


async def open_books(
    conn: Connection, ledgers: Sequence[str], currencies: Sequence[Currency]
) -> None:
    """Open ledgers and enter assets where missing.

    Raises `AssetScaleChanged` if the books count an asset in other minor units than this release.
    """
    await store.ensure_shards(conn, ledgers)
    scales = await store.ensure_assets(conn, currencies)
    for unit in currencies:
        if scales[unit.code] != unit.exponent:
            raise AssetScaleChanged(unit.code, scales[unit.code], unit.exponent)
