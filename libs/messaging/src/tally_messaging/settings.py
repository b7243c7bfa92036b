"""Settings of everything that consumes or publishes."""

from typing import Annotated

from pydantic import Field, SecretStr

from tally_runtime import ServiceSettings

BatchRecords = Annotated[int, Field(ge=1, le=5_000)]
BatchBytes = Annotated[
    int,
    Field(
        ge=1_000,
        le=50_000_000,
        description="records beyond it go into a transaction of their own",
    ),
]


class MessagingSettings(ServiceSettings):
    """Limits of batches, waits and the relay; a service's own settings extend this class.

    Each service reads its own `TALLY_<SERVICE>_POSTGRES_DSN`, never the administrator's.
    """

    postgres_dsn: SecretStr = Field(description="postgresql://role:password@host:port/database")

    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="stable name of this replica (a pod's name): makes its group membership static",
    )
    batch_records_max: BatchRecords = 500
    batch_bytes_max: BatchBytes = 524_288
    batch_interval_ms: int = Field(
        default=60,
        ge=0,
        le=10_000,
        description="least time between two batches; less where the next would grow too full in it",
    )
    patient_interval_ms: int = Field(
        default=400,
        ge=0,
        le=10_000,
        description="the same for consumers beside the main one that no payment waits for",
    )
    fetch_wait_ms: int = Field(
        default=500,
        ge=1,
        le=5_000,
        description="longest the broker waits for a first record; idle consumers ask this often",
    )
    poll_timeout_ms: int = Field(
        default=250, ge=1, le=1000, description="how often a consumer without records looks up"
    )
    session_timeout_ms: int = Field(default=10_000, ge=6_000, le=120_000)
    max_poll_interval_ms: int = Field(default=300_000, ge=10_000, le=3_600_000)
    offset_commit_interval_ms: int = Field(
        default=1_000,
        ge=10,
        le=60_000,
        description="how often offsets move: a crash delivers as much again, and the inbox drops it",
    )
    record_attempts_max: int = Field(
        default=3, ge=1, le=20, description="tries of a failing record before quarantine"
    )
    back_off_initial_ms: int = Field(default=100, ge=1, le=60_000)
    back_off_max_ms: int = Field(default=15_000, ge=10, le=120_000)
    niceness: int = Field(
        default=0,
        ge=0,
        le=19,
        description="how far a process of this service alone gives way to others on its machine",
    )
    stall_limit_s: int = Field(
        default=30, ge=2, le=600, description="a consumer without progress is restarted after this"
    )
    outbox_lanes: int = Field(default=1, ge=1, le=64)
    inbox_days: int = Field(
        default=28,
        ge=15,
        le=3650,
        description="how long events are remembered; more than any topic keeps them (14 days)",
    )
    outbox_days: int = Field(
        default=7,
        ge=1,
        le=3650,
        description="how long published events can be published again",
    )
    outbox_partition_records: int = Field(default=4_000_000, ge=100, le=1_000_000_000)
    retention_interval_s: int = Field(default=60, ge=1, le=86_400)
    relay_page_records: int = Field(default=1000, ge=1, le=10_000)
    relay_poll_ms: int = Field(
        default=500,
        ge=5,
        le=10_000,
        description="how often the outbox is looked at unasked: for what another process committed",
    )
    relay_position_interval_ms: int = Field(
        default=1_000,
        ge=0,
        le=2_000,
        description="how often the position moves: a crash publishes as much again, under the same ids",
    )
    relay_handover_records_max: int = Field(
        default=5_000,
        ge=0,
        le=100_000,
        description="records of a lane kept in memory for the relay; it reads more than that back",
    )
    relay_lease_s: int = Field(default=10, ge=2, le=300)
    pool_size: int = Field(default=6, ge=2, le=100)
    payload_bytes_max: int = Field(default=900_000, ge=1_000, le=10_000_000)
