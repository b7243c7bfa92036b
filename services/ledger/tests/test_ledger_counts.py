"""What a transfer costs in statements, rows and WAL: counts that no busy machine changes.

The bounds are what was measured plus a twentieth. WAL is that of the batch's own records without the full
page images after a checkpoint (pg_walinspect), so that it says what the code writes and nothing else.
Per transfer of a batch of single-leg journals that is a row of journal (about 350 bytes with its key),
one of transfer (370 with its two keys), two of entry (2 x 200) and the accounts' new versions (2 x 150,
shared by the transfers that touch one account); a hold adds its own row. Who raises a bound says here what
the bytes are for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from tally_ledger.handlers import apply_commands
from tally_ledger.partitions import ensure_months
from tally_messaging import UnitOfWork
from tally_postgres import Connection

from .conftest import LedgerFixture
from .ledger_builders import Event, account, capture, journal, leg, place
from .test_ledger_concurrency import WatchedConnection, nothing

BATCH = 500
WALLETS = 200
STATEMENTS = 6  # the books; advance, accounts, journals, transfers, entries
STATEMENTS_TWO_PHASE = 9  # and holds: read, placed, resolved
INSERTED = BATCH * 4 + 1  # journal, transfer and two entries each, and the log row
WAL_SINGLE = 1590
WAL_TWO_PHASE = 1710


@dataclass(frozen=True)
class Cost:
    """What one batch took, by its own transaction."""

    statements: int
    inserted: int
    updated: int
    wal_bytes: int


async def cost(ledger: LedgerFixture, events: Sequence[Event]) -> Cost:
    """Apply the events as one batch and count."""
    messages = [ledger.received(event) for event in events]
    ledger.as_admin("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
    before = ledger.as_admin("SELECT pg_current_wal_insert_lsn()")[0][0]
    found: list[tuple[int, int, int, str]] = []

    async def unit(uow: UnitOfWork) -> None:
        # Counts of the session's last transactions may not be handed over yet.
        inserted, updated = await rows(uow.conn)
        watched = WatchedConnection(uow.conn, nothing)
        await apply_commands(replace(uow, conn=watched, outgoing=[]), messages)  # type: ignore[arg-type]
        inserted_now, updated_now = await rows(uow.conn)
        xid = await uow.conn.fetchval("SELECT pg_current_xact_id()::text")
        found.append((len(watched.statements), inserted_now - inserted, updated_now - updated, xid))

    await ledger.transactor.run(unit)
    ((statements, inserted, updated, xid),) = found
    ((wal,),) = ledger.as_admin(
        "SELECT sum(record_length - fpi_length)::bigint FROM pg_get_wal_records_info("
        f"'{before}', pg_current_wal_flush_lsn()) WHERE xid = '{xid}'"
    )
    return Cost(statements, inserted, updated, int(wal))


async def rows(conn: Connection) -> tuple[int, int]:
    """Rows inserted and updated that the session has counted and not handed over."""
    row = await conn.fetchrow(
        "SELECT coalesce(sum(n_tup_ins), 0)::int, coalesce(sum(n_tup_upd), 0)::int"
        " FROM pg_stat_xact_user_tables"
    )
    assert row is not None
    return row[0], row[1]


@pytest.fixture
async def wallets(ledger: LedgerFixture) -> LedgerFixture:
    """Guarded wallets with 100.00 each, and one more that everybody pays."""
    await ensure_months(ledger.transactor)
    names = [f"w{n}" for n in range(WALLETS)]
    await ledger.apply(
        *(
            journal(
                f"fund-{name}",
                leg(f"fund-{name}", "cards", name, "100.00"),
                opens=[account("cards", guarded=False), account("hot"), account(name)],
            )
            for name in names
        )
    )
    await ledger.apply(
        *(place(f"due-{n}", f"w{n % WALLETS}", "cards", "0.01") for n in range(BATCH * 15 // 100))
    )
    return ledger


def singles(number: int, *, hot: bool, mark: str = "s") -> list[Event]:
    """Journals of one leg between wallets, or all to the hot one; their ids by `mark`."""
    return [
        journal(
            f"{mark}{n}",
            leg(
                f"{mark}{n}",
                f"w{n % WALLETS}",
                "hot" if hot else f"w{(n * 7 + 1) % WALLETS}",
                "0.01",
            ),
        )
        for n in range(number)
    ]


@pytest.mark.parametrize("hot", [False, True], ids=["uniform", "hot"])
async def test_the_cost_of_single_transfers_is_bounded(wallets: LedgerFixture, hot: bool) -> None:
    spent = await cost(wallets, singles(BATCH, hot=hot))
    assert spent.statements == STATEMENTS
    assert spent.inserted == INSERTED
    assert spent.updated <= WALLETS + 1 + 1, "each account once, and the head"
    assert spent.wal_bytes / BATCH <= WAL_SINGLE


@pytest.mark.parametrize("hot", [False, True], ids=["uniform", "hot"])
async def test_the_cost_with_a_third_of_two_phase_is_bounded(
    wallets: LedgerFixture, hot: bool
) -> None:
    share = BATCH * 15 // 100
    payee = "hot" if hot else "cards"
    events = [
        *singles(BATCH - 2 * share, hot=hot),
        *(place(f"p{n}", f"w{n % WALLETS}", payee, "0.01") for n in range(share)),
        *(capture(f"c{n}", f"due-{n}", "0.01") for n in range(share)),
    ]
    spent = await cost(wallets, events)
    # Where everybody else pays the hot account, only the holds name the one they were placed for.
    assert spent.statements == STATEMENTS_TWO_PHASE + hot
    assert spent.inserted == INSERTED + share
    assert spent.updated <= WALLETS + 2 + share + 1
    assert spent.wal_bytes / BATCH <= WAL_TWO_PHASE


async def test_a_hot_account_costs_no_more_than_any(wallets: LedgerFixture) -> None:
    uniform = await cost(wallets, singles(BATCH, hot=False))
    hot = await cost(wallets, singles(BATCH, hot=True, mark="t"))
    assert (hot.statements, hot.inserted) == (uniform.statements, uniform.inserted)
    assert hot.updated <= uniform.updated + 1
    assert hot.wal_bytes <= uniform.wal_bytes * 1.02
