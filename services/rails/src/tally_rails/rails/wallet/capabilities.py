"""What a book transfer can do."""

from typing import Final

from tally_railkit import Capabilities, EndpointClass

NAME: Final = "wallet"
CAPABILITIES: Final = Capabilities(
    rail=NAME,
    endpoint_class=EndpointClass.CASH,
    native_key="attempt id; the ledger's hold is captured once",
)
