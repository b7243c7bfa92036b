"""Wallets of before whose clocks may go by the law of the root's country, as migrations have marked them."""

from collections.abc import Collection, Sequence

from tally_postgres import Connection

_TO_ASK = "SELECT account FROM claimable_wallet WHERE ask_law ORDER BY account LIMIT $1"

_ASKED = "UPDATE claimable_wallet SET ask_law = false WHERE account = ANY($1::text[])"


async def to_ask(conn: Connection, limit: int) -> Sequence[str]:
    """Accounts of up to `limit` wallets whose law is to be asked."""
    return [row[0] for row in await conn.fetch(_TO_ASK, limit)]


async def set_asked(conn: Connection, accounts: Collection[str]) -> None:
    """The law of these wallets was asked; the caller holds the rows' locks."""
    await conn.execute(_ASKED, list(accounts))
