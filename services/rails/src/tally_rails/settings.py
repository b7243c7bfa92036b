"""Settings of the rails service; each rail brings its own beside its adapter."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from tally_messaging import MessagingSettings
from tally_railkit.sealing import Keyring, SealingKey


class RailsSettings(MessagingSettings):
    """Where the service keeps its attempts, and the keys instruments are sealed with.

    The default key is known to everybody: it is refused in production.
    """

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_RAILS_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the rails schema",
    )
    sealing_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLXNlYWxpbmcta2V5LWZvci1kZXZlbG9wLSE="),
        description="32 bytes in base64, shared with whoever seals: openssl rand -base64 32",
    )
    sealing_key_previous: SecretStr | None = Field(
        default=None,
        description="the key before, while texts sealed with it are still about",
    )

    @model_validator(mode="after")
    def _keys_parse(self) -> Self:
        self.keyring()
        return self

    def keyring(self) -> Keyring:
        """Both keys, parsed."""
        previous = self.sealing_key_previous
        return Keyring(
            SealingKey.parse(self.sealing_key.get_secret_value()),
            None if previous is None else SealingKey.parse(previous.get_secret_value()),
        )
