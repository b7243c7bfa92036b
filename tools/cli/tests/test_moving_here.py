"""What an export may not touch in an installation, whatever it says of itself (F62)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tally_cli.moving.archive import ArchiveFault
from tally_cli.moving.here import refuse_what_is_here
from tally_cli.moving.past import Past
from tally_cli.moving.plan import Plan, Planned
from tally_contracts.ledger import PostJournal
from tally_directory.app import SCHEMA as DIRECTORY
from tally_gateway.app import SCHEMA as GATEWAY
from tally_ledger.app import SCHEMA as LEDGER
from tally_portfolio.app import SCHEMA as PORTFOLIO
from tally_runtime import derived_id

pytestmark = pytest.mark.stack
MINE, THEIRS = derived_id("party", "here", "mine"), derived_id("party", "here", "theirs")
MERGED = derived_id("party", "here", "merged")
PAYOUT, ACCOUNT = derived_id("po", "here"), derived_id("acc", "here")
JOURNAL = PostJournal.model_construct(journal_id=derived_id("jrn", "import", "mine"))

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


async def _open(conn: asyncpg.Connection, owner: str) -> None:
    await conn.execute(
        "INSERT INTO ledger.account (id, shard, asset, owner, purpose, path, guarded, opened_at)"
        f" VALUES ('{ACCOUNT}', 'main', 'EUR', '{owner}', 'wallet', 'w', true, now())"
    )


async def _bring(conn: asyncpg.Connection, journal: str) -> None:
    """What an import of this journal leaves on the account."""
    moved = f"'{ACCOUNT}', '{derived_id('acc', 'forward')}', 'EUR', 100, 'allocate'"
    await conn.execute(
        "INSERT INTO ledger.journal (id, shard, log_seq, first_transfer, last_transfer, operation,"
        " reference, request_hash, effective_at, recorded_at, who_actor, who_principal,"
        " where_channel, why_program, why_event, why_reason) VALUES"
        f" ('{journal}', 'main', 1, 1, 1, 'journal', 'hist_x', sha256('x'), now(), now(), 'a', 'p',"
        " 'import', 'p', 'e', 'r')"
    )
    await conn.execute(
        "INSERT INTO ledger.transfer"
        " (shard, seq, log_seq, id, journal_id, kind, debit, credit, asset, amount, code)"
        f" VALUES ('main', 1, 1, 'tr_x', '{journal}', 'single', {moved})"
    )
    await conn.execute(
        "INSERT INTO ledger.entry (account, seq, transfer_id, amount, pending, posted_after,"
        f" pending_after, recorded_at) VALUES ('{ACCOUNT}', 1, 'tr_x', -100, 0, -100, 0, now())"
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


def plan(
    folder: Path, *, told: frozenset[str] = frozenset(), named: frozenset[str] = frozenset()
) -> Plan:
    """Of an export of one party and its account, which tells and names these things."""
    past = Past.of(folder, MINE, {})
    past.subjects |= told
    past.named |= named
    at = {MINE: "directory.party.jsonl line 1"}
    owners = {**at, MERGED: "directory.party.jsonl line 2"}
    return Plan((), {}, {}, MINE, at, {ACCOUNT: "ledger.account.jsonl line 1"}, owners, past=past)


@pytest.mark.parametrize(
    "rows",
    [
        (_INVOLVED.format(PAYOUT, THEIRS),),
        (_INVOLVED.format(PAYOUT, derived_id("party", "here", "to come")),),
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
        await refuse_what_is_here(here, plan(tmp_path, **{where: frozenset({PAYOUT})}))
    assert (raised.value.code, PAYOUT in str(raised.value)) == ("id_taken", True)


async def test_f62_what_is_the_tenants_own_here_may_be_brought_again(
    here: asyncpg.Connection, tmp_path: Path
) -> None:
    for row in (
        *(_INVOLVED.format(PAYOUT, owner) for owner in (MINE, MERGED, "contact:x")),
        _THING.format(PAYOUT, MINE),
    ):
        await here.execute(row)
    await _open(here, MINE)
    await _bring(here, JOURNAL.journal_id)
    made = plan(tmp_path, told=frozenset({PAYOUT}), named=frozenset({PAYOUT, "contact:x"}))
    journal = Planned(JOURNAL, "ledger.commands.v1", "main", "jrn")
    await refuse_what_is_here(here, replace(made, waves=((journal,),)))


@pytest.mark.parametrize(
    ("owner", "moved", "code"),
    [
        (THEIRS, False, "id_taken"),
        # It may never have said whose it is: references come with no import.
        ("user-43", False, "id_taken"),
        (MINE, True, "moved_on"),
    ],
)
async def test_f62_an_account_that_is_anothers_here_is_not_booked_on(
    here: asyncpg.Connection, tmp_path: Path, owner: str, moved: bool, code: str
) -> None:
    """Also where nothing but another import moved on it."""
    await _open(here, owner)
    if moved:
        await _bring(here, derived_id("jrn", "import", "theirs"))
    with pytest.raises(ArchiveFault) as raised:
        await refuse_what_is_here(here, plan(tmp_path))
    assert (raised.value.code, "ledger.account.jsonl line 1" in str(raised.value)) == (code, True)


@pytest.mark.parametrize("who", [THEIRS, "user-42", "contact:their"])
async def test_f62_whoever_is_another_tenants_here_is_refused_though_the_export_lists_it(
    here: asyncpg.Connection, tmp_path: Path, who: str
) -> None:
    """As a party that was merged, too, and as a reference that both installations know."""
    await here.execute(
        "INSERT INTO directory.party (party_id, tenant, kind, alias, state, group_version, changed_at)"
        f" VALUES ('{THEIRS}', '{THEIRS}', 'aggregator', 'a', 'registered', 0, now())"
    )
    for reference in ("user-42", "contact:their"):
        await here.execute(
            "INSERT INTO directory.owner_reference (reference, tenant, party_id, changed_at)"
            f" VALUES ('{reference}', '{THEIRS}', '{THEIRS}', now())"
        )
    made = plan(tmp_path)
    listed = replace(made, owners={**made.owners, who: "some.jsonl line 2"})
    with pytest.raises(ArchiveFault) as raised:
        await refuse_what_is_here(here, listed)
    assert (raised.value.code, "some.jsonl line 2" in str(raised.value)) == ("id_taken", True)
