"""Where the oracle looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from tally_contracts.catalogue import further_groups
from tally_postgres import Connection

SCHEMAS = ("funding", "ledger", "payouts", "rails", "portfolio")
"""Services without which there is nothing to judge."""

FURTHER = ("directory", "programs", "kyc", "gateway")
"""Services that are judged where their schemas are there."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Read access to everything that can testify.

    `postgres_dsn` is an administrator's or operator's: it reads every schema in `schemas` and may
    make temporary tables. `kafka` are bootstrap servers. Without `bank_url` the bank's book is not
    compared. `ledger_keys` are the Ed25519 public keys (32 bytes each) that daily roots must be signed
    with; without any, the ledger's own word for its keys is taken. `ledger_dsns` are those of further
    databases of the ledger by their name in the placement, for a role that may do there the same.
    """

    postgres_dsn: str
    kafka: str
    bank_url: str | None = None
    schemas: tuple[str, ...] = SCHEMAS
    ledger_keys: tuple[bytes, ...] = ()
    ledger_dsns: Mapping[str, str] = field(default_factory=dict)

    async def present(self, conn: Connection) -> Self:
        """The same with those of `FURTHER` whose schemas are in the database."""
        rows = await conn.fetch(
            "SELECT nspname::text FROM pg_namespace WHERE nspname = ANY($1::text[])", list(FURTHER)
        )
        found = {row[0] for row in rows}
        more = tuple(name for name in FURTHER if name in found and name not in self.schemas)
        return replace(self, schemas=(*self.schemas, *more))

    @property
    def groups(self) -> frozenset[str]:
        """The consumer groups of the services, one for each database of the ledger."""
        further = (group for name in self.schemas for group in further_groups(name))
        databases = (f"ledger.{name}" for name in self.ledger_dsns)
        return frozenset((*self.schemas, *further, *databases))
