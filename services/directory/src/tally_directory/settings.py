"""Settings of the directory."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from tally_contracts.base import Slug
from tally_directory.vault import Vault
from tally_reads import Port, ReadSettings
from tally_security.blind_index import BlindIndex
from tally_security.sealing import Keyring, SealingKey


class DirectorySettings(ReadSettings):
    """Where parties are kept, and the keys of what is known of them.

    The default keys are known to everybody: they are refused in production.
    """

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_DIRECTORY_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the directory schema",
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
    sealing_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLWtleS1vZi10aGUtZGlyZWN0b3J5LWRldiE="),
        validation_alias="TALLY_DIRECTORY_SEALING_KEY",
        description="32 bytes in base64, shared with the gateway: openssl rand -base64 32",
    )
    sealing_key_previous: SecretStr | None = Field(
        default=None,
        validation_alias="TALLY_DIRECTORY_SEALING_KEY_PREVIOUS",
        description="the key before, while texts sealed with it are still about",
    )
    token_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLXRva2VuLWtleS1vZi1kZXZlbG9wbWVudCE="),
        validation_alias="TALLY_DIRECTORY_TOKEN_KEY",
        description="32 bytes in base64 that contact tokens are made with; it never changes",
    )
    read_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        max_length=255,
        validation_alias="TALLY_DIRECTORY_READ_HOST",
    )
    read_port: Port = Field(
        default=0,
        validation_alias="TALLY_DIRECTORY_READ_PORT",
        description="where the gateway asks for contacts; 0 turns the read API off",
    )
    contact_views_per_minute: int = Field(
        default=60, ge=1, le=10_000, description="how often one party may look at contacts"
    )
    ledger_name: Slug = Field(default="main", description="the ledger that keeps the wallets")

    @model_validator(mode="after")
    def _keys_parse(self) -> Self:
        self.vault()
        return self

    def vault(self) -> Vault:
        """All keys, parsed."""
        previous = self.sealing_key_previous
        keys = Keyring(
            SealingKey.parse(self.sealing_key.get_secret_value()),
            None if previous is None else SealingKey.parse(previous.get_secret_value()),
        )
        return Vault(keys, BlindIndex.parse(self.token_key.get_secret_value()))
