"""Forward-only migrations: plain SQL, one version table per schema and source (ADR 0002)."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow

from tally_postgres.connection import Pool
from tally_postgres.errors import (
    MigrationEdited,
    MigrationFailed,
    MigrationLockTimeout,
    MigrationsPending,
)
from tally_postgres.migration_files import MigrationFile, MigrationSource, Schema, read_files
from tally_postgres.names import login_role, owner_role

APPLICATION_NAME = "tally_migrate"
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "15min"
RUNNER_WAIT_S = 120.0
_RUNNER_POLL_S = 0.1

_Session = psycopg.Connection[TupleRow]


def migrate(admin_dsn: str, schema: Schema, *, wait_s: float = RUNNER_WAIT_S) -> list[str]:
    """Apply what is missing, as the schema's owner, and return it as "source/file.sql".

    Each file is one transaction together with its version row, so a file is kept whole or not at
    all. A second runner waits for the first. Files are checked before any is applied: an edited
    one raises `MigrationEdited`. Versions the code does not know (a later release went first) are
    left alone.
    """
    files = {source: read_files(source) for source in schema.migrations}
    done: list[str] = []
    with _connect(admin_dsn) as session, _runner_lock(session, schema, wait_s):
        session.execute(f"SET ROLE {owner_role(schema.name)}".encode())
        for source in files:
            _create_version_table(session, schema, source)
        missing = {
            source: _missing(schema, known, _applied(session, schema, source))
            for source, known in files.items()
        }
        for source, todo in missing.items():
            for file in todo:
                _apply(session, schema, source, file)
                done.append(f"{source.name}/{file.path.name}")
    return done


def pending(dsn: str, schema: Schema) -> list[str]:
    """Return what `migrate` would apply; the schema's login role may ask."""
    with _connect(dsn) as session:
        return [
            f"{source.name}/{file.path.name}"
            for source in schema.migrations
            for file in _missing(schema, read_files(source), _applied(session, schema, source))
        ]


async def verify_version(pool: Pool, schema: Schema) -> None:
    """Raise `MigrationsPending` or `MigrationEdited` unless the database fits this code."""
    names: list[str] = []
    for source in schema.migrations:
        rows: dict[int, tuple[str, str]] = {}
        if await pool.fetchval("SELECT to_regclass($1)", _table(schema, source)) is not None:
            query = f"SELECT number, name, checksum FROM {_table(schema, source)}"
            rows = {
                row["number"]: (row["name"], row["checksum"]) for row in await pool.fetch(query)
            }
        files = read_files(source)
        names += [f"{source.name}/{file.path.name}" for file in _missing(schema, files, rows)]
    if names:
        raise MigrationsPending(schema.name, names)


def _connect(dsn: str) -> _Session:
    return psycopg.connect(
        dsn, autocommit=True, connect_timeout=10, application_name=APPLICATION_NAME
    )


@contextmanager
def _runner_lock(session: _Session, schema: Schema, wait_s: float) -> Iterator[None]:
    key = f"tally_migrate:{schema.name}"
    deadline = time.monotonic() + wait_s
    # Polled rather than waited for: a waiting statement holds a snapshot, and a concurrent index
    # build of the first runner waits for old snapshots to end.
    while not _try_lock(session, key):
        if time.monotonic() >= deadline:
            raise MigrationLockTimeout(schema.name, wait_s)
        time.sleep(_RUNNER_POLL_S)
    yield  # the lock ends with the session, however that ends


def _try_lock(session: _Session, key: str) -> bool:
    row = session.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)).fetchone()
    return row is not None and bool(row[0])


def _table(schema: Schema, source: MigrationSource) -> str:
    return f"{schema.name}.migration_{source.name}"


def _create_version_table(session: _Session, schema: Schema, source: MigrationSource) -> None:
    table = _table(schema, source)
    with session.transaction():
        session.execute(
            f"""
            CREATE TABLE IF NOT EXISTS {table} (
                number integer PRIMARY KEY,
                name text NOT NULL,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now(),
                applied_by text NOT NULL DEFAULT session_user
            );
            REVOKE ALL ON {table} FROM {login_role(schema.name)};
            GRANT SELECT ON {table} TO {login_role(schema.name)};
            """.encode()
        )


def _applied(
    session: _Session, schema: Schema, source: MigrationSource
) -> dict[int, tuple[str, str]]:
    table = _table(schema, source)
    found = session.execute("SELECT to_regclass(%s)", (table,)).fetchone()
    if found is None or found[0] is None:
        return {}
    rows = session.execute(f"SELECT number, name, checksum FROM {table}".encode())
    return {number: (name, checksum) for number, name, checksum in rows}


def _missing(
    schema: Schema, files: tuple[MigrationFile, ...], applied: Mapping[int, tuple[str, str]]
) -> list[MigrationFile]:
    todo = []
    for file in files:
        if file.number not in applied:
            todo.append(file)
            continue
        name, checksum = applied[file.number]
        if not file.is_same_as(checksum):
            raise MigrationEdited(file.path, schema.name, name)
    return todo


def _apply(session: _Session, schema: Schema, source: MigrationSource, file: MigrationFile) -> None:
    settings = (
        f"SET search_path = {schema.name}; SET lock_timeout = '{LOCK_TIMEOUT}'; "
        f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"
    )
    try:
        session.execute(settings.encode())
        if file.in_transaction:
            with session.transaction():
                session.execute(file.sql)
                _record(session, schema, source, file)
        else:
            # Safe to run twice by its author's care: Postgres cannot undo it with the version row.
            session.execute(file.sql)
            _record(session, schema, source, file)
    except psycopg.Error as error:
        raise MigrationFailed(file.path, schema.name, str(error)) from error


def _record(
    session: _Session, schema: Schema, source: MigrationSource, file: MigrationFile
) -> None:
    session.execute(
        f"INSERT INTO {_table(schema, source)} (number, name, checksum) VALUES (%s, %s, %s)".encode(),
        (file.number, file.path.name, file.checksum),
    )
