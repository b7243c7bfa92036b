"""What can go wrong here and is not an answer to a command."""

from tally_messaging import TransientFault


class StaleRow(TransientFault):
    """A row changed between load and save: another applier was first, so the batch is applied anew."""

    code = "stale_row"
    retryable = True

    def __init__(self, table: str, expected: int, saved: str) -> None:
        super().__init__(
            f"saving {expected} rows of {table} was answered with {saved!r}: another applier "
            "changed them since they were loaded; the batch is tried again"
        )
