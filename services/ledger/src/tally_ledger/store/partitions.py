"""Months of the append-only tables, made ahead of time (migration 0003, ADR 0004)."""

from datetime import datetime

from tally_postgres import Connection

BY_MONTH = ("entry", "log")
MONTHS_AHEAD = 3

_ENSURE = "SELECT ensure_partitions($1, $2, $3)"


async def ensure_partitions(conn: Connection, table: str, now: datetime) -> int:
    """Make the months of `table` from `now` on that are missing; how many partitions were made.

    To be called outside other work, one transaction per table: it locks the table for some
    milliseconds, and fails with 55P03 if a long reader is in the way.
    """
    made: int = await conn.fetchval(_ENSURE, table, now, MONTHS_AHEAD)
    return made
