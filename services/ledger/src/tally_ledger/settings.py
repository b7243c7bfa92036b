"""Settings of the ledger."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from tally_ledger.proofs.errors import KeyMalformed
from tally_ledger.proofs.signing import SigningKey
from tally_messaging import MessagingSettings

_NAME = r"[a-z][a-z0-9_.-]{0,63}"


class LedgerSettings(MessagingSettings):
    """`ledger_name` is the variable the senders read too; further ledgers stand in `further_ledgers`."""

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_LEDGER_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database",
    )
    ledger_name: str = Field(default="main", pattern=f"^{_NAME}$")
    further_ledgers: str = Field(
        default="",
        pattern=f"^({_NAME}(,{_NAME})*)?$",
        description="names of more ledgers, separated by commas",
    )
    expiry_poll_ms: int = Field(
        default=1000, ge=10, le=60_000, description="how often due holds are looked for"
    )
    expiry_batch_holds: int = Field(default=500, ge=1, le=5000)

    ledger_signing_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLXNpZ25pbmcta2V5LWZvci1kZXZlbG9wLSE="),
        description="32 random bytes in base64, for daily roots: openssl rand -base64 32",
    )
    closing_poll_ms: int = Field(
        default=60_000, ge=10, le=300_000, description="how often a day to close is looked for"
    )

    @model_validator(mode="after")
    def _key_parses(self) -> Self:
        try:
            SigningKey.parse(self.ledger_signing_key.get_secret_value())
        except KeyMalformed as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def ledgers(self) -> tuple[str, ...]:
        """Every ledger this installation keeps."""
        return tuple(sorted({self.ledger_name, *filter(None, self.further_ledgers.split(","))}))
