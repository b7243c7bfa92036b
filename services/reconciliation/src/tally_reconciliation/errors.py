"""Why the oracle could not look."""


class ReconciliationError(Exception):
    """Base of every error of this service."""

    code = "reconciliation_error"
    retryable = False


class SchemaAbsent(ReconciliationError):  # noqa: N818 - named for what it says
    """The database lacks a service's schema: its part of the truth cannot be seen."""

    code = "schema_absent"

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(
            f"the database has no schema {', '.join(missing)}: point TALLY_POSTGRES_DSN at the "
            "platform's database, or run `tally migrate`"
        )


class BrokerSilent(ReconciliationError):  # noqa: N818 - named for what it says
    """The broker stopped answering while a topic was read."""

    code = "broker_silent"
    retryable = True

    def __init__(self, kafka: str, waited_s: float, doing: str) -> None:
        super().__init__(
            f"the broker at {kafka} gave no answer for {waited_s:.0f} s while {doing}: "
            "look at the broker or correct TALLY_KAFKA, then verify again"
        )


class BankUnreadable(ReconciliationError):  # noqa: N818 - named for what it says
    """The bank's book could not be read."""

    code = "bank_unreadable"
    retryable = True

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(
            f"the bank's book at {url} cannot be read ({detail}): start the bank or correct "
            "TALLY_BANK_ADMIN_URL, or leave it out to skip O7"
        )
