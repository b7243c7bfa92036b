"""`tally migrate --only`: a further database gets one service's schema, and nothing else is touched."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from tally_cli.main import app
from tally_testkit import ServiceDatabase

pytestmark = pytest.mark.stack


def migrate(
    database: ServiceDatabase, var: Path, *arguments: str, dsn: str | None = None
) -> Result:
    environment = {
        "TALLY_POSTGRES_DSN": database.admin_dsn,
        "TALLY_LEDGER_POSTGRES_DSN": database.dsn("ledger") if dsn is None else dsn,
        # Nothing listens there: no topic is asked for.
        "TALLY_KAFKA": "127.0.0.1:1",
    }
    return CliRunner().invoke(app, ["migrate", "--var", str(var), *arguments], env=environment)


def schemas(database: ServiceDatabase) -> set[str]:
    with psycopg.connect(database.admin_dsn) as session:
        rows = session.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema|^public'"
        )
        return {row[0] for row in rows}


def test_a_further_database_gets_the_ledgers_schema_alone(
    fresh_database: Callable[..., ServiceDatabase], tmp_path: Path
) -> None:
    database = fresh_database()
    first = migrate(database, tmp_path, "--only", "ledger")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["migrations"]
    assert schemas(database) == {"ledger"}
    again = migrate(database, tmp_path, "--only", "ledger")
    assert json.loads(again.stdout) == {"migrations": []}
    assert list(tmp_path.iterdir()) == [], "no password is kept for another server"
    with psycopg.connect(database.dsn("ledger")) as session:
        assert session.execute("SELECT count(*) FROM ledger.home").fetchone() == (0,)


def test_what_is_missing_is_named_before_anything_is_made(
    fresh_database: Callable[..., ServiceDatabase], tmp_path: Path
) -> None:
    database = fresh_database()
    unknown = migrate(database, tmp_path, "--only", "ledgers")
    assert (unknown.exit_code, "[unknown_service]: ledgers" in unknown.output) == (2, True)
    nameless = migrate(database, tmp_path, "--only", "ledger", dsn="")
    assert (nameless.exit_code, "[role_password_missing]" in nameless.output) == (1, True)
    assert schemas(database) == set()
