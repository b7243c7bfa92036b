"""Settings of the gateway."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from tally_contracts.base import Slug, Token
from tally_messaging import MessagingSettings
from tally_messaging.settings import BatchBytes, BatchRecords
from tally_runtime import Environment

_KEY_BYTES_MIN = 32


def _key(value: SecretStr) -> SecretStr:
    for part in value.get_secret_value().split(","):
        try:
            key = base64.b64decode(part.strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) < _KEY_BYTES_MIN:
            raise ValueError("should be base64 of 32 bytes or more: `openssl rand -base64 32`")
    return value


Key = Annotated[SecretStr, AfterValidator(_key)]
"""One key in base64, or two with a comma: the current one, and the one before it."""


class WebhookSource(BaseModel):
    """A processor's account: the company it belongs to, and its signing secrets, current first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    company: Token
    secrets: Annotated[tuple[str, ...], Field(min_length=1, max_length=4)]


_SOURCES = TypeAdapter(dict[Slug, WebhookSource])


class GatewaySettings(MessagingSettings):
    """Where the API listens, what it signs with, and how much it takes at once.

    The sample keys serve a machine nobody else can reach; production refuses them.
    """

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_GATEWAY_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the gateway schema",
    )
    # The pause between two batches shrinks as they fill: these are worth waiting for under load, too.
    batch_records_max: BatchRecords = 4_000
    batch_bytes_max: BatchBytes = 4_194_304
    batch_interval_ms: int = Field(
        default=400,
        ge=0,
        le=10_000,
        description="no payment waits for this service: fewer, fuller batches cost less",
    )
    niceness: int = Field(
        default=5, ge=0, le=19, description="no payment waits for this service: money goes first"
    )
    host: str = Field(
        default="127.0.0.1",
        validation_alias="TALLY_GATEWAY_HOST",
        min_length=1,
        max_length=255,
        description="address the API listens on",
    )
    port: int = Field(
        default=0,
        validation_alias="TALLY_GATEWAY_PORT",
        ge=0,
        le=65_535,
        description="port of the API; 0 takes a free one",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        validation_alias="TALLY_PUBLIC_URL",
        pattern=r"^https?://\S+$",
        max_length=500,
        description="address under which callers reach the API; tokens are issued in its name",
    )
    portfolio_url: str = Field(
        default="http://127.0.0.1:8090",
        validation_alias="TALLY_PORTFOLIO_URL",
        pattern=r"^https?://\S+$",
        max_length=500,
        description="address of portfolio's read API",
    )
    directory_url: str = Field(
        default="http://127.0.0.1:8091",
        validation_alias="TALLY_DIRECTORY_URL",
        pattern=r"^https?://\S+$",
        max_length=500,
        description="address of the directory's read API, for contacts",
    )
    kyc_url: str = Field(
        default="http://127.0.0.1:8092",
        validation_alias="TALLY_KYC_URL",
        pattern=r"^https?://\S+$",
        max_length=500,
        description="address of the kyc service's read API, for levels, tasks and tables",
    )
    internal_key: Key = Field(
        default=SecretStr("sampleInternalKeysampleInternalKeysampleInt="),
        description="base64 key the read APIs know the gateway by",
    )
    access_token_key: Key = Field(
        default=SecretStr("sampleAccessTokenKeysampleAccessTokenKeysam="),
        description="base64 key access tokens are signed with",
    )
    sealing_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLXNlYWxpbmcta2V5LWZvci1kZXZlbG9wLSE="),
        description="32 bytes in base64, the rails service's: instruments are sealed with it",
    )
    directory_sealing_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLWtleS1vZi10aGUtZGlyZWN0b3J5LWRldiE="),
        description="32 bytes in base64, the directory's: contacts are sealed with it",
    )
    ledger_name: Slug = Field(default="main", description="the ledger whose wallets are used")
    requests_per_minute: int = Field(
        default=6_000, ge=1, le=10_000_000, description="of a credential that says nothing else"
    )
    body_bytes_max: int = Field(
        default=1_000_000, ge=1_000, le=10_000_000, description="largest body of one command"
    )
    import_rows_max: int = Field(
        default=1_000_000, ge=1, le=100_000_000, description="rows of one import"
    )
    intake_batch_max: int = Field(
        default=100, ge=1, le=1_000, description="commands taken in with one commit"
    )
    intake_waiting_max: int = Field(
        default=2_000, ge=1, le=100_000, description="commands that may wait for a commit"
    )
    streams_max: int = Field(
        default=500, ge=1, le=100_000, description="event streams open at once"
    )
    idempotency_days: int = Field(
        default=7, ge=1, le=365, description="how long an Idempotency-Key is remembered"
    )
    step_up: Literal["required", "off"] | None = Field(
        default=None,
        validation_alias="TALLY_GATEWAY_STEP_UP",
        description="whether a person's debit needs a code; not set: in production, and only there",
    )

    webhooks: SecretStr | None = Field(
        default=None,
        validation_alias="TALLY_GATEWAY_WEBHOOKS",
        description='JSON by source: {"stripe": {"company": "party_…", "secrets": ["whsec_…"]}}',
    )

    @field_validator("webhooks")
    @classmethod
    def _sources_read(cls, given: SecretStr | None) -> SecretStr | None:
        try:
            _SOURCES.validate_json("{}" if given is None else given.get_secret_value())
        except ValidationError:
            # Its own text would show the secrets.
            raise ValueError("should be JSON by source, with company and secrets each") from None
        return given

    @model_validator(mode="after")
    def _step_up_in_production(self) -> Self:
        if self.step_up == "off" and self.environment is Environment.PRODUCTION:
            raise ValueError(
                "TALLY_GATEWAY_STEP_UP: a person's money never moves without their code in "
                "production; unset it"
            )
        return self

    @property
    def asks_step_up(self) -> bool:
        """Whether a person's debit needs a code here."""
        if self.step_up is None:
            return self.environment is Environment.PRODUCTION
        return self.step_up == "required"

    def webhook_sources(self) -> Mapping[str, WebhookSource]:
        """Whose webhooks are received, by source."""
        given = self.webhooks
        return {} if given is None else _SOURCES.validate_json(given.get_secret_value())

    def keys(self, field: str) -> tuple[bytes, ...]:
        """The keys of a field, the current one first."""
        secret: SecretStr = getattr(self, field)
        return tuple(
            base64.b64decode(part.strip()) for part in secret.get_secret_value().split(",")
        )
