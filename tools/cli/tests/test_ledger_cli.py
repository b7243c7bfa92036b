"""`tally ledger`: a proof is made by the books and checked without them."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tally_cli.main import app
from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_ledger import service
from tally_ledger.app import SCHEMA
from tally_ledger.closing import announce_key, close_next_day
from tally_ledger.proofs import SigningKey
from tally_ledger.wire import command_of
from tally_messaging import Transactor
from tally_money import iso_currencies
from tally_postgres import Schema, create_pool
from tally_runtime import FixedClock, SeededIds, derived_id
from tally_testkit import ServiceDatabase

pytestmark = pytest.mark.stack
KEY = SigningKey.parse(base64.b64encode(bytes(range(32))).decode())
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRANSFER = derived_id("tr", "1")


def _journal() -> PostJournal:
    one, two = derived_id("acc", "1"), derived_id("acc", "2")
    return PostJournal(
        journal_id=derived_id("jrn", "1"),
        ledger="main",
        reference=derived_id("pin", "1"),
        open_accounts=tuple(
            AccountSpec(
                id=id_, owner="o", purpose="clearing", path="p", currency="EUR", guarded=False
            )
            for id_ in (one, two)
        ),
        legs=(
            Leg(
                id=TRANSFER,
                debit=one,
                credit=two,
                amount=PositiveAmount(currency="EUR", amount="1.50"),
                code="fill",
            ),
        ),
        effective_at=NOW,
        who=Who(actor="test", principal="test"),
        where=Where(channel="test"),
        why=Why(program="test", event="e", reason="Because"),
        occurred_at=NOW,
    )


async def _book(database: ServiceDatabase, *, closed: bool) -> None:
    clock = FixedClock(NOW)
    pool = await create_pool(database.dsn("ledger"), schema="ledger", application_name="t")
    try:
        work = Transactor(pool=pool, clock=clock, ids=SeededIds(1, clock), source="/t")
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
        currencies = list(iso_currencies().values())
        await work.run(lambda uow: service.open_books(uow.conn, ["main"], currencies))
        await work.run(lambda uow: announce_key(uow, KEY.public))
        command = command_of(_journal(), iso_currencies())
        await work.run(lambda uow: service.post(uow.conn, "main", [command], uow.now, {}))
        if closed:
            clock.advance(timedelta(days=1))
            assert await close_next_day(work, "main", KEY)
    finally:
        await pool.close()


@pytest.fixture
def tally(fresh_database: Callable[[Schema], ServiceDatabase]) -> Callable[..., Result]:
    database = fresh_database(SCHEMA)

    def call(*arguments: str, closed: bool | None = None) -> Result:
        if closed is not None:
            asyncio.run(_book(database, closed=closed))
        return CliRunner().invoke(
            app, ["ledger", *arguments], env={"TALLY_POSTGRES_DSN": database.admin_dsn}
        )

    return call


def test_a_signed_proof_is_made_and_checked_offline(
    tally: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "proof.json"
    made = tally("prove", TRANSFER, "--out", str(file), closed=True)
    assert made.exit_code == 0, made.output
    assert "2026-03-01, signed" in made.stdout
    offline = CliRunner().invoke(
        app, ["ledger", "check-proof", str(file), "--key", str(KEY.public)]
    )
    assert offline.exit_code == 0, offline.output
    assert f"{TRANSFER} single 150 minor units of EUR" in offline.stdout
    assert "in the signed root of 2026-03-01" in offline.stdout

    file.write_text(file.read_text().replace("Because", "Becausf"))
    refused = tally("check-proof", str(file), "--key", str(KEY.public), "--json")
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert "error [proof_refused]: leaf.journal" in refused.stderr


def test_a_proof_of_an_open_day_says_what_it_rests_on(
    tally: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "proof.json"
    file.write_text(tally("prove", TRANSFER, "--json", closed=False).stdout)
    found = json.loads(tally("check-proof", str(file), "--json").stdout)
    assert (found["holds"], found["signed"], found["head_seq"]) == (True, False, 1)
    assert "is not signed yet" in tally("check-proof", str(file)).stdout


def test_roots_are_listed_with_their_keys(tally: Callable[..., Result]) -> None:
    listed = tally("roots", "--json", closed=True)
    found = json.loads(listed.stdout)
    assert [(row["ledger"], row["day"]) for row in found["roots"]] == [("main", "2026-03-01")]
    assert found["keys"][0]["public_key"] == str(KEY.public)
    assert KEY.public.id in tally("roots").stdout


def test_what_is_not_there_or_no_key_has_its_own_exit_code(
    tally: Callable[..., Result], tmp_path: Path
) -> None:
    unknown = tally("prove", "tr_never", closed=True)
    assert unknown.exit_code == 3
    assert "error [transfer_unknown]: transfer" in unknown.stderr
    file = tmp_path / "proof.json"
    file.write_text(tally("prove", TRANSFER, "--json").stdout)
    assert tally("check-proof", str(file), "--key", "nonsense").exit_code == 2
    assert tally("check-proof", str(file)).exit_code == 5
    file.write_text("[]")
    assert tally("check-proof", str(file)).exit_code == 5
