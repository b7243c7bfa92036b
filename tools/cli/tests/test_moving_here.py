"""What an export may not touch in an installation, whatever it says of itself (F62)."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tally_cli.moving.archive import ArchiveFault
from tally_cli.moving.here import refuse_what_is_here
from tally_cli.moving.past import Past
from tally_directory.app import SCHEMA as DIRECTORY
from tally_gateway.app import SCHEMA as GATEWAY
from tally_ledger.app import SCHEMA as LEDGER
from tally_portfolio.app import SCHEMA as PORTFOLIO
from tally_runtime import derived_id

pytestmark = pytest.mark.stack
MINE, THEIRS = derived_id("party", "here", "mine"), derived_id("party", "here", "theirs")
PAYOUT = derived_id("po", "here")

_TREE = f"""
INSERT INTO portfolio.party (party_id, tenant) VALUES ('{MINE}', '{MINE}'), ('{THEIRS}', '{THEIRS}');
INSERT INTO gateway.party_node (party_id, tenant, kind, path, known_at) VALUES
    ('{MINE}', '{MINE}', 'aggregator', '{{}}', now()),
    ('{THEIRS}', '{THEIRS}', 'aggregator', '{{}}', now());
INSERT INTO gateway.party_reference (reference, tenant, party_id)
VALUES ('user-42', '{THEIRS}', '{THEIRS}');
"""
_INVOLVED = (
    "INSERT INTO portfolio.involvement (subject, party, kind, at) VALUES ('{}', '{}', 'x', now())"
)
_THING = "INSERT INTO gateway.thing (thing_id, tenant, parties, data) VALUES ('{}', 'o', ARRAY['{}'], '{{}}')"
_RECORD = (
    "INSERT INTO portfolio.record (kind, subject, part, under, version, at, told)"
    " VALUES ('return', '{}', 1, 'pin_x', '1', now(), '{{}}')"
)


@pytest.fixture
async def here(fresh_database: Callable[..., Any]) -> AsyncIterator[asyncpg.Connection]:
    """An installation with two tenants, seen by its operator."""
    database = fresh_database(DIRECTORY, LEDGER, PORTFOLIO, GATEWAY)
    conn = await asyncpg.connect(database.admin_dsn)
    await conn.execute(_TREE)
    # Rows stand for what services would have written, one at a time.
    await conn.execute("SET session_replication_role = replica")
    yield conn
    await conn.close()


def past(folder: Path, *, told: set[str] = frozenset(), named: set[str] = frozenset()) -> Past:
    made = Past.of(folder, MINE, {})
    made.subjects |= told
    made.named |= named
    return made


@pytest.mark.parametrize(
    "rows",
    [
        (_INVOLVED.format(PAYOUT, THEIRS),),
        (_THING.format(PAYOUT, THEIRS),),
        (_THING.format(PAYOUT, "user-42"),),
        (_RECORD.format(PAYOUT), _INVOLVED.format("pin_x", THEIRS)),
    ],
)
@pytest.mark.parametrize("where", ["told", "named"])
async def test_f62_what_is_another_tenants_here_is_refused_however_it_is_named(
    here: asyncpg.Connection, tmp_path: Path, rows: tuple[str, ...], where: str
) -> None:
    for row in rows:
        await here.execute(row)
    with pytest.raises(ArchiveFault) as raised:
        await refuse_what_is_here(
            here, MINE, parties={}, accounts={}, past=past(tmp_path, **{where: {PAYOUT}})
        )
    assert (raised.value.code, PAYOUT in str(raised.value)) == ("id_taken", True)


async def test_f62_what_is_the_tenants_own_here_may_be_brought_again(
    here: asyncpg.Connection, tmp_path: Path
) -> None:
    for row in (_INVOLVED.format(PAYOUT, MINE), _THING.format(PAYOUT, MINE)):
        await here.execute(row)
    made = past(tmp_path, told={PAYOUT}, named={PAYOUT, "contact:x"})
    await refuse_what_is_here(here, MINE, parties={}, accounts={}, past=made)
