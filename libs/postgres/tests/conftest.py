"""A real Postgres for the session, an empty database for each test, two provisioned schemas."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tally_embedded import Stack, running_stack
from tally_postgres import MigrationSource, Pool, Schema, create_pool, provision, service_dsn
from tally_postgres.names import login_role
from tally_runtime import Ids

PASSWORDS = {"pgtest_alpha": "alpha p@ss/word:1", "pgtest_beta": "beta"}


@dataclass(frozen=True)
class Database:
    """One test's database: how to reach it as the admin and as a service."""

    admin_dsn: str

    def dsn(self, schema: str) -> str:
        return service_dsn(self.admin_dsn, login_role(schema), PASSWORDS[schema])

    def as_admin(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.admin_dsn, autocommit=True) as session:
            cursor = session.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    var = tmp_path_factory.mktemp("stack")
    with running_stack(var, kafka=False, ephemeral=True, durable=False) as stack:
        yield stack


@pytest.fixture(scope="session")
def server_dsn(stack: Stack) -> Iterator[str]:
    dsn = stack.address.postgres_dsn
    yield dsn
    with psycopg.connect(dsn, autocommit=True) as session:
        rows = session.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%pgtest%'")
        for (role,) in rows.fetchall():
            session.execute(f'DROP ROLE "{role}"'.encode())


@pytest.fixture
def database(server_dsn: str) -> Iterator[Database]:
    name = Ids().new("pgtest")
    with psycopg.connect(server_dsn, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    yield Database(urlunsplit(urlsplit(server_dsn)._replace(path=f"/{name}")))
    with psycopg.connect(server_dsn, autocommit=True) as session:
        session.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def provisioned(database: Database) -> Database:
    provision(database.admin_dsn, [Schema(name, ()) for name in PASSWORDS], PASSWORDS)
    return database


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    pool = await create_pool(
        database.admin_dsn, schema="public", application_name="pgtest", max_size=4
    )
    yield pool
    with contextlib.suppress(Exception):
        await pool.close()


@pytest.fixture
def write_source(tmp_path: Path) -> Callable[..., MigrationSource]:
    """Write SQL files into a source: `write_source("ledger", first="…", second="…")`."""

    def write(name: str, **files: str) -> MigrationSource:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        for number, (label, sql) in enumerate(files.items(), start=1):
            (directory / f"{number:04d}_{label}.sql").write_text(sql, encoding="utf-8")
        return MigrationSource(name, directory)

    return write
