"""Use cases: load what a batch touches, decide it in memory, write what was decided."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tally_ledger import store
from tally_ledger.canonical import root_of_batch
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
    batch = fold(books, commands, now)
    if batch.changes_nothing:
        return batch
    root = None
    if batch.posted:
        assert head is not None, "a ledger that is not open posts nothing"
        root = root_of_batch(
            head.root,
            ledger,
            batch.after.log_seq,
            first_transfer=head.transfer_seq + 1,
            posted=batch.posted,
            recorded_at=now,
        )
    await store.save(conn, head, batch, root=root, causes=causes, now=now)
    return batch


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
