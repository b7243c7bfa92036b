"""What the oracle says of a sound day."""

from collections.abc import AsyncIterator

import pytest

from tally_postgres import service_dsn
from tally_reconciliation import SCHEMAS, Holding, SchemaAbsent, Sources, Verdict
from tally_reconciliation.oracle import judge
from tally_reconciliation.snapshot import session, snapshot

from .conftest import Day
from .platform_bench import Bench

pytestmark = pytest.mark.stack


async def test_a_sound_day_is_green_in_every_check(day: Day):
    report = await day.judge()
    assert report.quiet.is_quiet, report.quiet
    assert [check.line() for check in report.checks if check.faults] == []
    others = {check.id: check.verdict for check in report.checks if check.verdict != "green"}
    assert others == {"O10": Verdict.ABSENT}, "there is nothing to judge, and that is not green"
    assert report.verdict is Verdict.GREEN


async def test_a_bank_may_date_money_otherwise_in_its_next_message_or_leave_the_value_date_out(
    day: Day,
):
    await day.spoil(
        "UPDATE funding.statement_entry SET value_date = value_date + 3"
        " WHERE outcome = 'already_known'",
        "UPDATE funding.statement_entry SET value_date = NULL WHERE outcome = 'pay_in'",
    )
    report = await day.judge()
    assert [check.line() for check in report.checks if check.faults] == []


async def test_every_record_on_the_inbound_topics_is_accounted_for(day: Day):
    figures = (await day.judge()).check("O3").figures
    assert figures == {
        "records": 15,
        "booked": 9,
        "repeats": 2,
        "copies": 2,
        "quarantined": 2,
        "lost": 0,
        "by_statement": 2,
    }


async def test_a_standing_payout_names_who_must_act(day: Day):
    figures = (await day.judge()).check("O4").figures
    assert figures == {
        "claimable (payee)": 4,
        "failed": 1,
        "in_transit (rail)": 1,
        "paid": 2,
        "returned": 1,
    }


async def test_the_money_table_says_where_every_unit_is(day: Day):
    money = {(h.currency, h.purpose, h.place): h for h in (await day.judge()).money}
    assert money["USD", "clearing", "cards"] == Holding("USD", 2, "clearing", "cards", 1, -50000, 0)
    assert money["USD", "suspense", "cards"].posted == 10000
    assert money["USD", "clearing", "ach"].posted == 9720
    assert money["USD", "wallet", ""].held == 9720
    assert money["JPY", "wallet", ""].posted == 12000
    for code in ("USD", "JPY", "KWD"):
        assert sum(h.posted for h in money.values() if h.currency == code) == 0


async def test_looking_changes_nothing(told: Bench):
    async with session(told.database.admin_dsn) as conn:
        sources = Sources("unused", "unused")
        before = await _everything(told)
        assert (await judge(sources, conn, told.broker)).verdict is Verdict.GREEN
        async with snapshot(conn, sources.schemas) as snap:
            with pytest.raises(Exception, match="read-only transaction"):
                await snap.execute("UPDATE ledger.account SET seq = seq")
    assert await _everything(told) == before


_READER = "reader_of_everything"
_MAY_READ = """
CREATE ROLE {reader} LOGIN PASSWORD '{reader}';
GRANT TEMPORARY ON DATABASE {database} TO {reader};
GRANT USAGE ON SCHEMA {schemas} TO {reader};
GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO {reader};
"""


@pytest.fixture
async def reader(told: Bench) -> AsyncIterator[str]:
    """Who may read every table and is no superuser, as an administrator of a managed Postgres."""
    database, schemas = told.database, ", ".join(SCHEMAS)
    async with session(database.admin_dsn) as admin:
        await admin.execute(
            _MAY_READ.format(reader=_READER, database=database.name, schemas=schemas)
        )
        yield service_dsn(database.admin_dsn, _READER, _READER)
        await admin.execute(f"DROP OWNED BY {_READER}; DROP ROLE {_READER}")


async def test_who_is_no_superuser_sees_every_tenants_rows(told: Bench, reader: str) -> None:
    async with session(reader) as conn:
        unset = "SELECT count(*) FROM funding.pay_in"
        assert await conn.fetchval(unset) == 0, "row level security binds this role"
        report = await judge(Sources(reader, "unused"), conn, told.broker)
    assert [check.line() for check in report.checks if check.faults] == []
    assert report.verdict is Verdict.GREEN
    assert report.check("O3").figures["booked"] == 9


async def _everything(told: Bench) -> dict[str, int]:
    """A number for every table that changes with any row of it."""
    async with session(told.database.admin_dsn) as conn:
        tables = await conn.fetch(
            "SELECT schemaname || '.' || tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return {
            row[0]: await conn.fetchval(
                f"SELECT coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {row[0]} t"
            )
            for row in tables
        }


async def test_a_database_without_the_platform_is_no_proof(day: Day):
    elsewhere = Day(day.conn, day.broker, schemas=("ledger", "rails_of_another"))
    with pytest.raises(SchemaAbsent, match="rails_of_another"):
        await elsewhere.judge()


async def test_what_came_in_is_what_went_out_and_what_is_left(day: Day):
    figures = (await day.judge()).check("O6").figures
    assert {name: figures[f"USD_{name}"] for name in ("came_in", "went_out", "suspense")} == {
        "came_in": "71810",
        "went_out": "9720",
        "suspense": "10500",
    }
    assert int(str(figures["USD_wallets"])) == 71810 - 9720 - 10500
    # By the wallet rail money leaves one wallet for another: nothing goes out.
    assert figures["KWD_went_out"] == "0"
    assert figures["KWD_wallets"] == "12345"


async def test_quarantine_is_counted_by_reason_and_field(day: Day):
    report = await day.judge()
    expected = {"funding: id_conflict(ce_id)": 1, "funding: not_json": 1}
    assert report.check("O11").figures == expected
    assert report.counts["quarantined"] == expected
