"""Settings of the payouts service."""

from pydantic import Field, SecretStr

from tally_messaging import MessagingSettings


class PayoutsSettings(MessagingSettings):
    """Where the service keeps its payouts, and the ledger it moves money in."""

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_PAYOUTS_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the payouts schema",
    )
    ledger_name: str = Field(
        default="main",
        pattern=r"^[a-z][a-z0-9_.-]{0,63}$",
        description="the ledger that holds the wallets payouts leave",
    )
    entity_country: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="country of the entity that books the wallets: its gate tables bind every payout",
    )
