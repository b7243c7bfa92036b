"""Assets that are no ISO 4217 currencies, entered by registration."""

from datetime import datetime
from typing import NamedTuple

from tally_ledger.domain.books import Asset, Registered, Rejected
from tally_money import MAX_EXPONENT, AssetKind

_KINDS = ", ".join(AssetKind)


class Register(NamedTuple):
    """Enter an asset."""

    code: str
    scale: int
    kind: str


def decide_asset(there: Asset | None, command: Register, now: datetime) -> Registered | Rejected:
    """Enter an asset, unless it is there otherwise: a scale or kind never changes.

    ISO 4217 currencies are in the books from the start, with the scale ISO gives them.
    """
    if command.scale > MAX_EXPONENT:
        return Rejected(
            "scale_out_of_range",
            f"scale: {command.scale} is beyond {MAX_EXPONENT}; give the decimals of one unit",
        )
    if command.kind not in set(AssetKind):
        return Rejected("kind_unknown", f"kind: {command.kind} is none of {_KINDS}")
    if there is None:
        return Registered(Asset(command.code, command.scale, command.kind, now), is_new=True)
    if (there.scale, there.kind) != (command.scale, command.kind):
        return Rejected(
            "asset_mismatch",
            f"asset: {there.code} is booked as {there.kind} with {there.scale} decimals for ever; "
            "choose another code",
        )
    return Registered(there, is_new=False)
