"""What the oracle says of a sound day."""

import pytest

from tally_reconciliation import Holding, SchemaAbsent, Verdict

from .conftest import Day

pytestmark = pytest.mark.stack


async def test_a_sound_day_is_green_in_every_check(day: Day):
    report = await day.judge()
    assert report.quiet.is_quiet, report.quiet
    assert [check.line() for check in report.checks if check.verdict is not Verdict.GREEN] == []
    assert report.verdict is Verdict.GREEN


async def test_every_record_on_the_inbound_topics_is_accounted_for(day: Day):
    figures = (await day.judge()).check("O3").figures
    assert figures == {
        "records": 13,
        "booked": 7,
        "repeats": 2,
        "copies": 2,
        "quarantined": 2,
        "lost": 0,
        "by_statement": 0,
    }


async def test_a_standing_payout_names_who_must_act(day: Day):
    figures = (await day.judge()).check("O4").figures
    assert figures == {
        "claimable (payee)": 2,
        "failed": 1,
        "in_transit (rail)": 1,
        "paid": 1,
        "returned": 1,
    }


async def test_the_money_table_says_where_every_unit_is(day: Day):
    money = {(h.currency, h.purpose, h.place): h for h in (await day.judge()).money}
    assert money["USD", "clearing", "cards"] == Holding("USD", 2, "clearing", "cards", 1, -50000, 0)
    assert money["USD", "suspense", "cards"].posted == 10000
    assert money["USD", "clearing", "ach"].posted == 9720
    assert money["USD", "wallet", ""].held == 9720
    assert money["JPY", "wallet", ""].posted == 12000
    for code in ("USD", "JPY"):
        assert sum(h.posted for h in money.values() if h.currency == code) == 0


async def test_looking_changes_nothing(day: Day):
    tables = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    before = day.ask(tables), day.ask("SELECT count(*) FROM pg_class")
    await day.judge()
    assert (day.ask(tables), day.ask("SELECT count(*) FROM pg_class")) == before


async def test_a_database_without_the_platform_is_no_proof(day: Day):
    elsewhere = Day(day.dsn, day.broker, schemas=("ledger", "rails_of_another"))
    with pytest.raises(SchemaAbsent, match="rails_of_another"):
        await elsewhere.judge()
