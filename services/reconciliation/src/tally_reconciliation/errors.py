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


class LedgerDatabaseWrong(ReconciliationError):  # noqa: N818 - named for what it says
    """A further database of the ledger is not the one it is given as."""

    code = "ledger_database_wrong"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"the ledger's database {name}: {detail}, then verify again")
        self.name = name


class BrokerUnreadable(ReconciliationError):  # noqa: N818 - named for what it says
    """The broker did not answer, or not with what was asked for."""

    code = "broker_unreadable"
    retryable = True

    def __init__(self, kafka: str, detail: str) -> None:
        super().__init__(
            f"the broker at {kafka} cannot be read ({detail}): look at the broker or correct "
            "TALLY_KAFKA, then verify again"
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
