"""Which ledgers live in which database, and what this process makes of a ledger's name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tally_ledger.errors import LedgerPlacedElsewhere, WrongDatabase
from tally_postgres import Connection
from tally_runtime import get_logger

CORE = "core"
"""The database that answers for every ledger nobody names; an installation of one has this one."""

_NAME = r"[a-z][a-z0-9_.-]{0,63}"
_DATABASE = r"[a-z][a-z0-9_-]{0,31}"
PATTERN = rf"{_DATABASE}:{_NAME}(,{_NAME})*(;{_DATABASE}:{_NAME}(,{_NAME})*)*"
_LOG = get_logger("tally_ledger.placement")

_CLAIM = "INSERT INTO home (database) VALUES ($1) ON CONFLICT DO NOTHING"
_HOME = "SELECT database FROM home"
_OPEN = "SELECT shard FROM shard_state ORDER BY shard"


@dataclass(frozen=True, slots=True)
class Placement:
    """The databases of an installation with their ledgers, as one of them sees it.

    Each ledger is answered for by exactly one database: the one that names it, else `core`.
    """

    database: str
    own: frozenset[str]
    elsewhere: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ledgers: Mapping[str, frozenset[str]], database: str) -> Self:
        """The placement as seen from `database`, which is one of the mapping's."""
        others = (names for place, names in ledgers.items() if place != database)
        return cls(database, ledgers[database], frozenset().union(*others))

    @property
    def group(self) -> str:
        """The consumer group of this database's processes, which is their name in the inbox too."""
        return "ledger" if self.database == CORE else f"ledger.{self.database}"

    def answers_for(self, ledger: str) -> bool:
        """Whether this database answers what is asked of a ledger."""
        return ledger not in self.elsewhere if self.database == CORE else ledger in self.own

    def wants(self, key: bytes | None) -> bool:
        """Whether a record is this database's business, by its key, which is the ledger's name."""
        return self.answers_for("" if key is None else key.decode("utf-8", "replace"))


def parse(text: str) -> dict[str, frozenset[str]]:
    """Ledgers by database from `core:main,eu;west:us`.

    Raises `ValueError` for a text of another form, a name given twice, or a missing `core`.
    """
    if re.fullmatch(PATTERN, text) is None:
        raise ValueError("is written like core:main,eu;west:us")
    databases: dict[str, frozenset[str]] = {}
    named: set[str] = set()
    for part in text.split(";"):
        database, _, names = part.partition(":")
        if database in databases:
            raise ValueError(f"names database {database} twice; list its ledgers in one place")
        ledgers = names.split(",")
        for ledger in ledgers:
            if ledger in named:
                raise ValueError(f"places ledger {ledger} twice; it lives in one database")
            named.add(ledger)
        databases[database] = frozenset(ledgers)
    if CORE not in databases:
        raise ValueError(f"lacks database {CORE}, which answers for ledgers nobody names")
    return databases


async def home_of(conn: Connection) -> str | None:
    """The database's name in the installation, None before its first process."""
    found: str | None = await conn.fetchval(_HOME)
    return found


async def settle_in(conn: Connection, placement: Placement) -> None:
    """Make sure that this database is the one meant, and holds no books placed elsewhere.

    The first process to come names the database for good. Raises `WrongDatabase` or
    `LedgerPlacedElsewhere`.
    """
    await conn.execute(_CLAIM, placement.database)
    home = await home_of(conn)
    assert home is not None, "it was claimed just now"
    if home != placement.database:
        raise WrongDatabase(home, placement.database)
    for row in await conn.fetch(_OPEN):
        ledger: str = row[0]
        if ledger in placement.elsewhere:
            raise LedgerPlacedElsewhere(ledger, placement.database)
        if ledger not in placement.own:
            _LOG.warning(
                "ledger_not_named",
                ledger=ledger,
                database=placement.database,
                remedy="its books are here: name it in the settings of every process",
            )
