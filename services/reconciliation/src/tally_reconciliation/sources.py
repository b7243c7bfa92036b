"""Where the oracle looks."""

from dataclasses import dataclass

SCHEMAS = ("funding", "ledger", "payouts", "rails", "portfolio")


@dataclass(frozen=True, slots=True)
class Sources:
    """Read access to everything that can testify.

    `postgres_dsn` is an administrator's or operator's: it reads every schema in `schemas` and may
    make temporary tables. `kafka` are bootstrap servers. Without `bank_url` the bank's book is not
    compared. `ledger_keys` are the Ed25519 public keys (32 bytes each) that daily roots must be signed
    with; without any, the ledger's own word for its keys is taken.
    """

    postgres_dsn: str
    kafka: str
    bank_url: str | None = None
    schemas: tuple[str, ...] = SCHEMAS
    ledger_keys: tuple[bytes, ...] = ()
