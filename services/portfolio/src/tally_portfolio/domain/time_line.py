"""From rows to a payment: its hops in order, what stands still and for whom, where the money is."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType

from tally_money import Currency, Money
from tally_portfolio.domain.projection import ALLOCATED, Account, Hop, PayIn, Payout, SetAside

ENDED: frozenset[str] = frozenset(
    {"paid", "returned", "failed", "rejected", "cancelled", "reversed", "expired", "escheated"}
)
"""Payout states that wait for nobody; a state this release does not know is not one of them."""

FAILED: frozenset[str] = frozenset({"returned", "failed", "rejected", "reversed", "escheated"})
"""Ends that somebody should look at; so is `unknown`, which is no end."""

NOTICED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "payout": FAILED | {"unknown", "claimable"},
        "pay_in": frozenset({"suspense", "charged_back"}),
    }
)
"""States in which payouts and pay-ins always wait for a person, or came to no good end."""

MACHINES = frozenset({"platform", "rail"})
"""Who goes on without anybody: what waits for them waits for no person."""

ACCOUNT_OPENED = "ledger.account.opened.v1"
_PLATFORM = "platform"
_OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A part of a payment that has not come to an end: since when, why, and who must act."""

    subject: str
    state: str
    since: datetime | None
    reason_code: str | None
    must_act: str | None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the money of one currency is.

    `resting` is what came in and neither left nor is on its way: it lies in wallets or suspense. It
    is None for a currency that did not come in (a withdrawal's, a conversion's). `returned` went back
    to the payer; where wallets had spent it, `resting` is below zero by what their owners owe.
    """

    received: Money | None
    paid_out: Money
    under_way: Money
    resting: Money | None
    returned: Money


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment: a pay-in with its payouts, or a withdrawal, which is a payout alone.

    `payment_id` is the pay-in's id, or the withdrawal's payout id. `pay_in` is None for a
    withdrawal, and while the facts that describe the pay-in have not come in.
    """

    payment_id: str
    pay_in: PayIn | None
    payouts: tuple[Payout, ...]

    @property
    def correlation_id(self) -> str | None:
        """The correlation id its first known part came with."""
        if self.pay_in is not None:
            return self.pay_in.correlation_id
        return self.payouts[0].correlation_id if self.payouts else None

    @property
    def allocated(self) -> bool:
        """Whether the ledger holds every share of the pay-in; a withdrawal starts from there."""
        if self.pay_in is None:
            return bool(self.payouts)
        return self.pay_in.state == ALLOCATED

    @property
    def payouts_ended(self) -> bool:
        """Whether every payout the allocation asked for was opened and waits for nobody."""
        return len(self.payouts) >= self._expected and all(
            payout.state in ENDED for payout in self.payouts
        )

    @property
    def complete(self) -> bool:
        """Whether nothing more is due."""
        gone = self.pay_in is not None and self.pay_in.gone
        return (self.allocated or gone) and self.payouts_ended

    @property
    def _expected(self) -> int:
        if self.pay_in is None or self.pay_in.gone:
            return 0
        return self.pay_in.payouts_expected or 0

    @property
    def first_at(self) -> datetime | None:
        """When the pay-in was received, or the oldest change that is known."""
        if self.pay_in is not None:
            return self.pay_in.received_at or self.pay_in.changed_at
        return min((payout.changed_at for payout in self.payouts), default=None)

    @property
    def last_at(self) -> datetime | None:
        """When the state of the pay-in or of a payout changed last."""
        changes = [payout.changed_at for payout in self.payouts]
        if self.pay_in is not None:
            changes.append(self.pay_in.last_at)
        return max(changes, default=None)

    def waiting(self) -> tuple[Waiting, ...]:
        """What stands still, the pay-in first."""
        return (
            *self._waiting_pay_in(),
            *(
                Waiting(p.payout_id, p.state, p.changed_at, p.reason_code, p.must_act)
                for p in self.payouts
                if p.state not in ENDED
            ),
        )

    def _waiting_pay_in(self) -> Iterable[Waiting]:
        pay_in = self.pay_in
        if pay_in is None:
            if not self.payouts:
                yield Waiting(self.payment_id, "unknown", None, "not_described_yet", _PLATFORM)
            return
        since = pay_in.changed_at
        if pay_in.gone:
            return
        if pay_in.state == "suspense":
            yield Waiting(
                pay_in.pay_in_id,
                pay_in.state,
                since,
                pay_in.reason_code,
                _OPERATOR,
                pay_in.remedy,
            )
        elif pay_in.state != ALLOCATED:
            yield Waiting(pay_in.pay_in_id, pay_in.state, since, "not_allocated_yet", _PLATFORM)
        elif len(self.payouts) < self._expected:
            yield Waiting(pay_in.pay_in_id, pay_in.state, since, "payout_not_opened", _PLATFORM)

    def flows(self) -> tuple[Flow, ...]:
        """Where the money is, the currency that came in first."""
        amounts = [] if self.pay_in is None else [self.pay_in.amount]
        amounts += [payout.amount for payout in self.payouts]
        units = {amount.currency.code: amount.currency for amount in amounts}
        return tuple(self._flow(unit) for unit in units.values())

    def _flow(self, unit: Currency) -> Flow:
        # Whole numbers of one currency: pages of payments are made of this.
        paid = under_way = 0
        for payout in self.payouts:
            if payout.amount.currency.code == unit.code:
                if payout.state == "paid":
                    paid += payout.amount.minor
                elif payout.state not in ENDED:
                    under_way += payout.amount.minor
        came_in = back = None
        if self.pay_in is not None and self.pay_in.amount.currency.code == unit.code:
            came_in = self.pay_in.amount
        if self.pay_in is not None and self.pay_in.returned is not None:
            back = self.pay_in.returned if self.pay_in.returned.currency.code == unit.code else None
        returned = 0 if back is None else back.minor
        return Flow(
            received=came_in,
            paid_out=Money(paid, unit),
            under_way=Money(under_way, unit),
            resting=(
                None
                if came_in is None
                else Money(came_in.minor - paid - under_way - returned, unit)
            ),
            returned=Money(returned, unit),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One hop in its place. `cause`: the event id of the hop it follows from, where that is known."""

    hop: Hop
    since_first: timedelta
    cause: str | None


@dataclass(frozen=True, slots=True)
class TimeLine:
    """A payment with all its hops.

    `accounts` are the ledger accounts its hops name, by id. `set_aside` are records that consumers
    set aside since the last hop, of this payment or of others: asked for only while the payment
    waits for somebody other than the people it is between. `truncated`: there are more hops.
    `returns` are the ids of what went back of the pay-in: their hops are among the steps.
    """

    payment: Payment
    steps: tuple[Step, ...]
    accounts: Mapping[str, Account]
    set_aside: tuple[SetAside, ...]
    truncated: bool
    returns: tuple[str, ...] = ()


def steps_of(hops: Sequence[Hop]) -> tuple[Step, ...]:
    """Put hops in order: by time, and never an effect before its cause, whatever the clocks said."""
    ordered = _in_order(hops)
    if not ordered:
        return ()
    first = min(hop.recorded_at for hop in ordered)
    known = {hop.event_id for hop in ordered}
    return tuple(
        Step(hop, hop.recorded_at - first, hop.causation_id if hop.causation_id in known else None)
        for hop in ordered
    )


def _in_order(hops: Sequence[Hop]) -> list[Hop]:
    by_id = {hop.event_id: hop for hop in hops}
    after: dict[str, list[str]] = {}
    open_causes = dict.fromkeys(by_id, 0)
    for before, later in _precedences(by_id):
        after.setdefault(before, []).append(later)
        open_causes[later] += 1
    ready = [_place(hop) for hop in by_id.values() if not open_causes[hop.event_id]]
    heapq.heapify(ready)
    ordered: list[Hop] = []
    while ready:
        _, event_id = heapq.heappop(ready)
        ordered.append(by_id.pop(event_id))
        for later in after.get(event_id, ()):
            open_causes[later] -= 1
            if not open_causes[later]:
                heapq.heappush(ready, _place(by_id[later]))
    # Facts that claim to cause each other in a circle still have a time.
    return ordered + sorted(by_id.values(), key=_place)


def _place(hop: Hop) -> tuple[datetime, str]:
    # Event ids are UUIDv7: at the same time, the order they were made in.
    return hop.recorded_at, hop.event_id


def _precedences(by_id: Mapping[str, Hop]) -> Iterable[tuple[str, str]]:
    """Pairs of event ids, the earlier first: cause and effect, and numbered changes of one thing."""
    numbered: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for hop in by_id.values():
        if hop.causation_id in by_id and hop.causation_id is not None:
            yield hop.causation_id, hop.event_id
        number = hop.summary.get("sequence")
        if isinstance(number, int):
            thing = hop.summary.get("attempt_id") if hop.event_type.startswith("rails.") else None
            numbered.setdefault((hop.event_type, str(thing or hop.subject)), []).append(
                (number, hop.event_id)
            )
    for changes in numbered.values():
        changes.sort()
        for (_, before), (_, later) in pairwise(changes):
            yield before, later


def accounts_of(hops: Iterable[Hop]) -> set[str]:
    """Ids of the ledger accounts that hops name."""
    named: set[str] = set()
    for hop in hops:
        summary = hop.summary
        for field in ("account", "debit", "credit"):
            if isinstance(account := summary.get(field), str):
                named.add(account)
        for legs, places in (("legs", 2), ("allocations", 1)):
            rows = summary.get(legs)
            if isinstance(rows, list):
                named.update(account for row in rows for account in row[:places])
    return named


def openings_of(hops: Sequence[Hop], openings: Iterable[Hop]) -> list[Hop]:
    """Those openings of accounts that came about by the very commands these hops answer."""
    commands = {hop.causation_id for hop in hops} - {None}
    return [opening for opening in openings if opening.causation_id in commands]
