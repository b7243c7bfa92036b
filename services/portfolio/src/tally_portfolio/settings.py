"""Settings of the portfolio service."""

from pydantic import Field, SecretStr

from tally_messaging import MessagingSettings


class PortfolioSettings(MessagingSettings):
    """Where the read models are kept."""

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_PORTFOLIO_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the portfolio schema",
    )
    batch_interval_ms: int = Field(
        default=400,
        ge=0,
        le=10_000,
        description="a view a moment behind costs far less than one up to the moment",
    )
    fetch_wait_ms: int = Field(
        default=400, ge=1, le=5_000, description="longest the broker gathers facts for one answer"
    )
