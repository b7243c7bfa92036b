"""Settings of the programs service."""

from pydantic import Field, SecretStr

from tally_messaging import MessagingSettings


class ProgramsSettings(MessagingSettings):
    """Where the service keeps its programs, and the ledger approved payments move money in."""

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_PROGRAMS_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the programs schema",
    )
    batch_interval_ms: int = Field(
        default=400,
        ge=0,
        le=10_000,
        description="no payment waits for this service: fewer, fuller batches cost less",
    )
    niceness: int = Field(
        default=5, ge=0, le=19, description="no payment waits for this service: money goes first"
    )
    ledger_name: str = Field(
        default="main",
        pattern=r"^[a-z][a-z0-9_.-]{0,63}$",
        description="the ledger that holds the funding wallets",
    )
