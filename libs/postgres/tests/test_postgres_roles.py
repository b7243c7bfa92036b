from collections.abc import AsyncIterator, Callable

import asyncpg
import psycopg
import pytest

from tally_postgres import (
    MigrationSource,
    PasswordMissing,
    Pool,
    RoleTooPowerful,
    Schema,
    create_pool,
    migrate,
    provision,
    service_dsn,
)

from .conftest import PASSWORDS, Database

Write = Callable[..., MigrationSource]

TABLES = """
CREATE TABLE secret (id bigserial PRIMARY KEY, value text NOT NULL);
INSERT INTO secret (value) VALUES ('theirs');
CREATE FUNCTION reveal() RETURNS text LANGUAGE sql AS 'SELECT value FROM secret';
CREATE FUNCTION reveal_as_owner() RETURNS text LANGUAGE sql SECURITY DEFINER
    AS 'SELECT value FROM secret';
"""


@pytest.fixture
def walled(provisioned: Database, write_source: Write) -> Database:
    source = write_source("core", tables=TABLES)
    for name in PASSWORDS:
        migrate(provisioned.admin_dsn, Schema(name, (source,)))
    return provisioned


@pytest.fixture(params=sorted(PASSWORDS))
def schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def other(schema: str) -> str:
    (other,) = PASSWORDS.keys() - {schema}
    return other


@pytest.fixture
async def service(walled: Database, schema: str) -> AsyncIterator[Pool]:
    pool = await create_pool(walled.dsn(schema), schema=schema, application_name="pgtest")
    yield pool
    await pool.close()


async def test_a_service_uses_all_of_its_own_schema(service: Pool) -> None:
    await service.execute("INSERT INTO secret (value) VALUES ('mine')")
    await service.execute("UPDATE secret SET value = 'ours' WHERE value = 'theirs'")
    assert await service.fetchval("SELECT count(*) FROM secret") == 2
    assert await service.fetchval("SELECT reveal()") is not None
    assert await service.execute("DELETE FROM secret") == "DELETE 2"


async def accepted(service: Pool, *statements: str) -> list[str]:
    """Return the statements that were not refused for want of a right."""
    done = []
    for statement in statements:
        try:
            await service.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        done.append(statement)
    return done


async def test_a_service_is_refused_everything_of_another_schema(service: Pool, other: str) -> None:
    assert (
        await accepted(
            service,
            f"SELECT * FROM {other}.secret",
            f"INSERT INTO {other}.secret (value) VALUES ('x')",
            f"UPDATE {other}.secret SET value = 'x'",
            f"DELETE FROM {other}.secret",
            f"TRUNCATE {other}.secret",
            f"BEGIN; LOCK TABLE {other}.secret; COMMIT",
            f"SELECT nextval('{other}.secret_id_seq')",
            f"SELECT {other}.reveal()",
            f"SELECT {other}.reveal_as_owner()",
            f"SELECT * FROM {other}.migration_core",
            f"CREATE TABLE {other}.mine (id int)",
            f"SET ROLE tally_{other}",
            f"SET ROLE tally_{other}_owner",
        )
        == []
    )


async def test_a_service_cannot_change_what_its_owner_built(service: Pool, schema: str) -> None:
    assert (
        await accepted(
            service,
            f"DROP TABLE {schema}.secret",
            f"TRUNCATE {schema}.secret",
            f"ALTER TABLE {schema}.secret ADD x int",
            f"CREATE TABLE {schema}.mine (id int)",
            "CREATE TABLE public.mine (id int)",
            "CREATE TEMP TABLE mine (id int)",
            "CREATE SCHEMA mine",
            f"SET ROLE tally_{schema}_owner",
            f"UPDATE {schema}.migration_core SET checksum = ''",
            f"COPY {schema}.secret TO PROGRAM 'cat'",
        )
        == []
    )


def test_the_owner_cannot_log_in(provisioned: Database) -> None:
    dsn = service_dsn(provisioned.admin_dsn, "tally_pgtest_alpha_owner", "x")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)


def test_provisioning_again_keeps_data_and_takes_the_new_password(walled: Database) -> None:
    schemas = [Schema(name, ()) for name in PASSWORDS]
    old = walled.dsn("pgtest_alpha")
    new = {**PASSWORDS, "pgtest_alpha": "rotated"}
    provision(walled.admin_dsn, schemas, new)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(old)
    with psycopg.connect(service_dsn(old, "tally_pgtest_alpha", "rotated")) as session:
        assert session.execute("SELECT value FROM secret").fetchall() == [("theirs",)]


def test_passwords_are_kept_hashed(provisioned: Database) -> None:
    rows = provisioned.as_admin("SELECT rolpassword FROM pg_authid WHERE rolname ~ 'pgtest_a.*a$'")
    assert len(rows) == 1
    assert str(rows[0][0]).startswith("SCRAM-SHA-256$")


def test_an_admin_that_is_no_superuser_can_provision_and_migrate(
    database: Database, write_source: Write
) -> None:
    database.as_admin(
        "CREATE ROLE pgtest_admin LOGIN CREATEROLE PASSWORD 'admin';"
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO pgtest_admin', current_database());"
        " END $$"
    )
    admin = service_dsn(database.admin_dsn, "pgtest_admin", "admin")
    schema = Schema("pgtest_gamma", (write_source("core", tables=TABLES),))
    provision(admin, [schema], {"pgtest_gamma": "g"})
    provision(admin, [schema], {"pgtest_gamma": "g"})
    assert migrate(admin, schema) == ["core/0001_tables.sql"]
    with psycopg.connect(service_dsn(admin, "tally_pgtest_gamma", "g")) as session:
        assert session.execute("SELECT value FROM secret").fetchall() == [("theirs",)]


@pytest.mark.parametrize("right", ["SUPERUSER", "BYPASSRLS", "CREATEROLE"])
def test_a_role_that_could_climb_the_walls_is_refused(database: Database, right: str) -> None:
    name = f"pgtest_{right.lower()}"
    database.as_admin(f"CREATE ROLE tally_{name} LOGIN {right}")
    with pytest.raises(RoleTooPowerful, match=right):
        provision(database.admin_dsn, [Schema(name, ())], {name: "x"})
    assert database.as_admin(f"SELECT 1 FROM pg_namespace WHERE nspname = '{name}'") == []


@pytest.mark.parametrize("passwords", [{}, {"pgtest_alpha": ""}])
def test_no_role_without_a_password(database: Database, passwords: dict[str, str]) -> None:
    with pytest.raises(PasswordMissing, match="pgtest_alpha"):
        provision(database.admin_dsn, [Schema("pgtest_alpha", ())], passwords)
