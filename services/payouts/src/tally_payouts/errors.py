"""What can go wrong here and is not an outcome of a payout."""

from tally_messaging import TransientFault


class StaleVersion(TransientFault):
    """A row changed between load and save: another applier was first, so the batch is applied anew."""

    code = "stale_version"
    retryable = True

    def __init__(self, table: str, expected: int, saved: str) -> None:
        super().__init__(
            f"saving {expected} rows of {table} was answered with {saved!r}: another applier "
            "changed them since they were loaded; the batch is tried again"
        )
