"""How rows are written: many at once, and never over a newer one."""

from collections.abc import Sequence
from dataclasses import dataclass

from tally_postgres import Connection
from tally_programs.errors import StaleRow

_ACROSS_TENANTS = "SELECT set_config('tally.tenant', '*', true)"


async def across_tenants(conn: Connection) -> None:
    """Let this transaction see every tenant's rows: a consumer works for all of them."""
    await conn.execute(_ACROSS_TENANTS)


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows carry a `sequence` that rises with each change.

    `columns`: name and type, the key first; `changing` are the ones a later row may change, `later`
    tells a later row (`excluded`) from the one that is there (`t`).
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    changing: tuple[str, ...]
    later: str = "t.sequence < excluded.sequence"

    @property
    def names(self) -> str:
        return ", ".join(name for name, _ in self.columns)

    @property
    def save_sql(self) -> str:
        """Insert, or change a row that is older; what is not older is left and not counted."""
        arrays = ", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(self.columns, 1))
        changes = ", ".join(f"{name} = excluded.{name}" for name in self.changing)
        return (
            f"INSERT INTO {self.name} AS t ({self.names})\n"
            f"SELECT {self.names} FROM unnest({arrays}) AS r ({self.names})\n"
            f"ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {changes}\n"
            f"WHERE {self.later}"
        )

    async def save(self, conn: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Write rows; raise `StaleRow` if any was changed since it was loaded."""
        if not rows:
            return
        status = await conn.execute(self.save_sql, *zip(*rows, strict=True))
        if status != f"INSERT 0 {len(rows)}":
            raise StaleRow(self.name, len(rows), status)
