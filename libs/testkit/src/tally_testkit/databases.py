"""Databases for tests: migrated once per set of schemas, then cloned for each test."""

import itertools
import os
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tally_postgres import Schema, login_role, migrate, provision, service_dsn

PASSWORD = "for-tests-only"  # noqa: S105 - of throw-away databases on loopback


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """One test's database."""

    name: str
    admin_dsn: str

    def dsn(self, schema: str) -> str:
        """Connection string of the service that owns `schema`."""
        return service_dsn(self.admin_dsn, login_role(schema), PASSWORD)


class Databases:
    """Creates and drops databases on one server."""

    def __init__(self, admin_dsn: str) -> None:
        self._admin_dsn = admin_dsn
        self._templates: dict[tuple[Schema, ...], str] = {}
        self._numbers = itertools.count(1)
        self._prefix = f"t{os.getpid()}"

    def clone(self, *schemas: Schema) -> ServiceDatabase:
        """A new database with these schemas migrated."""
        # Not by their names: a test may call a schema as a service does, and give it other tables.
        template = self._templates.get(schemas)
        if template is None:
            template = self._create(f"{self._prefix}_template_{next(self._numbers)}")
            dsn = self._dsn(template)
            provision(dsn, schemas, {schema.name: PASSWORD for schema in schemas})
            for schema in schemas:
                migrate(dsn, schema)
            self._templates[schemas] = template
        name = self._create(f"{self._prefix}_{next(self._numbers)}", template=template)
        return ServiceDatabase(name, self._dsn(name))

    def drop(self, database: ServiceDatabase) -> None:
        """Drop a database, whoever is still connected."""
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def _create(self, name: str, template: str = "template0") -> str:
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._admin_dsn, autocommit=True) as session:
            session.execute(statement)

    def _dsn(self, name: str) -> str:
        return urlunsplit(urlsplit(self._admin_dsn)._replace(path=f"/{name}"))
