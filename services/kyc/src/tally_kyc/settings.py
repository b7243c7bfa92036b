"""Settings of the kyc service."""

from pydantic import Field, SecretStr

from tally_reads import Port, ReadSettings


class KycSettings(ReadSettings):
    """Where identity is kept, and how often the clock is looked at."""

    postgres_dsn: SecretStr = Field(
        validation_alias="TALLY_KYC_POSTGRES_DSN",
        description="postgresql://role:password@host:port/database of the kyc schema",
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
    read_host: str = Field(
        default="127.0.0.1", min_length=1, max_length=255, validation_alias="TALLY_KYC_READ_HOST"
    )
    read_port: Port = Field(
        default=0,
        validation_alias="TALLY_KYC_READ_PORT",
        description="where the gateway asks for levels and tasks; 0 turns the read API off",
    )
    clock_interval_ms: int = Field(
        default=10_000,
        ge=10,
        le=3_600_000,
        validation_alias="TALLY_KYC_CLOCK_INTERVAL_MS",
        description="how often it is asked what has expired or soon will",
    )
