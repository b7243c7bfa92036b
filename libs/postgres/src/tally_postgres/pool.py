"""Connection pools: one schema, exact numbers, every wait bounded."""

import json
from decimal import Decimal
from typing import cast

import asyncpg
from pydantic_core import to_json

from tally_postgres.connection import Pool
from tally_postgres.names import checked_name

STATEMENT_TIMEOUT_S = 30
LOCK_TIMEOUT_S = 5
IDLE_IN_TRANSACTION_TIMEOUT_S = 60
CONNECT_TIMEOUT_S = 10
# The server answers first; this one is for a server that no longer answers.
_COMMAND_TIMEOUT_S = STATEMENT_TIMEOUT_S + 5


async def create_pool(
    dsn: str, *, schema: str, application_name: str, min_size: int = 1, max_size: int = 8
) -> Pool:
    """Open a pool whose sessions see `schema` only.

    NUMERIC without a fraction part reads as int, with one as Decimal (by the column's scale, not
    by the value); it takes int and Decimal, never float. json and jsonb are Python objects.
    Sessions lost to a restart are replaced when next acquired; with several hosts in the DSN, the
    writable one is taken.
    """
    pool = await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=_COMMAND_TIMEOUT_S,
        target_session_attrs="read-write",
        init=_set_codecs,
        reset=_keep_session,
        server_settings={
            "search_path": checked_name(schema),
            "application_name": application_name,
            "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
            "lock_timeout": f"{LOCK_TIMEOUT_S}s",
            "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_TIMEOUT_S}s",
            "timezone": "UTC",
            # A prepared plan is kept for the session's life, and one made while a table was small would
            # read all of it for ever: what has an index is read by it.
            "enable_seqscan": "off",
        },
    )
    return cast("Pool", pool)


async def _keep_session(_: asyncpg.Connection) -> None:
    """Spare the round trip that undoes session state: units of work leave none behind.

    They use SET LOCAL and cursors inside a transaction only, no advisory locks and no LISTEN.
    """


async def _set_codecs(connection: asyncpg.Connection) -> None:
    # Text is the faster form here: asyncpg's own NUMERIC codec builds every value digit by digit.
    await connection.set_type_codec(
        "numeric", schema="pg_catalog", encoder=encode_numeric, decoder=decode_numeric
    )
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_encode_json, decoder=json.loads
        )


def encode_numeric(value: object) -> str:
    """Write an int or Decimal for Postgres; anything else, floats above all, is a TypeError."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"NUMERIC takes int or Decimal, not {type(value).__name__}")


def decode_numeric(text: str) -> int | Decimal:
    """Read what Postgres writes: no decimal point means int."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


def _encode_json(value: object) -> str:
    # Five times as fast as the standard library. What is no number in JSON is left for the server to refuse.
    return to_json(value, inf_nan_mode="constants").decode()
