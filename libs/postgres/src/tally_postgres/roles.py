"""Schemas, owners and login roles: no service can read what is another's."""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tally_postgres.errors import PasswordMissing, RoleTooPowerful
from tally_postgres.migration_files import Schema
from tally_postgres.names import login_role, owner_role

_Session = psycopg.Connection[TupleRow]


def provision(admin_dsn: str, schemas: Sequence[Schema], passwords: Mapping[str, str]) -> None:
    """Create or correct roles, schemas and grants; running it again changes nothing but passwords.

    `passwords` is keyed by schema name. The admin needs CREATEROLE and CREATE on the database, or
    to be a superuser. Passwords reach the server hashed (SCRAM), so no log holds them.
    """
    for schema in schemas:
        if not passwords.get(schema.name):
            raise PasswordMissing(schema.name)
    with psycopg.connect(
        admin_dsn, connect_timeout=10, application_name="tally_provision"
    ) as session:
        # Roles belong to the whole server: one provisioner at a time.
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended('tally_provision', 0))")
        database = sql.Identifier(session.info.dbname)
        _run(session, "REVOKE ALL ON DATABASE {db} FROM PUBLIC", db=database)
        _run(session, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for schema in schemas:
            _provision_one(session, schema.name, passwords[schema.name], database)


def _provision_one(session: _Session, schema: str, password: str, database: sql.Identifier) -> None:
    _ensure_role(session, owner_role(schema), "NOLOGIN")
    _ensure_role(session, login_role(schema), "LOGIN")
    owner, login = sql.Identifier(owner_role(schema)), sql.Identifier(login_role(schema))
    name = sql.Identifier(schema)
    _set_password(session, login_role(schema), password)
    defaults = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
    for statement in (
        "GRANT {owner} TO CURRENT_USER",
        "GRANT CONNECT ON DATABASE {db} TO {login}",
        "CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}",
        "ALTER SCHEMA {schema} OWNER TO {owner}",
        "REVOKE ALL ON SCHEMA {schema} FROM PUBLIC",
        "GRANT USAGE ON SCHEMA {schema} TO {login}",
        "ALTER ROLE {login} SET search_path = {schema}",
        f"{defaults} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {{login}}",
        f"{defaults} GRANT USAGE, SELECT ON SEQUENCES TO {{login}}",
        # EXECUTE for PUBLIC is a global default, so it can only be taken back globally.
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        f"{defaults} GRANT EXECUTE ON FUNCTIONS TO {{login}}",
    ):
        _run(session, statement, owner=owner, login=login, schema=name, db=database)


def _ensure_role(session: _Session, role: str, kind: str) -> None:
    row = session.execute(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication"
        " FROM pg_roles WHERE rolname = %s",
        (role,),
    ).fetchone()
    if row is None:
        _run(session, "CREATE ROLE {role} " + kind, role=sql.Identifier(role))
        return
    names = ("SUPERUSER", "CREATEROLE", "CREATEDB", "BYPASSRLS", "REPLICATION")
    rights = ", ".join(name for name, has in zip(names, row, strict=True) if has)
    if rights:
        raise RoleTooPowerful(role, rights)
    _run(session, "ALTER ROLE {role} " + kind, role=sql.Identifier(role))


def _set_password(session: _Session, role: str, password: str) -> None:
    hashed = session.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    _run(
        session,
        "ALTER ROLE {role} PASSWORD {hashed}",
        role=sql.Identifier(role),
        hashed=sql.Literal(hashed),
    )


def _run(session: _Session, template: str, **names: sql.Composable) -> None:
    session.execute(sql.SQL(template).format(**names))
