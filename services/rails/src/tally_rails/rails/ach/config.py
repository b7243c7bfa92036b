"""Settings of the ACH rail: the bank, who we are to it, and how long to wait for what."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, StringConstraints, model_validator

from tally_bankfiles.nacha import (
    Credit,
    Origin,
    build_credit_file,
    is_routing_number,
    write_file,
)
from tally_runtime import Environment, ServiceSettings

_BANK: Final = ("user", "password", "host_key_fingerprint")
_ORIGINATOR: Final = (
    "immediate_destination",
    "immediate_destination_name",
    "immediate_origin",
    "immediate_origin_name",
    "odfi",
    "company_name",
    "company_identification",
)
Line = Annotated[str, StringConstraints(pattern=r"^[ -~]+$", strip_whitespace=True)]


class AchSettings(ServiceSettings):
    """All are read from TALLY_RAILS_ACH_…; with `host`, the bank's and the originator's are required."""

    host: str | None = Field(
        default=None,
        validation_alias="TALLY_RAILS_ACH_HOST",
        min_length=1,
        max_length=255,
        description="the bank's SFTP server; not set: payouts wait as scheduled",
    )
    port: int = Field(default=22, validation_alias="TALLY_RAILS_ACH_PORT", ge=1, le=65_535)
    user: str | None = Field(
        default=None, validation_alias="TALLY_RAILS_ACH_USER", min_length=1, max_length=64
    )
    password: SecretStr | None = Field(default=None, validation_alias="TALLY_RAILS_ACH_PASSWORD")
    host_key_fingerprint: str | None = Field(
        default=None,
        validation_alias="TALLY_RAILS_ACH_HOST_KEY_FINGERPRINT",
        pattern=r"^SHA256:[A-Za-z0-9+/]{43}$",
        description="of the bank's host key, as `ssh-keygen -lf` shows it: SHA256:…",
    )
    immediate_destination: str | None = Field(
        default=None,
        validation_alias="TALLY_RAILS_ACH_IMMEDIATE_DESTINATION",
        pattern=r"^[0-9]{9}$",
        description="the bank's routing number",
    )
    immediate_destination_name: Line | None = Field(
        default=None, validation_alias="TALLY_RAILS_ACH_IMMEDIATE_DESTINATION_NAME", max_length=23
    )
    immediate_origin: str | None = Field(
        default=None,
        validation_alias="TALLY_RAILS_ACH_IMMEDIATE_ORIGIN",
        pattern=r"^[A-Za-z0-9]{1,10}$",
        description="our id with the bank",
    )
    immediate_origin_name: Line | None = Field(
        default=None, validation_alias="TALLY_RAILS_ACH_IMMEDIATE_ORIGIN_NAME", max_length=23
    )
    odfi: str | None = Field(
        default=None,
        validation_alias="TALLY_RAILS_ACH_ODFI",
        pattern=r"^[0-9]{8}$",
        description="first eight digits of the originating bank's routing number",
    )
    company_name: Line | None = Field(
        default=None,
        validation_alias="TALLY_RAILS_ACH_COMPANY_NAME",
        max_length=16,
        description="what the payee's statement shows",
    )
    company_identification: Line | None = Field(
        default=None, validation_alias="TALLY_RAILS_ACH_COMPANY_IDENTIFICATION", max_length=10
    )
    entry_description: Line = Field(
        default="PAYMENT", validation_alias="TALLY_RAILS_ACH_ENTRY_DESCRIPTION", max_length=10
    )
    window_s: int = Field(
        default=300,
        validation_alias="TALLY_RAILS_ACH_WINDOW_S",
        ge=1,
        le=86_400,
        description="a file is cut for each window that had payouts",
    )
    file_entries_max: int = Field(
        default=1_000, validation_alias="TALLY_RAILS_ACH_FILE_ENTRIES_MAX", ge=1, le=50_000
    )
    effective_days: int = Field(
        default=1,
        validation_alias="TALLY_RAILS_ACH_EFFECTIVE_DAYS",
        ge=0,
        le=5,
        description="banking days from upload to the effective date",
    )
    zone: str = Field(
        default="America/New_York",
        validation_alias="TALLY_RAILS_ACH_ZONE",
        max_length=64,
        description="the bank's time zone (IANA name)",
    )
    poll_ms: int = Field(
        default=5_000, validation_alias="TALLY_RAILS_ACH_POLL_MS", ge=20, le=600_000
    )
    call_timeout_s: int = Field(
        default=20,
        validation_alias="TALLY_RAILS_ACH_CALL_TIMEOUT_S",
        ge=1,
        le=300,
        description="longest wait for one answer of the bank",
    )
    transfer_timeout_s: int = Field(
        default=120,
        validation_alias="TALLY_RAILS_ACH_TRANSFER_TIMEOUT_S",
        ge=1,
        le=3_600,
        description="longest up- or download",
    )
    lease_s: int = Field(
        default=180,
        validation_alias="TALLY_RAILS_ACH_LEASE_S",
        ge=1,
        le=7_200,
        description="after this an upload left by a dead process is taken up; above all time-outs together",
    )
    retry_ms: int = Field(
        default=2_000,
        validation_alias="TALLY_RAILS_ACH_RETRY_MS",
        ge=10,
        le=600_000,
        description="first pause before a call is tried again; it doubles",
    )
    retry_max_s: int = Field(
        default=300, validation_alias="TALLY_RAILS_ACH_RETRY_MAX_S", ge=1, le=7_200
    )
    not_found_after_s: int = Field(
        default=60,
        validation_alias="TALLY_RAILS_ACH_NOT_FOUND_AFTER_S",
        ge=0,
        le=86_400,
        description="from then on a file the bank does not show is sent again, as stored",
    )
    doubt_after_s: int = Field(
        default=120,
        validation_alias="TALLY_RAILS_ACH_DOUBT_AFTER_S",
        ge=0,
        le=86_400,
        description="from then on payouts of a file in doubt are unknown",
    )
    tries_before_case: int = Field(
        default=8, validation_alias="TALLY_RAILS_ACH_TRIES_BEFORE_CASE", ge=1, le=1_000
    )
    ack_overdue_s: int = Field(
        default=7_200,
        validation_alias="TALLY_RAILS_ACH_ACK_OVERDUE_S",
        ge=1,
        le=604_800,
        description="a file without acknowledgement becomes a case after this",
    )
    file_bytes_max: int = Field(
        default=67_108_864,
        validation_alias="TALLY_RAILS_ACH_FILE_BYTES_MAX",
        ge=1_024,
        le=1_073_741_824,
        description="largest file taken from the bank",
    )
    settle_batch: int = Field(
        default=500, validation_alias="TALLY_RAILS_ACH_SETTLE_BATCH", ge=1, le=10_000
    )
    remove_processed: bool = Field(
        default=True,
        validation_alias="TALLY_RAILS_ACH_REMOVE_PROCESSED",
        description="remove files from the bank's folder once they are in the database",
    )
    sandbox_clock_url: str | None = Field(
        default=None,
        validation_alias="TALLY_RAILS_ACH_SANDBOX_CLOCK_URL",
        pattern=r"^https?://[^\s]+$",
        max_length=500,
        description="the bank simulator's GET /clock; refused in production",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.host is not None:
            missing = [n for n in (*_BANK, *_ORIGINATOR) if getattr(self, n) is None]
            if missing:
                names = ", ".join(f"TALLY_RAILS_ACH_{name.upper()}" for name in missing)
                raise ValueError(f"with TALLY_RAILS_ACH_HOST, these are required: {names}")
            if not is_routing_number(self.immediate_destination or ""):
                raise ValueError(
                    "TALLY_RAILS_ACH_IMMEDIATE_DESTINATION: the check digit does not fit; copy the "
                    "bank's routing number"
                )
            self._fits_a_file()
        return self

    @model_validator(mode="after")
    def _real_clock_in_production(self) -> Self:
        if self.sandbox_clock_url is not None and self.environment is Environment.PRODUCTION:
            raise ValueError(
                "TALLY_RAILS_ACH_SANDBOX_CLOCK_URL: a simulator's date never decides about real "
                "money; unset it in production"
            )
        return self

    @model_validator(mode="after")
    def _zone_exists(self) -> Self:
        try:
            self.time_zone()
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                "TALLY_RAILS_ACH_ZONE: no such time zone; give an IANA name"
            ) from error
        return self

    def _fits_a_file(self) -> None:
        """Write a file as one will be: what the bank would refuse is found before any payout is."""
        day = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
        sample = Credit(
            routing=self.immediate_destination or "",
            account="1",
            amount_minor=1,
            individual_id="1",
            name="SAMPLE",
        )
        write_file(
            build_credit_file(
                self.origin(),
                [sample],
                effective_date=day.date(),
                id_modifier="A",
                created_at=day,
                description=self.entry_description,
            )
        )

    def time_zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def origin(self) -> Origin:
        """Who we are to the bank; only there with a host."""
        return Origin(
            immediate_destination=_given(self.immediate_destination),
            immediate_destination_name=_given(self.immediate_destination_name),
            immediate_origin=_given(self.immediate_origin),
            immediate_origin_name=_given(self.immediate_origin_name),
            odfi_identification=_given(self.odfi),
            company_name=_given(self.company_name),
            company_identification=_given(self.company_identification),
        )

    def pause(self, tries: int) -> timedelta:
        """How long to wait after the n-th try: doubling, up to `retry_max_s`."""
        longest = timedelta(seconds=self.retry_max_s)
        return min(timedelta(milliseconds=self.retry_ms * 2 ** min(tries - 1, 20)), longest)


def _given(value: str | None) -> str:
    assert value is not None, "checked when the settings were read"
    return value
