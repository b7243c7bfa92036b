"""Migrations are safe to run beside a working platform, and every schema is walled off."""

from collections.abc import Callable

import asyncpg
import pytest

from tally_cli.platform import SERVICES, package
from tally_postgres import Schema, lint
from tally_testkit import ServiceDatabase


@pytest.mark.parametrize("name", SERVICES)
def test_migrations_pass_the_linter(name: str) -> None:
    schema = package(name).schema
    files = sorted(file for source in schema.migrations for file in source.directory.glob("*.sql"))
    assert files
    assert [str(finding) for finding in lint(files)] == []


async def test_each_role_sees_only_its_own_schema(
    fresh_database: Callable[..., ServiceDatabase],
) -> None:
    schemas: list[Schema] = [package(name).schema for name in SERVICES]
    database = fresh_database(*schemas)
    for own in SERVICES:
        session = await asyncpg.connect(database.dsn(own))
        try:
            rows = await session.fetch(
                "SELECT table_schema AS s, table_name AS t FROM information_schema.tables "
                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
            assert {row["s"] for row in rows} == {own}
            for other in SERVICES:
                if other == own:
                    assert await session.fetchval(f"SELECT count(*) FROM {other}.inbox") == 0
                    continue
                for statement in (
                    f"SELECT count(*) FROM {other}.inbox",
                    f"DELETE FROM {other}.outbox",
                    f"CREATE TABLE {other}.intruder (id int)",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await session.execute(statement)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute("CREATE TABLE public.intruder (id int)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute("CREATE SCHEMA intruder")
        finally:
            await session.close()
