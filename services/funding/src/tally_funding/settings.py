"""Settings of the funding service."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from tally_contracts.base import Slug
from tally_messaging import MessagingSettings
from tally_security.sealing import SealingKey


class FundingSettings(MessagingSettings):
    """Where money is announced and by which rule it is divided."""

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_FUNDING_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the funding schema",
    )
    sources: Annotated[tuple[Slug, ...], NoDecode] = Field(
        validation_alias="TALLY_FUNDING_SOURCES",
        min_length=1,
        max_length=64,
        description="comma list of source names, one topic funding.inbound.<source>.v1 each",
    )
    rule: Path | None = Field(
        default=None,
        validation_alias="TALLY_FUNDING_RULE",
        description="path of the rule document; not set: the bundled rule",
    )
    reference_program: Slug | None = Field(
        default=None,
        validation_alias="TALLY_FUNDING_REFERENCE_PROGRAM",
        description="program of bank money that names only a creditor reference (RF, ISO 11649); "
        "not set: it goes to suspense",
    )
    claim_sealing_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLWNsYWltLWNvZGVzLWtleS1kZXYtb25seSE="),
        validation_alias="TALLY_FUNDING_CLAIM_SEALING_KEY",
        description="32 bytes in base64 that claim codes are sealed with for whoever delivers them; "
        "the sample is refused in production: openssl rand -base64 32",
    )
    match_automatic_from: int = Field(
        default=95,
        ge=50,
        le=100,
        validation_alias="TALLY_FUNDING_MATCH_AUTOMATIC_FROM",
        description="percent of confidence from which money in suspense is matched without a person",
    )
    ledger_name: Slug = Field(default="main", description="the ledger that books pay-ins")

    @field_validator("claim_sealing_key")
    @classmethod
    def _key_parses(cls, key: SecretStr) -> SecretStr:
        SealingKey.parse(key.get_secret_value())
        return key

    @field_validator("sources", mode="before")
    @classmethod
    def _comma_list(cls, given: object) -> object:
        if isinstance(given, str):
            return tuple(name.strip() for name in given.split(",") if name.strip())
        return given

    @field_validator("sources")
    @classmethod
    def _each_once(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(sources)) != len(sources):
            raise ValueError("names a source twice: name each once")
        return sources
