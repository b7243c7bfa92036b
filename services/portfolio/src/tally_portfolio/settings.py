"""Settings of the portfolio service."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from tally_messaging import MessagingSettings
from tally_security.internal import InternalKeyInvalid, InternalKeys


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
    read_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        max_length=255,
        validation_alias="TALLY_PORTFOLIO_READ_HOST",
    )
    read_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        validation_alias="TALLY_PORTFOLIO_READ_PORT",
        description="where the gateway asks; 0 turns the read API off",
    )
    internal_key: SecretStr | None = Field(
        default=None,
        validation_alias="TALLY_INTERNAL_KEY",
        description="base64 of 32 bytes that the gateway signs with; previous keys behind commas",
    )
    statement_settled_s: int = Field(
        default=300,
        ge=0,
        le=86_400,
        description="how old the end of a statement must be: no fact of it is on its way any more",
    )

    @model_validator(mode="after")
    def _reads_are_guarded(self) -> Self:
        if self.read_port:
            try:
                self.keys()
            except InternalKeyInvalid as error:
                raise ValueError(
                    f"TALLY_INTERNAL_KEY is needed where TALLY_PORTFOLIO_READ_PORT is set: {error}"
                ) from error
        return self

    def keys(self) -> InternalKeys:
        """The keys that viewers are signed with; raises InternalKeyInvalid."""
        given = "" if self.internal_key is None else self.internal_key.get_secret_value()
        return InternalKeys.parse(given)
