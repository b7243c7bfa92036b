"""What one batch touches: found before anything is decided, changed in memory, saved at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tally_contracts.directory_facts import PartiesMerged
from tally_contracts.funding import PayInAllocated
from tally_contracts.funding_claims import DesignationMoved
from tally_contracts.kyc import GateTablePublished, LevelChanged, LimitTablePublished
from tally_contracts.ledger import (
    HoldCaptured,
    HoldPlaced,
    HoldRejected,
    HoldReleased,
    JournalPosted,
    JournalRejected,
)
from tally_contracts.payouts import CancelPayout, ChooseMethod, RequestPayout
from tally_contracts.programs import ProgramPolicyPublished
from tally_contracts.rails import AttemptChanged, InstrumentRefused, InstrumentRegistered
from tally_messaging import Received
from tally_payouts.context import Context
from tally_payouts.domain.designation import Designation, Release, is_unknown
from tally_payouts.domain.families import Families
from tally_payouts.domain.methods import Instrument, Method, Methods, way_out
from tally_payouts.domain.opening import NewPayout, NoRoute
from tally_payouts.domain.payout import Moved, Order, Payout, Route
from tally_payouts.domain.policy import Policy, Request, in_force, permitted
from tally_payouts.domain.states import PayoutState
from tally_payouts.policies import StoredPolicy
from tally_payouts.store.methods import Key
from tally_payouts.store.payouts import Case, StoredPayout
from tally_payouts.store.policies import PolicyKey
from tally_runtime import derived_id

ID_PREFIX = "po_"
"""How the id of a payout begins, and so the key of its journals."""

_REFERRING = HoldCaptured | HoldReleased | HoldRejected | JournalPosted | JournalRejected


@dataclass(slots=True)
class Needs:
    """Keys of all rows a batch may touch, and the payouts its pay-ins begin."""

    payouts: set[str] = field(default_factory=set)
    payees: set[Key] = field(default_factory=set)
    choosing: set[Key] = field(default_factory=set)
    instruments: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    redirected: set[str] = field(default_factory=set)
    came_since: datetime | None = None
    choosers: set[str] = field(default_factory=set)
    placed: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    tables: bool = False
    merges: list[tuple[str, str]] = field(default_factory=list)
    openings: dict[str, list[NewPayout]] = field(default_factory=dict)

    @classmethod
    def of(cls, messages: Sequence[Received[Any]], ledger: str) -> "Needs":
        needs = cls()
        for message in messages:
            needs._add(message.event, ledger)
        return needs

    def _add(self, event: object, ledger: str) -> None:
        match event:
            case PayInAllocated():
                self._begin(event, openings(event, ledger))
            case RequestPayout():
                self.payouts.add(event.payout_id)
                self.payees.add((event.owner, event.amount.currency))
                self.choosers.add(event.owner)
                self.withdrawn.add(event.account)
                self.programs.add(event.why.program)
            case ChooseMethod():
                self.choosing.add((event.owner, event.currency))
                self.instruments.add(event.instrument)
            case InstrumentRegistered() | InstrumentRefused():
                self.instruments.add(event.instrument_id)
                self.judged.add(event.instrument_id)
            case CancelPayout() | AttemptChanged():
                self.payouts.add(event.payout_id)
            case DesignationMoved():
                moved_at = event.asked_at or event.occurred_at
                self._redirect({event.owner, event.to_owner}, moved_at)
                codes = {amount.currency for amount in event.amounts}
                self.payees |= {(event.to_owner, code) for code in codes}
                self.choosers.add(event.to_owner)
            case LevelChanged() | GateTablePublished() | LimitTablePublished():
                self._identity(event)
            case HoldPlaced():
                self.payouts.add(event.reference)
                self.placed.add(event.reference)
            case PartiesMerged():
                self.merges.append((event.merged, event.party_id))
                self.told |= {event.merged, event.party_id}
            case ProgramPolicyPublished():
                return
            case _ if isinstance(event, _REFERRING):
                self.payouts.add(event.reference)
            case _:
                raise TypeError(f"{type(event).__name__} is not an input of the payouts service")

    def _begin(self, event: PayInAllocated, begun: list[NewPayout]) -> None:
        if begun:
            self.programs.add(event.why.program)
        self.openings[event.pay_in_id] = begun
        self.payouts.update(new.id for new in begun)
        self.payees.update(new.order.wallet_key for new in begun)
        self.choosers.update(new.order.owner for new in begun)
        unknown = {new.order.owner for new in begun if is_unknown(new.order.owner)}
        if unknown:
            self._redirect(unknown, event.occurred_at)

    def _redirect(self, owners: set[str], came_at: datetime) -> None:
        """Whose money may be led on; only releases since it came may be its own."""
        self.redirected |= owners
        self.came_since = min(came_at, self.came_since or came_at)

    def _identity(self, event: LevelChanged | GateTablePublished | LimitTablePublished) -> None:
        if isinstance(event, LevelChanged):
            self.told.add(event.party_id)
        else:
            self.tables = True


def openings(event: PayInAllocated, ledger: str) -> list[NewPayout]:
    """The payouts a pay-in begins: one per wallet a rule pays out at once; nothing of zero."""
    orders: dict[str, Order] = {}
    for share in event.allocations:
        amount = share.amount.money()
        if not share.pay_out or not amount:
            continue
        before = orders.get(share.account)
        orders[share.account] = Order(
            ledger=ledger,
            owner=share.owner,
            company=event.company,
            account=share.account,
            amount=amount if before is None else before.amount + amount,
            pay_in_id=event.pay_in_id,
            external_id=event.external_id,
            source=event.source,
            kind=event.kind,
        )
    return [
        new_payout(derived_id("po", event.pay_in_id, account), order)
        for account, order in orders.items()
    ]


def new_payout(payout_id: str, order: Order) -> NewPayout:
    """A payout with the ids everybody will know its hold and its attempt by."""
    return NewPayout(
        payout_id, derived_id("hld", payout_id), derived_id("att", payout_id, "1"), order
    )


@dataclass(slots=True)
class Tracked:
    """A payout while a batch works on it. `saved` is None until it has a row."""

    payout: Payout
    context: Context
    saved: StoredPayout | None = None

    @classmethod
    def read(cls, stored: StoredPayout) -> "Tracked":
        return cls(stored.payout, Context.stored(stored.circumstances, stored.cause), stored)

    @property
    def request(self) -> Request:
        """What its program's policy is asked."""
        order = self.payout.order
        return Request(order.amount, self.context.where.country, order.source, order.kind)

    @property
    def came_at(self) -> datetime | None:
        """When its money came, by the clock of who told; where that was not kept, when it opened."""
        if self.context.came_at is not None or self.saved is None:
            return self.context.came_at
        return self.saved.opened_at

    def opened_before(self, moment: datetime | None) -> bool:
        """Whether it was there by then; a fact of before says no moment, and means all there are."""
        if moment is None:
            return True
        opened_at = None if self.saved is None else self.saved.opened_at
        return opened_at is not None and opened_at <= moment

    @property
    def policy_key(self) -> PolicyKey | None:
        """The policy version it has opened with, where it still waits for a way out."""
        if self.payout.state is not PayoutState.CLAIMABLE or self.payout.policy_version is None:
            return None
        return self.context.why.program, self.payout.policy_version

    def changed(self) -> StoredPayout | None:
        """The row to save; None when the batch left the payout as it was."""
        if self.saved is None:
            cause = self.context.cause.to_text()
            return StoredPayout(self.payout, self.context.circumstances, cause)
        if self.payout is self.saved.payout:
            return None
        return replace(self.saved, payout=self.payout)


@dataclass(slots=True)
class Batch:
    """Loaded rows by key, and what is to be saved beside them."""

    openings: dict[str, list[NewPayout]]
    payouts: dict[str, Tracked]
    methods: dict[Key, Methods]
    instruments: dict[str, Instrument]
    wallets: dict[str, Key]
    policies: dict[PolicyKey, Policy]
    designations: dict[Key, Designation] = field(default_factory=dict)
    changed_designations: dict[Key, Designation] = field(default_factory=dict)
    releases: dict[Key, dict[datetime, Release]] = field(default_factory=dict)
    changed_releases: dict[tuple[Key, datetime], Release] = field(default_factory=dict)
    families: Families = field(default_factory=Families)
    claimable: dict[Key, dict[str, None]] = field(default_factory=dict)
    choosers: dict[str, dict[Key, None]] = field(default_factory=dict)
    history: list[Moved] = field(default_factory=list)
    returns: list[tuple[str, str, str]] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)
    new_wallets: dict[str, Key] = field(default_factory=dict)
    changed_methods: dict[tuple[str, str, int], Method] = field(default_factory=dict)
    changed_instruments: dict[str, Instrument] = field(default_factory=dict)
    new_policies: list[StoredPolicy] = field(default_factory=list)

    def __post_init__(self) -> None:
        for tracked in self.payouts.values():
            self.file(tracked.payout)
        for key, methods in self.methods.items():
            for choice in methods.choices:
                self.choosers.setdefault(choice.instrument, {})[key] = None

    def file(self, payout: Payout) -> None:
        """Keep the list of payouts that wait for a method."""
        waiting = self.claimable.setdefault(payout.order.wallet_key, {})
        if payout.state is PayoutState.CLAIMABLE:
            waiting[payout.id] = None
        else:
            waiting.pop(payout.id, None)

    def publish(self, stored: StoredPolicy) -> None:
        """Learn of a policy version; payouts that have opened keep theirs."""
        self.policies.setdefault((stored.program, stored.version), stored.policy())
        self.new_policies.append(stored)

    def designate(self, designation: Designation) -> None:
        """Put a designation in place of the one before."""
        self.designations[designation.key] = designation
        self.changed_designations[designation.key] = designation

    def release(self, key: Key, release: Release) -> None:
        """Put a release of restricted money in place, or what is left of one."""
        self.releases.setdefault(key, {})[release.asked_at] = release
        self.changed_releases[key, release.asked_at] = release

    def policy_in_force(self, program: str, now: datetime) -> Policy | None:
        """The version a payout of this program opens with."""
        return in_force((p for p in self.policies.values() if p.program == program), now)

    def policy_of(self, tracked: Tracked) -> Policy | None:
        """The version a payout has opened with."""
        version = tracked.payout.policy_version
        if version is None:
            return None
        return self.policies[tracked.context.why.program, version]

    def way(self, key: Key, policy: Policy | None, request: Request) -> Route | NoRoute:
        """The way out of an owner's money in a currency, as far as a policy permits.

        Of an owner that was merged, the method of the one it became goes before its own.
        """
        owner, code = key
        own = permitted(policy, request, way_out(self._methods_of(owner, code)))
        kept = self.families.kept(owner)
        if kept == owner:
            return own
        theirs = permitted(policy, request, way_out(self._methods_of(kept, code)))
        if isinstance(theirs, Route):
            return replace(theirs, owner=kept)
        return own if isinstance(own, Route) else theirs

    def _methods_of(self, owner: str, code: str) -> Methods:
        return self.methods.get((owner, code)) or Methods(owner, code)

    def waiting(self, owner: str, code: str) -> list[Tracked]:
        """What waits for a method of an owner, or of one that became it."""
        keys = ((one, code) for one in sorted(self.families.names_of({owner})))
        return [self.payouts[one] for key in keys for one in self.claimable.get(key, ())]

    def owns(self, account: str, key: Key) -> None:
        """Learn whose a wallet is; the first word stands."""
        if self.wallets.setdefault(account, key) == key:
            self.new_wallets[account] = key

    def replace_methods(self, methods: Methods) -> None:
        """Put a payee's choices in place of the ones before."""
        key = (methods.owner, methods.currency)
        before = {choice.version: choice for choice in self.methods[key].choices}
        for choice in methods.choices:
            if before.get(choice.version) != choice:
                self.changed_methods[(*key, choice.version)] = choice
                self.choosers.setdefault(choice.instrument, {})[key] = None
        self.methods[key] = methods

    def replace_instrument(self, instrument: Instrument) -> None:
        self.instruments[instrument.id] = instrument
        self.changed_instruments[instrument.id] = instrument

    def chosen(self, instrument_id: str) -> list[Methods]:
        """The payees whose choices name this instrument."""
        return [self.methods[key] for key in self.choosers.get(instrument_id, ())]

    def changed_payouts(self) -> Iterable[StoredPayout]:
        return (row for t in self.payouts.values() if (row := t.changed()) is not None)

    def new_owners(self) -> set[str]:
        """Who owns the payouts that opened, as far as anybody is known to."""
        opened = {t.payout.order.owner for t in self.payouts.values() if t.saved is None}
        return {owner for owner in opened if not is_unknown(owner)}
