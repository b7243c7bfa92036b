"""Settings of the ledger."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from tally_ledger.placement import CORE, Placement, parse
from tally_ledger.proofs.errors import KeyMalformed
from tally_ledger.proofs.signing import SigningKey
from tally_messaging import MessagingSettings

_NAME = r"[a-z][a-z0-9_.-]{0,63}"


class LedgerSettings(MessagingSettings):
    """`ledger_name` is the variable the senders read too; further ledgers stand in `further_ledgers`.

    Where ledgers live in several databases, `ledger_placement` names them all, the same text for
    every process, and `ledger_database` says which of them this process works on.
    """

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
    ledger_placement: str = Field(
        default="",
        max_length=10_000,
        description="ledgers by database, like core:main,eu;west:us; the same for every process",
    )
    ledger_database: str = Field(
        default=CORE,
        pattern=r"^[a-z][a-z0-9_-]{0,31}$",
        description="which of the databases in the placement this process works on",
    )
    expiry_poll_ms: int = Field(
        default=1000, ge=10, le=60_000, description="how often due holds are looked for"
    )
    expiry_batch_holds: int = Field(default=500, ge=1, le=5000)
    transfer_overdue_s: int = Field(
        default=60,
        ge=1,
        le=86_400,
        description="age after which an open transfer between ledgers is reported and asked again",
    )
    transfer_poll_ms: int = Field(
        default=10_000, ge=10, le=600_000, description="how often such transfers are looked for"
    )

    ledger_signing_key: SecretStr = Field(
        default=SecretStr("c2FtcGxlLXNpZ25pbmcta2V5LWZvci1kZXZlbG9wLSE="),
        description="32 random bytes in base64, for daily roots: openssl rand -base64 32",
    )
    closing_poll_ms: int = Field(
        default=60_000, ge=10, le=300_000, description="how often a day to close is looked for"
    )

    @field_validator("ledger_placement")
    @classmethod
    def _reads(cls, text: str) -> str:
        if text:
            parse(text)
        return text

    @model_validator(mode="after")
    def _places_what_it_names(self) -> Self:
        if not self.ledger_placement:
            if self.ledger_database != CORE:
                raise ValueError(
                    f"TALLY_LEDGER_DATABASE is {self.ledger_database}: give TALLY_LEDGER_PLACEMENT, "
                    "the same for every ledger process"
                )
            return self
        databases = parse(self.ledger_placement)
        if self.further_ledgers:
            raise ValueError(
                "TALLY_LEDGER_PLACEMENT names every ledger: drop TALLY_FURTHER_LEDGERS"
            )
        if self.ledger_database not in databases:
            raise ValueError(f"TALLY_LEDGER_PLACEMENT lacks database {self.ledger_database}")
        if len(databases) > 1 and "ledger_database" not in self.model_fields_set:
            raise ValueError("TALLY_LEDGER_DATABASE is required where there is more than one")
        if not any(self.ledger_name in names for names in databases.values()):
            raise ValueError(f"TALLY_LEDGER_PLACEMENT lacks {self.ledger_name}, TALLY_LEDGER_NAME")
        return self

    @property
    def placement(self) -> Placement:
        """Where every ledger lives, as this process sees it."""
        if self.ledger_placement:
            return Placement.of(parse(self.ledger_placement), self.ledger_database)
        names = {self.ledger_name, *filter(None, self.further_ledgers.split(","))}
        return Placement(CORE, frozenset(names))

    @model_validator(mode="after")
    def _key_parses(self) -> Self:
        try:
            SigningKey.parse(self.ledger_signing_key.get_secret_value())
        except KeyMalformed as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def ledgers(self) -> tuple[str, ...]:
        """Every ledger whose books this process keeps."""
        return tuple(sorted(self.placement.own))
