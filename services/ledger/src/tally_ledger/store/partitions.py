"""Months of the append-only tables, made ahead of time (migration 0003, ADR 0004)."""

from datetime import datetime
from typing import NamedTuple

from tally_postgres import Connection, Pool

BY_MONTH = ("entry", "log")
MONTHS_AHEAD = 3

_ENSURE = "SELECT ensure_partitions($1, $2, $3)"

# What no month is there for lies in the rest, which begins where the last month ends.
_REST = r"""
SELECT substring(pg_get_expr(relpartbound, oid) FROM $re$FROM \('([^']+)'\)$re$)::timestamptz
FROM pg_class WHERE oid = $1::regclass
"""
_USED = "SELECT EXISTS (SELECT FROM {table}_rest)"


class Rest(NamedTuple):
    """Where a table's months end, None where there are none, and whether rows lie behind that."""

    begins: datetime | None
    used: bool


async def rest_of(pool: Pool, table: str) -> Rest:
    """The state of one of the tables by month."""
    assert table in BY_MONTH, "only these have months"
    begins = await pool.fetchval(_REST, f"{table}_rest")
    return Rest(begins, await pool.fetchval(_USED.format(table=table)))


async def ensure_partitions(conn: Connection, table: str, now: datetime) -> int:
    """Make the months of `table` from `now` on that are missing; how many partitions were made.

    To be called outside other work, one transaction per table: it locks the table for some
    milliseconds, and fails with 55P03 if a long reader is in the way.
    """
    made: int = await conn.fetchval(_ENSURE, table, now, MONTHS_AHEAD)
    return made
