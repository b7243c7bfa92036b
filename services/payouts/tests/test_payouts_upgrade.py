"""What an operator does once at an upgrade, as the guide says it."""

import re
from pathlib import Path

import psycopg
import pytest

from tally_payouts.app import build_app
from tally_runtime import FixedClock

from .conftest import payout_id_of, tid
from .test_payouts_exits import NOON, limit

GUIDE = Path(__file__).parents[3] / "docs/how-to/take-over-merges.md"
ANN, MIDDLE, TWIN = (tid("party", name) for name in ("ann", "middle", "twin"))


@pytest.fixture
def app(settings):
    return build_app(settings, clock=FixedClock(NOON))


async def test_f29_merges_of_before_count_after_the_guide_was_followed(world, make, database):
    await world.feed(make.limits(limit("lifetime", "40.00")))
    await world.with_method(ANN)
    await world.feed(make.pay_in("one", ANN), make.pay_in("old", TWIN))
    await world.feed(make.placed(payout_id_of("one", ANN)))
    take_over, whose = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    with psycopg.connect(database.admin_dsn, autocommit=True) as session:
        session.execute("CREATE SCHEMA directory")
        session.execute(
            'CREATE TABLE directory.party (party_id text COLLATE "C", merged_into text COLLATE "C")'
        )
        parties = [(ANN, None), (MIDDLE, ANN), (TWIN, MIDDLE)]
        session.cursor().executemany("INSERT INTO directory.party VALUES (%s, %s)", parties)
        for _ in range(2):
            session.execute(take_over)
        assert session.execute(whose).fetchall() == [(ANN, "USD")]
    await world.feed(make.pay_in("two", TWIN))
    assert await world.states(payout_id_of("two", TWIN)) == ["approved"]
    await world.feed(make.placed(payout_id_of("two", TWIN)))
    assert await world.states(payout_id_of("two", TWIN)) == ["approved", "held"]
    await world.feed(make.choose(ANN))
    assert await world.states(payout_id_of("old", TWIN)) == ["claimable", "approved"]
