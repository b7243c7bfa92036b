"""What can stop the ledger from starting; refused commands are outcomes, never exceptions.

LedgerError
├── AssetScaleChanged      the books count an asset in other minor units than this release
├── WrongDatabase          the database belongs to another part of the installation
└── LedgerPlacedElsewhere  the database holds books of a ledger that is placed in another one
"""

from typing import ClassVar


class LedgerError(Exception):
    """Base of the ledger's errors."""

    code: ClassVar[str] = "ledger_error"
    retryable: ClassVar[bool] = False


class AssetScaleChanged(LedgerError):  # noqa: N818 - named for what it says
    code = "asset_scale_changed"

    def __init__(self, asset: str, booked: int, expected: int) -> None:
        super().__init__(
            f"asset {asset} is booked with {booked} decimals and this release reads it with "
            f"{expected}: scales never change; run the release that wrote the books"
        )


class WrongDatabase(LedgerError):  # noqa: N818 - named for what it says
    code = "wrong_database"

    def __init__(self, home: str, configured: str) -> None:
        super().__init__(
            f"this database is {home}, and TALLY_LEDGER_DATABASE says {configured}: correct the "
            "variable or TALLY_LEDGER_POSTGRES_DSN; nothing was changed"
        )


class LedgerPlacedElsewhere(LedgerError):  # noqa: N818 - named for what it says
    code = "ledger_placed_elsewhere"

    def __init__(self, ledger: str, database: str) -> None:
        super().__init__(
            f"the books of ledger {ledger} are in this database, {database}, and "
            "TALLY_LEDGER_PLACEMENT puts them in another: two databases would answer for it; "
            "place it where its books are"
        )
