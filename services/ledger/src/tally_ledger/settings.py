"""Settings of the ledger."""

from pydantic import Field, SecretStr

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

    @property
    def ledgers(self) -> tuple[str, ...]:
        """Every ledger this installation keeps."""
        return tuple(sorted({self.ledger_name, *filter(None, self.further_ledgers.split(","))}))
