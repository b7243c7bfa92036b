"""What moved on which account: rows kept of the ledger's facts, and what they add up to."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from tally_money import MAX_EXPONENT, AssetKind, Currency, iso_currencies, parse_minor


class Flow(StrEnum):
    """What a movement is to the sub-tree it happens in."""

    RECEIVED = "received"
    PAID = "paid"
    MOVED = "moved"


_FLOWS = {
    "pin": Flow.RECEIVED,
    "match": Flow.RECEIVED,
    "ret": Flow.RECEIVED,
    "mov": Flow.RECEIVED,
    "po": Flow.PAID,
}


class Movement(NamedTuple):
    """One leg as one of its two accounts sees it; `posted` and `held` are what it adds, signed.

    `kind`: journal, reversal, hold, capture, release. `at` is when the ledger recorded it, which
    never runs back within a ledger; it orders an account's movements, with `log_seq` and
    `transfer_id`. `counter` is the other account, None for a release. Amounts are in minor units;
    `five_ws` holds who, where and why. `brought`: it happened in another installation.
    """

    account: str
    at: datetime
    log_seq: int
    transfer_id: str
    kind: str
    ledger: str
    currency: str
    posted: int
    held: int
    flow: Flow
    counter: str | None
    journal: str
    reference: str
    code: str
    effective_at: datetime
    five_ws: Mapping[str, object]
    event_id: str
    brought: bool = False


class AccountChange(NamedTuple):
    """What is said of an account beside its movements.

    `owner` names whose wallet it is, None if that is not said; `committed` is added to the money
    that payouts under way will take from it, in minor units.
    """

    account: str
    currency: str
    owner: str | None
    committed: int


class Sums(NamedTuple):
    """What movements and budgets of a sub-tree add up to; an account has the first five alone.

    `budgeted` is what holders of budgets have and did not give on, `reserved` and `used` of that.
    """

    posted: int
    held: int
    received: int
    paid: int
    committed: int
    budgeted: int
    reserved: int
    used: int

    @property
    def available(self) -> int:
        """What is posted and not reserved."""
        return self.posted - self.held


def minor_of(amount: str, code: str) -> int:
    """The amount in minor units; raises a MoneyError for text that is no amount.

    An asset that is no ISO 4217 currency is counted in the finest unit any may have, 18 decimals:
    its own number of decimals is the ledger's to know.
    """
    unit = iso_currencies().get(code)
    if unit is not None:
        return parse_minor(amount, unit)
    decimals = len(amount.partition(".")[2])
    written = Currency(code, min(decimals, MAX_EXPONENT), AssetKind.CRYPTO)
    return parse_minor(amount, written) * int(10 ** (MAX_EXPONENT - written.exponent))


def shown(minor: int, code: str) -> Mapping[str, str]:
    """Money as documents show it, sign and all; a registered asset without trailing zeros."""
    unit = iso_currencies().get(code)
    exponent = MAX_EXPONENT if unit is None else unit.exponent
    whole, part = divmod(abs(minor), 10**exponent)
    amount = f"{whole}.{part:0{exponent}}" if exponent else str(whole)
    if unit is None:
        amount = amount.rstrip("0").rstrip(".")
    return {"currency": code, "amount": f"-{amount}" if minor < 0 else amount}


def flow_of(reference: str) -> Flow:
    """What a movement is for, by the thing it refers to: pay-ins bring money in, payouts take it.

    Matched money came with its pay-in, a return takes of it, and a designation hands it on.
    """
    return _FLOWS.get(reference.partition("_")[0], Flow.MOVED)


def running(newest: tuple[int, int], movements: Iterable[Movement]) -> Iterable[tuple[int, int]]:
    """Posted and held after each movement, the newest first; `newest` are those after the first."""
    posted, held = newest
    for movement in movements:
        yield posted, held
        posted -= movement.posted
        held -= movement.held
