"""Settings of the portfolio service."""

from pydantic import Field, SecretStr

from tally_messaging.settings import BatchBytes, BatchRecords
from tally_reads import Port, ReadSettings


class PortfolioSettings(ReadSettings):
    """Where the read models are kept."""

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_PORTFOLIO_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the portfolio schema",
    )
    # A payment touches the same rows of sums several times within a second: in one batch, each once.
    batch_records_max: BatchRecords = 4_000
    batch_bytes_max: BatchBytes = 4_194_304
    batch_interval_ms: int = Field(
        default=1_000,
        ge=0,
        le=10_000,
        description="a view a moment behind costs far less than one up to the moment",
    )
    niceness: int = Field(
        default=10, ge=0, le=19, description="a full machine moves money first and shows it then"
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
    read_port: Port = Field(
        default=0,
        validation_alias="TALLY_PORTFOLIO_READ_PORT",
        description="where the gateway asks; 0 turns the read API off",
    )
    statement_settled_s: int = Field(
        default=300,
        ge=0,
        le=86_400,
        description="how old the end of a statement must be: no fact of it is on its way any more",
    )
