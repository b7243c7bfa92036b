"""What a rail can do, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from types import MappingProxyType

from tally_money import Money
from tally_railkit.results import Rejected
from tally_railkit.states import Action, AttemptState


class EndpointClass(StrEnum):
    """What the payee ends up with."""

    CASH = "cash"
    CASH_LIKE = "cash_like"
    CLOSED_LOOP = "closed_loop"


@dataclass(frozen=True, slots=True)
class CutOff:
    """Orders taken by `at` in `zone` (an IANA name) leave the same banking day."""

    at: time
    zone: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one payment, both included."""

    least: Money
    most: Money

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ValueError(f"least {self.least} is above most {self.most}: swap them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """A rail's figures. An empty set of countries or currencies means any.

    `cancel_until`: the last state in which an attempt can be taken back; None = never.
    `return_window`: how long `paid` is soft; None = final. `native_key` names the provider's own
    idempotency key and `key_memory` how long it is remembered (None = for ever).
    `not_found_final_after`: from then on "not found" proves that nothing happened.
    """

    rail: str
    endpoint_class: EndpointClass
    native_key: str
    countries: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    limits: Mapping[str, Limits] = field(default_factory=lambda: MappingProxyType({}))
    cut_offs: tuple[CutOff, ...] = ()
    cancel_until: AttemptState | None = None
    return_window: timedelta | None = None
    key_memory: timedelta | None = None
    not_found_final_after: timedelta | None = None

    @property
    def final(self) -> bool:
        """Whether `paid` can never come back."""
        return self.return_window is None

    def refusal_of(self, amount: Money) -> Rejected | None:
        """Why this amount cannot go out by the rail; None when it can."""
        code = amount.currency.code
        if self.currencies and code not in self.currencies:
            return Rejected("currency_not_supported", Action.FIX_DETAILS)
        limits = self.limits.get(code)
        if limits is None or limits.least <= amount <= limits.most:
            return None
        code = "amount_below_limit" if amount < limits.least else "amount_above_limit"
        return Rejected(code, Action.OPERATOR)
