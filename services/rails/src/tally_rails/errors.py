"""What can go wrong in the rails service that is not an outcome."""

from typing import ClassVar

from tally_messaging import TransientFault


class StaleVersion(TransientFault):
    """Somebody changed an attempt between load and save: the unit is run again with fresh rows."""

    code: ClassVar[str] = "stale_version"
    retryable: ClassVar[bool] = True

    def __init__(self, expected: int, status: str) -> None:
        super().__init__(
            f"saving {expected} attempts was answered with {status!r}: another writer was faster; "
            "the unit is tried again"
        )
