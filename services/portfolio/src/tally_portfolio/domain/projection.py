"""What is kept of facts: rows, and how facts about one thing become one row whatever their order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tally_money import Money
from tally_portfolio.domain.books import Movement
from tally_portfolio.domain.budgets import Budget
from tally_portfolio.domain.records import Record
from tally_portfolio.domain.tree import (
    Belonging,
    Connection,
    Consent,
    Grant,
    Involvement,
    PartyNews,
    Wallet,
)

ALLOCATED = "allocated"
"""The state of a pay-in whose every share the ledger holds."""

WALLET = "wallet"
"""The purpose of accounts that hold their owners' money."""


class Hop(NamedTuple):
    """One fact of a payment.

    `subject`: the pay-in, payout or opened account it is about. `recorded_at`: when the service
    named wrote it down (`ce_time`); `occurred_at` is the event's own. `summary` holds what is shown
    of the payload, by the names of its fields; `who`, `where` and `why` are lists. `about`: what else
    it tells of, whose history it belongs to as well.
    """

    event_id: str
    subject: str
    correlation_id: str
    causation_id: str | None
    event_type: str
    topic: str
    service: str
    occurred_at: datetime
    recorded_at: datetime
    summary: Mapping[str, object]
    about: str | None = None


class Key(NamedTuple):
    """An id that leads to a subject; a shared one may lead to many, `at` tells the newest."""

    id: str
    subject: str
    shared: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class PayIn:
    """The header of a pay-in. Fields that only some of its facts tell are None until told.

    `returned` is all that went back so far, `return_state` what that makes of the pay-in; both are
    read beside the header, where `merged` has no part in them.
    """

    pay_in_id: str
    correlation_id: str
    source: str
    external_id: str
    amount: Money
    state: str
    state_rank: int
    changed_at: datetime
    company: str | None = None
    owner: str | None = None
    received_at: datetime | None = None
    payouts_expected: int | None = None
    reason_code: str | None = None
    remedy: str | None = None
    returned: Money | None = None
    return_state: str | None = None
    returned_at: datetime | None = None

    @property
    def standing(self) -> str:
        """Its state, or what returns made of it: partly_refunded, refunded, charged_back."""
        if self.return_state is None or self.return_state == ALLOCATED:
            return self.state
        return self.return_state

    @property
    def gone(self) -> bool:
        """Whether all of it went back, so that nothing of it is due to anybody."""
        return self.returned == self.amount

    @property
    def last_at(self) -> datetime:
        """When its state changed last, or part of it went back."""
        return max(self.changed_at, self.returned_at or self.changed_at)

    def merged(self, other: "PayIn") -> "PayIn":
        """Both facts in one: the state of the higher rank, the fields of whichever tells them."""
        newest = self if self.state_rank >= other.state_rank else other
        return PayIn(
            pay_in_id=newest.pay_in_id,
            correlation_id=newest.correlation_id,
            source=newest.source,
            external_id=newest.external_id,
            amount=newest.amount,
            state=newest.state,
            state_rank=newest.state_rank,
            changed_at=newest.changed_at,
            reason_code=newest.reason_code,
            remedy=newest.remedy,
            company=other.company if self.company is None else self.company,
            owner=other.owner if self.owner is None else self.owner,
            received_at=other.received_at if self.received_at is None else self.received_at,
            payouts_expected=(
                other.payouts_expected if self.payouts_expected is None else self.payouts_expected
            ),
        )


@dataclass(frozen=True, slots=True)
class Payout:
    """The header of a payout, as its change of this `sequence` left it."""

    payout_id: str
    pay_in_id: str | None
    correlation_id: str
    owner: str
    company: str
    account: str
    amount: Money
    sequence: int
    state: str
    changed_at: datetime
    rail: str | None
    reason_code: str | None
    must_act: str | None


class PayoutStep(NamedTuple):
    """A payout's state before and after a change, None before it was known; amounts in minor units.

    `turned`: it calls for attention now and did not before, or did and no longer does.
    """

    payout_id: str
    before: str | None
    after: str
    account: str
    currency: str
    amount: int
    turned: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A ledger account by its readable path."""

    account_id: str
    ledger: str
    path: str
    owner: str
    purpose: str
    currency: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record some consumer could not apply; `tally dlq` shows it whole."""

    consumer: str
    topic: str
    partition: int
    offset: int
    code: str
    detail: str
    occurred_at: datetime


@dataclass(slots=True)
class Projection:
    """What a batch of facts adds, each thing once."""

    hops: dict[str, Hop] = field(default_factory=dict)
    keys: dict[tuple[str, str, bool], Key] = field(default_factory=dict)
    pay_ins: dict[str, PayIn] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    set_aside: dict[tuple[str, str, int, int], SetAside] = field(default_factory=dict)
    movements: dict[tuple[str, str], Movement] = field(default_factory=dict)
    involvements: dict[tuple[str, str], Involvement] = field(default_factory=dict)
    parties: dict[str, PartyNews] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    connections: dict[str, Connection] = field(default_factory=dict)
    consents: dict[tuple[str, str], Consent] = field(default_factory=dict)
    records: dict[tuple[str, str, int], Record] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    belongings: dict[tuple[str, str], Belonging] = field(default_factory=dict)
    keepers: dict[str, str] = field(default_factory=dict)

    def add_hop(self, hop: Hop) -> None:
        """Keep a fact, the first if its id comes twice."""
        self.hops.setdefault(hop.event_id, hop)

    def mark_brought(self, event_id: str) -> None:
        """Let a hop say that it happened in another installation."""
        hop = self.hops.get(event_id)
        if hop is not None:
            self.hops[event_id] = hop._replace(summary={**hop.summary, "brought": True})

    def add_key(self, key: str, subject: str, at: datetime, *, shared: bool = False) -> None:
        """Let an id lead to a subject."""
        self.keys.setdefault((key, subject, shared), Key(key, subject, shared, at))

    def add_pay_in(self, pay_in: PayIn) -> None:
        """Take in what one fact says of a pay-in."""
        known = self.pay_ins.get(pay_in.pay_in_id)
        self.pay_ins[pay_in.pay_in_id] = pay_in if known is None else known.merged(pay_in)

    def add_payout(self, payout: Payout) -> None:
        """Take in a payout's change if it is the newest."""
        known = self.payouts.get(payout.payout_id)
        if known is None or payout.sequence > known.sequence:
            self.payouts[payout.payout_id] = payout

    def add_account(self, account: Account) -> None:
        """Keep an account by its first opening: each ledger that has a part of it opens it once."""
        known = self.accounts.get(account.account_id)
        if known is None or (account.opened_at, account.ledger) < (known.opened_at, known.ledger):
            self.accounts[account.account_id] = account

    def add_set_aside(self, record: SetAside) -> None:
        """Keep a notice; a record is set aside once per consumer."""
        place = (record.consumer, record.topic, record.partition, record.offset)
        self.set_aside.setdefault(place, record)

    def add_movement(self, movement: Movement) -> None:
        """Keep what a transfer did to an account; it does it once, however often it is told."""
        self.movements.setdefault((movement.account, movement.transfer_id), movement)

    def involve(self, subject: str, kind: str, at: datetime, *parties: str | None) -> None:
        """Let a thing be these owners', since the first time it was told of."""
        for party in parties:
            if party is not None:
                known = self.involvements.get((subject, party))
                if known is None or at < known.at:
                    self.involvements[subject, party] = Involvement(subject, party, kind, at)

    def add_party(self, news: PartyNews) -> None:
        """Take in what one fact says of a party."""
        known = self.parties.get(news.party_id)
        self.parties[news.party_id] = news if known is None else known.merged(news)

    def add_wallet(self, wallet: Wallet) -> None:
        """Keep a wallet; it is opened once."""
        self.wallets.setdefault(wallet.account, wallet)

    def add_grant(self, grant: Grant) -> None:
        """Keep what a grant says by its last change."""
        known = self.grants.get(grant.grant_id)
        if known is None or grant.version > known.version:
            self.grants[grant.grant_id] = grant

    def add_connection(self, connection: Connection) -> None:
        """Keep what a connection says by its last change."""
        known = self.connections.get(connection.connection_id)
        if known is None or connection.version > known.version:
            self.connections[connection.connection_id] = connection

    def add_record(self, record: Record) -> None:
        """Keep what the newest fact tells of a part of a thing."""
        part = (record.subject, record.kind, record.part)
        known = self.records.get(part)
        if known is None or record.version > known.version:
            self.records[part] = record

    def add_budget(self, budget: Budget) -> None:
        """Take in a budget's change if it is the newest."""
        known = self.budgets.get(budget.budget_id)
        if known is None or budget.sequence > known.sequence:
            self.budgets[budget.budget_id] = budget

    def belong(self, subject: str, kind: str, at: datetime, *things: str) -> None:
        """Let a thing be also of whoever keeps these."""
        for thing in things:
            known = self.belongings.get((subject, thing))
            if known is None or at < known.at:
                self.belongings[subject, thing] = Belonging(subject, thing, kind, at)

    def keep(self, thing: str, party: str) -> None:
        """Let what belongs to a thing be also this party's; a thing has one keeper for ever."""
        self.keepers.setdefault(thing, party)

    def add_consent(self, consent: Consent) -> None:
        """Keep what a payee last said of a company."""
        known = self.consents.get((consent.party_id, consent.company))
        if known is None or consent.version > known.version:
            self.consents[consent.party_id, consent.company] = consent
