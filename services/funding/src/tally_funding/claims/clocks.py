"""Dormancy clocks of wallets: started, set back, run out, and what comes of it, each told (F31)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tally_contracts.base import Amount, Who
from tally_contracts.funding_claims import DormancyChanged
from tally_contracts.funding_unclaimed import NoticeDue
from tally_contracts.owners import OF_CONTACT
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims.domain.dormancy import (
    GONE,
    NEXT,
    PERIODS,
    WAITING,
    Dormancy,
    Period,
    is_other_money,
    period_of,
    property_of,
    reportable_at,
    runs_out,
)
from tally_funding.claims.domain.estate import is_claimable, receiver, references
from tally_funding.claims.store import claims, wallets
from tally_funding.claims.store.wallets import Circumstances, Clock, Wallet
from tally_funding.claims.topics import CLAIMS_TOPIC
from tally_funding.parties import store as parties
from tally_funding.receipts.store import formers
from tally_messaging import Cause, UnitOfWork
from tally_money import Currency, Money
from tally_runtime import derived_id

ACTOR: Final = "svc:funding"
"""Who acts where only time or the ledger does."""
SIGN_AGAIN_AFTER: Final = timedelta(days=1)
"""A clock that was set back so lately is not set back again: an owner may be active all day."""
_NAMED_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Opening:
    """A wallet to enter, with what it followed from."""

    wallet: Wallet
    cause: Cause


@dataclass(frozen=True, slots=True)
class Stopping:
    """A wallet whose money has another owner now; `by_owner`: that was a sign of the owner."""

    wallet: Wallet
    cause: Cause
    by_owner: bool


def opened(
    *,
    account: str,
    tenant: str,
    owner: str,
    unit: Currency,
    told: Circumstances,
    country: str | None,
    now: datetime,
) -> Wallet:
    """A wallet with nothing in it and its clock started.

    `country` is the owner's, or the holder's where no owner is known: it says by which dated row
    the clock runs.
    """
    period = period_of(PERIODS, country, property_of(owner), now.date())
    return Wallet(
        account=account,
        tenant=tenant,
        owner=owner,
        balance=Money(0, unit),
        program=told.why.program,
        told=told,
        clock=_started(period, now),
    )


def _started(period: Period, now: datetime) -> Clock:
    return Clock(
        period.jurisdiction, period.label, Dormancy.ACTIVE, now, dormant_at=runs_out(period, now)
    )


def _period(wallet: Wallet, now: datetime) -> Period:
    held = property_of(wallet.owner)
    return period_of(PERIODS, wallet.clock.jurisdiction, held, now.date())


def under(wallet: Wallet, country: str, now: datetime) -> Wallet:
    """The wallet with its clock by the law of a country.

    What the clock had come to by another law is begun anew: each asks for a notice of its own.
    """
    period = period_of(PERIODS, country, property_of(wallet.owner), now.date())
    if period.jurisdiction == wallet.clock.jurisdiction:
        return wallet
    since = wallet.clock.last_activity_at
    clock = Clock(
        period.jurisdiction,
        period.label,
        Dormancy.ACTIVE,
        since,
        dormant_at=runs_out(period, since),
    )
    return replace(wallet, clock=clock)


async def open_wallets(uow: UnitOfWork, opening: Sequence[Opening]) -> None:
    """Enter wallets that are not there yet, and tell of the clocks of unknown owners.

    Those of known owners go without saying: every wallet has one.
    """
    once = {one.wallet.account: one for one in opening}
    new = await wallets.open_wallets(uow.conn, [one.wallet for one in once.values()], uow.now)
    for account, one in once.items():
        if account in new and is_claimable(one.wallet.owner):
            _tell(uow, one.wallet, one.cause)


async def stop(uow: UnitOfWork, stopping: Sequence[Stopping]) -> None:
    """Money has another owner: its clocks stop. What a jurisdiction has stays told so."""
    stopped = [
        (
            replace(
                one.wallet,
                clock=replace(
                    one.wallet.clock,
                    state=Dormancy.CLAIMED,
                    last_activity_at=uow.now if one.by_owner else one.wallet.clock.last_activity_at,
                ),
            ),
            one.cause,
        )
        for one in stopping
        if one.wallet.clock.state not in GONE
    ]
    if stopped:
        await wallets.set_clocks(uow.conn, [wallet for wallet, _ in stopped])
    for wallet, cause in stopped:
        _tell(uow, wallet, cause)


@dataclass(frozen=True, slots=True)
class Signs:
    """Signs of owners: what told each, by every id that was merged into the owner as by its own.

    Found before anything is locked, so that all wallets of a unit can be locked in one order.
    """

    causes: Mapping[str, Cause] = field(default_factory=dict)

    @property
    def owners(self) -> frozenset[str]:
        """All owner references whose clocks they set back: of money that may not be received yet, too."""
        return references(self.causes)


async def signs_of(uow: UnitOfWork, causes: Mapping[str, Cause]) -> Signs:
    """The signs that owners have given, by what told each."""
    became = await formers(uow.conn, causes) if causes else {}
    return Signs({one: causes[kept] for kept, ids in became.items() for one in ids} | {**causes})


async def waiting(uow: UnitOfWork, owners: Collection[str]) -> Mapping[str, int]:
    """How many clocks a sign of each owner sets back; they are locked."""
    became = await formers(uow.conn, owners)
    ids = {owner: {owner, *became.get(owner, ())} for owner in owners}
    held = await wallets.lock_owners(
        uow.conn, references(one for owner in ids.values() for one in owner)
    )
    running = Counter(receiver(wallet.owner) for wallet in held if wallet.clock.state in WAITING)
    return {owner: sum(running[one] for one in ids[owner]) for owner in owners}


async def sign_of_life(uow: UnitOfWork, signs: Signs) -> None:
    """Clocks of owners that have shown themselves, each by what told it, start again."""
    if not signs.causes:
        return
    held = await wallets.lock_owners(uow.conn, signs.owners)
    shown = [(w, signs.causes[receiver(w.owner)]) for w in held if _is_set_back(w, uow.now)]
    if shown:
        await restart(uow, shown)


def of_contact(contact: str) -> str:
    """The owner reference of money for a contact."""
    return f"{OF_CONTACT}{contact}"


def _is_set_back(wallet: Wallet, now: datetime) -> bool:
    if wallet.clock.state is Dormancy.ACTIVE:
        return now - wallet.clock.last_activity_at >= SIGN_AGAIN_AFTER
    return wallet.clock.state in WAITING


async def restart(uow: UnitOfWork, held: Sequence[tuple[Wallet, Cause]]) -> None:
    """Let clocks run anew from now, and tell of each under what it followed from."""
    restarted = [
        (w, replace(w, clock=_started(_period(w, uow.now), uow.now)), cause) for w, cause in held
    ]
    await change(uow, restarted)


async def change(uow: UnitOfWork, changed: Sequence[tuple[Wallet, Wallet, Cause]]) -> None:
    """Save wallets (before, after) whose clock or holder is another, and tell of each."""
    if not changed:
        return
    await wallets.set_clocks(uow.conn, [after for _, after, _ in changed])
    for before, after, cause in changed:
        states = {before.clock.state, after.clock.state}
        if is_claimable(after.owner) or states != {Dormancy.ACTIVE}:
            _tell(uow, after, cause)


async def new_money(
    uow: UnitOfWork, followed: Sequence[tuple[Money, Wallet]], cause: Cause
) -> None:
    """Balances (before, the wallet after) followed the books: other money has a clock of its own."""
    fresh = [
        (wallet, cause)
        for before, wallet in followed
        if is_other_money(wallet.clock.state, before, wallet.balance)
        and (wallet.clock.state in GONE or _is_set_back(wallet, uow.now))
    ]
    if fresh:
        await restart(uow, fresh)


async def settle(
    uow: UnitOfWork, held: Sequence[Wallet], state: Dormancy, filing_id: str, cause: Cause
) -> None:
    """A filing took the money of these wallets, or it came back."""
    settled = [
        replace(wallet, clock=replace(wallet.clock, state=state, filing_id=filing_id))
        for wallet in held
    ]
    await wallets.set_clocks(uow.conn, settled)
    for wallet in settled:
        _tell(uow, wallet, cause)


async def run_out(uow: UnitOfWork, limit: int) -> int:
    """Move on up to `limit` clocks of each state that time moves; how many were found."""
    await for_every_tenant(uow.conn)
    due = await wallets.lock_due(uow.conn, uow.now, limit)
    if not due:
        return 0
    moved = [(wallet, _moved_on(wallet, uow.now), wallet.told.cause) for wallet in due]
    await change(uow, moved)
    notices = [after for _, after, _ in moved if after.clock.state is Dormancy.NOTICE_SENT]
    if notices:
        await _give_notice(uow, notices)
    return len(due)


def _moved_on(wallet: Wallet, now: datetime) -> Wallet:
    clock, period = wallet.clock, _period(wallet, now)
    if wallet.balance.minor <= 0:
        # Nothing is there that could be unclaimed: look again when it may be.
        again_at = runs_out(period, now)
        empty = replace(clock, state=Dormancy.ACTIVE, dormant_at=again_at, reportable_at=None)
        return replace(wallet, clock=empty)
    state = NEXT[clock.state]
    until = reportable_at(period, now) if state is Dormancy.NOTICE_SENT else clock.reportable_at
    return replace(wallet, clock=replace(clock, state=state, reportable_at=until))


async def _give_notice(uow: UnitOfWork, held: Sequence[Wallet]) -> None:
    """Tell whoever delivers notices: by tokens, through every contact of the owner that is known."""
    waiting_for = {wallet.owner for wallet in held if is_claimable(wallet.owner)}
    known = {receiver(wallet.owner) for wallet in held} - waiting_for
    companies = await claims.companies(uow.conn, waiting_for) if waiting_for else {}
    contacts = await parties.verified_contacts(uow.conn, known) if known else {}
    for wallet in held:
        owner = wallet.owner
        tokens = contacts.get(receiver(owner), frozenset())
        if owner.startswith(OF_CONTACT):
            tokens = frozenset({owner.removeprefix(OF_CONTACT)})
        notice = NoticeDue(
            who=Who(actor=ACTOR, principal=wallet.tenant),
            where=wallet.told.where,
            why=wallet.told.why,
            occurred_at=uow.now,
            notice_id=derived_id("ntc", wallet.account, wallet.clock.dormant_at.isoformat()),
            account=wallet.account,
            owner=owner,
            holder=wallet.tenant,
            contacts=tuple(sorted(tokens)[:_NAMED_MAX]),
            companies=tuple(sorted(companies.get(owner, {}))[:_NAMED_MAX]),
            amount=Amount.of(wallet.balance),
            jurisdiction=wallet.clock.jurisdiction,
            answer_by=wallet.clock.reportable_at,
        )
        uow.emit(notice, topic=CLAIMS_TOPIC, key=owner, cause=wallet.told.cause)


def _tell(uow: UnitOfWork, wallet: Wallet, cause: Cause) -> None:
    clock = wallet.clock
    fact = DormancyChanged(
        account=wallet.account,
        owner=wallet.owner,
        tenant=wallet.tenant,
        state=clock.state.value,
        jurisdiction=clock.jurisdiction,
        period=clock.period,
        last_activity_at=clock.last_activity_at,
        dormant_at=clock.dormant_at,
        occurred_at=uow.now,
        reportable_at=clock.reportable_at,
        filing_id=clock.filing_id,
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=wallet.owner, cause=cause)
