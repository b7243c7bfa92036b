"""Where a read API listens, and whom it believes."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from tally_messaging import MessagingSettings
from tally_runtime.settings import environment_name
from tally_security.internal import InternalKeyInvalid, InternalKeys

Port = Annotated[int, Field(ge=0, le=65_535)]
"""A TCP port; 0 is none."""


class ReadSettings(MessagingSettings):
    """A service's own settings extend this class and name its variables for host and port."""

    read_host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    read_port: Port = Field(default=0, description="where the gateway asks; 0 turns it off")
    internal_key: SecretStr | None = Field(
        default=None,
        validation_alias="TALLY_INTERNAL_KEY",
        description="base64 of 32 bytes that the gateway signs with; previous keys behind commas",
    )

    @model_validator(mode="after")
    def _reads_are_guarded(self) -> Self:
        if self.read_port:
            try:
                self.keys()
            except InternalKeyInvalid as error:
                port = environment_name(type(self), "read_port")
                raise ValueError(
                    f"TALLY_INTERNAL_KEY is needed where {port} is set: {error}"
                ) from error
        return self

    def keys(self) -> InternalKeys:
        """The keys that viewers are signed with; raises InternalKeyInvalid."""
        given = "" if self.internal_key is None else self.internal_key.get_secret_value()
        return InternalKeys.parse(given)
