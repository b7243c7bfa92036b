"""`tally ledger`: a proof is made by the books and checked without them."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from tally_testkit import Databases, ServiceDatabase

pytestmark = pytest.mark.stack
KEY = SigningKey.parse(base64.b64encode(bytes(range(32))).decode())
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRANSFER = derived_id("tr", "1")
IN_WEST = derived_id("tr", "2")
PLACED = "core:main;west:us"


def _journal(ledger: str, name: str = "1") -> PostJournal:
    one, two = derived_id("acc", "1"), derived_id("acc", "2")
    return PostJournal(
        journal_id=derived_id("jrn", name),
        ledger=ledger,
        reference=derived_id("pin", name),
        open_accounts=tuple(
            AccountSpec(
                id=id_, owner="o", purpose="clearing", path="p", currency="EUR", guarded=False
            )
            for id_ in (one, two)
        ),
        legs=(
            Leg(
                id=derived_id("tr", name),
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


async def _book(
    database: ServiceDatabase,
    *,
    closed: bool,
    ledger: str = "main",
    home: str = "core",
    names: Sequence[str] = ("1",),
) -> None:
    clock = FixedClock(NOW)
    pool = await create_pool(database.dsn("ledger"), schema="ledger", application_name="t")
    try:
        work = Transactor(pool=pool, clock=clock, ids=SeededIds(1, clock), source="/t")
        await pool.execute("INSERT INTO outbox_lane (lane) VALUES (0)")
        currencies = list(iso_currencies().values())
        await work.run(lambda uow: service.open_books(uow.conn, [ledger], currencies))
        await pool.execute("INSERT INTO home (database) VALUES ($1)", home)
        await work.run(lambda uow: announce_key(uow, KEY.public))
        posted = [command_of(_journal(ledger, name), iso_currencies()) for name in names]
        await work.run(lambda uow: service.post(uow.conn, ledger, posted, uow.now, {}))
        if closed:
            clock.advance(timedelta(days=1))
            assert await close_next_day(work, ledger, KEY)
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


@dataclass(frozen=True)
class Two:
    """`main` in the platform's database and `us` in another, with a transfer in both and one in `us`."""

    core: ServiceDatabase
    west: ServiceDatabase

    def call(self, *arguments: str, dsns: str | None = None, placement: str = PLACED) -> Result:
        environment = {
            "TALLY_POSTGRES_DSN": self.core.admin_dsn,
            "TALLY_LEDGER_PLACEMENT": placement,
            "TALLY_LEDGER_DSNS": f"west={self.west.admin_dsn}" if dsns is None else dsns,
        }
        return CliRunner().invoke(app, ["ledger", *arguments], env=environment)


@pytest.fixture(scope="module")
def two(databases: Databases) -> Iterator[Two]:
    both = Two(databases.clone(SCHEMA), databases.clone(SCHEMA))
    asyncio.run(_book(both.core, closed=True))
    asyncio.run(_book(both.west, closed=True, ledger="us", home="west", names=("1", "2")))
    yield both
    for database in (both.core, both.west):
        databases.drop(database)


def _ledger_of(made: Result) -> str:
    assert made.exit_code == 0, made.output
    ledger = json.loads(made.stdout)["batch"]["shard"]
    assert isinstance(ledger, str)
    return ledger


def test_a_transfer_is_found_in_whichever_database_it_is(two: Two) -> None:
    assert _ledger_of(two.call("prove", IN_WEST, "--json")) == "us"
    assert two.call("prove", IN_WEST, "--json", "--ledger", "main").exit_code == 3
    assert _ledger_of(two.call("prove", TRANSFER, "--json", "--ledger", "us")) == "us"
    assert _ledger_of(two.call("prove", TRANSFER, "--json", "--ledger", "main")) == "main"
    both = two.call("prove", TRANSFER, "--json")
    assert (both.exit_code, both.stdout) == (2, "")
    assert "is in the books of main and us; choose one with --ledger" in both.stderr
    unknown = two.call("prove", "tr_never", "--json")
    assert "error [transfer_unknown]" in unknown.stderr
    assert unknown.exit_code == 3
    assert two.call("prove", TRANSFER, "--json", "--ledger", "mars").exit_code == 3


def test_without_a_placement_the_databases_given_are_asked(two: Two) -> None:
    made = two.call("prove", TRANSFER, "--json", "--ledger", "us", placement="")
    assert _ledger_of(made) == "us"
    assert _ledger_of(two.call("prove", TRANSFER, "--json", placement="", dsns="")) == "main"


def test_roots_are_those_of_every_database_and_of_a_ledger_alone(two: Two) -> None:
    listed = json.loads(two.call("roots", "--json").stdout)
    assert [row["ledger"] for row in listed["roots"]] == ["main", "us"]
    assert [key["key_id"] for key in listed["keys"]] == [KEY.public.id]
    alone = json.loads(two.call("roots", "--json", "--ledger", "us").stdout)
    assert [row["ledger"] for row in alone["roots"]] == ["us"]


def test_a_database_that_is_needed_and_missing_or_another_one_is_refused(two: Two) -> None:
    assert _ledger_of(two.call("prove", TRANSFER, "--json", "--ledger", "main", dsns="")) == "main"
    for more in ((), ("--ledger", "us")):
        missing = two.call("prove", TRANSFER, *more, dsns="")
        assert missing.exit_code == 2
        assert "has databases west: give each" in missing.stderr
    swapped = two.call("roots", dsns=f"west={two.core.admin_dsn}")
    assert swapped.exit_code == 1
    assert "database west: its processes call this database core" in swapped.stderr


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
