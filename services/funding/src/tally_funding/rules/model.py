"""A version of a rule as exact integers: what it matches, and how it divides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from tally_money import Rounding

WHOLE: Final = 10**8
"""The whole, in the unit of rates: millionths of a percent."""

INSTALLATION: Final = "*"
"""The scope of rules that hold for every tenant."""

Minor: TypeAlias = Mapping[str, int]
"""Minor units by currency code."""


class Shortfall(StrEnum):
    """What happens where lines ask for more than the pay-in.

    REFUSE: the document is refused if that could be. IN_ORDER: earlier lines first, later ones
    take what is left. SUSPEND: the pay-in goes to suspense.
    """

    REFUSE = "refuse"
    IN_ORDER = "in_order"
    SUSPEND = "suspend"


@dataclass(frozen=True, slots=True)
class Percent:
    """This part of the basis; `rate` out of WHOLE."""

    rate: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """This amount, whatever the pay-in is."""

    amounts: Minor


@dataclass(frozen=True, slots=True)
class Tier:
    """The slice of the basis from the tier before up to `up_to` (None: no end) at `rate`."""

    up_to: int | None
    rate: int


@dataclass(frozen=True, slots=True)
class Tiered:
    """Slices of the basis, each at its own rate, by currency; the last slice has no end."""

    tiers: Mapping[str, tuple[Tier, ...]]


@dataclass(frozen=True, slots=True)
class Weight:
    """A part of what all other lines leave, in proportion to the weights; alone, all of it."""

    weight: int


Share: TypeAlias = Percent | Fixed | Tiered | Weight


class To(StrEnum):
    """How a line names who gets it."""

    PARTY = "party"
    ROLE = "role"
    RELATION = "relation"
    GROUP = "group"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """Who a pay-in names itself: its beneficiary, its company, and the root of the company's tree."""

    BENEFICIARY = "beneficiary"
    COMPANY = "company"
    AGGREGATOR = "aggregator"


EVENT: Final = "$event"
"""As the name of an UNKNOWN destination: the event the pay-in itself is about."""


@dataclass(frozen=True, slots=True)
class Destination:
    """`name` is a party's reference, a role, a relation to the company, a group, or an event.

    `weights`: of a group's members by party, sorted, and of all `others` (None: a member must be
    named); None for equal shares.
    """

    to: To
    name: str
    weights: tuple[tuple[str, int], ...] | None = None
    others: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a rule. `of_left`: its basis is what the lines before it leave, else the whole.

    `delegates`: a rule of the pay-in's company divides the line's money, if one matches it.
    """

    role: str
    to: Destination
    share: Share
    pay_out: bool = False
    of_left: bool = False
    cap: Minor | None = None
    floor: Minor | None = None
    delegates: bool = False

    @property
    def plain_rate(self) -> int | None:
        """The rate of a percentage of the whole without bounds; such lines are rounded together."""
        bare = self.cap is None and self.floor is None and not self.of_left
        return self.share.rate if isinstance(self.share, Percent) and bare else None


class OnRefund(StrEnum):
    """What becomes of a charge when its pay-in goes back. RETURN: the same part goes back too."""

    KEEP = "keep"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Charge:
    """A share of the whole, rounded on its own, that is taken from the payer's wallet instead."""

    payer: str
    line: Line
    on_refund: OnRefund = OnRefund.KEEP


@dataclass(frozen=True, slots=True)
class Span:
    """Amounts of a currency in minor units: from `least` on, and below `below` where there is one."""

    least: int
    below: int | None

    def holds(self, minor: int) -> bool:
        return self.least <= minor and (self.below is None or minor < self.below)

    def meets(self, other: "Span") -> bool:
        """Whether some amount lies in both."""
        least = max(self.least, other.least)
        return all(span.below is None or least < span.below for span in (self, other))


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that all must hold; None is no condition.

    `countries`: of the payer. `amounts`: spans by currency. `tags`: references of the pay-in, each
    with its allowed values. `groups`: the beneficiary is a member of one of them.
    """

    sources: frozenset[str] | None = None
    programs: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    currencies: frozenset[str] | None = None
    countries: frozenset[str] | None = None
    companies: frozenset[str] | None = None
    amounts: Mapping[str, Span] | None = None
    tags: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    groups: frozenset[str] | None = None

    @property
    def specificity(self) -> int:
        """How many conditions there are, each tag one."""
        asked = (
            self.sources,
            self.programs,
            self.kinds,
            self.currencies,
            self.countries,
            self.companies,
            self.amounts,
            self.groups,
        )
        return sum(condition is not None for condition in asked) + len(self.tags)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in one version.

    `currencies` None: every currency. `company`: whose rule it is below the scope, a tenant; it
    divides what rules of the tenant leave to that company. Effective for what occurs in
    [`effective_from`, `effective_until`); None is without that end.
    """

    label: str
    name: str
    version: int
    scope: str
    priority: int
    match: Match
    currencies: frozenset[str] | None
    lines: tuple[Line, ...]
    rounding: Rounding
    shortfall: Shortfall
    effective_from: datetime | None = None
    effective_until: datetime | None = None
    charges: tuple[Charge, ...] = ()
    company: str | None = None

    @property
    def payers(self) -> frozenset[str]:
        """Owners whose wallets the rule debits."""
        return frozenset(charge.payer for charge in self.charges)

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """Rules are asked in this order: the tenant's own, by priority, the more specific, by name."""
        return (self.scope == INSTALLATION, self.priority, -self.match.specificity, self.name)

    def effective_at(self, moment: datetime) -> bool:
        begun = self.effective_from is None or self.effective_from <= moment
        return begun and (self.effective_until is None or moment < self.effective_until)

    @property
    def destinations(self) -> frozenset[Destination]:
        """Whom lines and charges pay."""
        charged = (charge.line for charge in self.charges)
        return frozenset(line.to for line in (*self.lines, *charged))

    @property
    def needs_beneficiary(self) -> bool:
        return any(line.to == Destination(To.ROLE, Role.BENEFICIARY) for line in self.lines)
