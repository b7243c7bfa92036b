"""What can stop the ledger from starting; refused commands are outcomes, never exceptions.

LedgerError
└── AssetScaleChanged   the books count an asset in other minor units than this release
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
