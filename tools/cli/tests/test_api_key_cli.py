"""`tally api-key`: the first keys of an installation, printed once and kept as a hash."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from tally_cli.main import app
from tally_gateway.app import SCHEMA
from tally_runtime import derived_id
from tally_security.api_keys import ApiKey
from tally_testkit import ServiceDatabase

COMPANY, ROOT = derived_id("party", "acme"), derived_id("party", "root")


@pytest.fixture
def tally(
    fresh_database: Callable[..., ServiceDatabase],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Callable[..., Result]:
    """Runs `tally` against a database that knows one company."""
    database = fresh_database(SCHEMA)
    monkeypatch.setenv("TALLY_POSTGRES_DSN", database.admin_dsn)
    monkeypatch.setenv("TALLY_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("TALLY_VAR", str(tmp_path))
    monkeypatch.setenv("TALLY_GATEWAY_POSTGRES_DSN", database.dsn("gateway"))
    with psycopg.connect(database.admin_dsn) as session:
        session.execute(
            "INSERT INTO gateway.party_node (party_id, tenant, kind, path, known_at)"
            " VALUES (%s, %s, 'company', %s, now())",
            (COMPANY, ROOT, [ROOT]),
        )

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["api-key", *arguments])

    run.admin_dsn = database.admin_dsn  # type: ignore[attr-defined]
    return run


def rows(tally: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(tally.admin_dsn) as session:
        return session.execute(
            "SELECT party, tenant, scopes, secret_digest, revoked_at FROM gateway.credential"
        ).fetchall()


def test_a_key_of_a_party_is_printed_and_only_its_hash_is_kept(
    tally: Callable[..., Result],
) -> None:
    done = tally("create", "--party", COMPANY, "--scopes", "payouts:write,events:read")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    ((party, tenant, scopes, digest, revoked),) = rows(tally)
    assert (party, tenant, revoked) == (COMPANY, ROOT, None)
    assert scopes == ["events:read", "payouts:write"] == made["scopes"]
    assert ApiKey.parse(made["secret"]).digest == bytes(digest)


def test_the_operators_first_key_needs_no_party(tally: Callable[..., Result]) -> None:
    done = tally("create")
    assert done.exit_code == 0, done.output
    ((party, tenant, _, _, _),) = rows(tally)
    assert (party, tenant) == ("operator", "operator")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--party", ROOT), 3, "party_unknown"),
        (("--scopes", "everything"), 2, "scope_unknown"),
        (("--scopes", ""), 2, "scope_unknown"),
    ],
)
def test_a_wrong_word_makes_nothing_and_says_what_to_do(
    tally: Callable[..., Result], arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = tally("create", *arguments)
    assert done.exit_code == code
    assert told in done.stderr
    assert done.stdout == ""
    assert rows(tally) == []


def test_a_revoked_key_has_ended_and_an_unknown_one_is_not_found(
    tally: Callable[..., Result],
) -> None:
    made = json.loads(tally("create").stdout)
    assert tally("revoke", made["id"]).exit_code == 0
    assert rows(tally)[0][4] is not None
    assert tally("revoke", "key_01h455vb4pex5vsknk084sn02q").exit_code == 3
