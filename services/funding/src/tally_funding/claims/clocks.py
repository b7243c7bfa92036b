"""Dormancy clocks of wallets: started, stopped and run out, each told (F31)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tally_contracts.funding_claims import DormancyChanged
from tally_funding.claims.domain.dormancy import PERIODS, period_of, runs_out
from tally_funding.claims.domain.estate import CONTACT
from tally_funding.claims.store import wallets
from tally_funding.claims.store.wallets import Circumstances, Clock, Wallet
from tally_messaging import Cause, UnitOfWork
from tally_money import Currency, Money

CLAIMS_TOPIC = "funding.claims.v1"


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

    `country` is the holder's, since no owner is known: it says by which dated row the clock runs.
    """
    period = period_of(PERIODS, country, now.date())
    return Wallet(
        account=account,
        tenant=tenant,
        owner=owner,
        balance=Money(0, unit),
        program=told.why.program,
        told=told,
        clock=Clock(period.jurisdiction, period.label, "active", now, runs_out(period, now)),
    )


async def open_wallets(uow: UnitOfWork, opening: Sequence[Opening]) -> None:
    """Enter wallets that are not there yet, and tell of their clocks."""
    once = {one.wallet.account: one for one in opening}
    new = await wallets.open_wallets(uow.conn, [one.wallet for one in once.values()], uow.now)
    for account, one in once.items():
        if account in new:
            _tell(uow, one.wallet, "active", one.wallet.clock.last_activity_at, one.cause)


async def stop(uow: UnitOfWork, stopping: Sequence[Stopping]) -> None:
    """Money has another owner: its clocks stop."""
    ends = [
        (one, uow.now if one.by_owner else one.wallet.clock.last_activity_at) for one in stopping
    ]
    await wallets.set_dormancy(
        uow.conn, {one.wallet.account: activity for one, activity in ends}, "claimed"
    )
    for one, activity in ends:
        _tell(uow, one.wallet, "claimed", activity, one.cause)


async def sign_of_life(uow: UnitOfWork, contacts: Collection[str], cause: Cause) -> None:
    """Somebody has shown contacts to be his own: the clocks of the money for them start again."""
    held = await wallets.lock_owners(uow.conn, {f"{CONTACT}{contact}" for contact in contacts})
    waiting = [wallet for wallet in held if wallet.clock.state in {"active", "dormant"}]
    if not waiting:
        return
    restarted = [_restarted(wallet, uow.now) for wallet in waiting]
    await wallets.restart(uow.conn, restarted)
    for wallet in restarted:
        _tell(uow, wallet, "active", uow.now, cause)


def _restarted(wallet: Wallet, now: datetime) -> Wallet:
    period = period_of(PERIODS, wallet.clock.jurisdiction, now.date())
    clock = Clock(period.jurisdiction, period.label, "active", now, runs_out(period, now))
    return replace(wallet, clock=clock)


async def run_out(uow: UnitOfWork, limit: int) -> int:
    """Make up to `limit` wallets dormant whose clock has run out; how many were found."""
    due = await wallets.lock_run_out(uow.conn, uow.now, limit)
    if due:
        await wallets.set_dormancy(
            uow.conn, {w.account: w.clock.last_activity_at for w in due}, "dormant"
        )
    for wallet in due:
        _tell(uow, wallet, "dormant", wallet.clock.last_activity_at, wallet.told.cause)
    return len(due)


def _tell(
    uow: UnitOfWork, wallet: Wallet, state: str, last_activity_at: datetime, cause: Cause
) -> None:
    fact = DormancyChanged(
        account=wallet.account,
        owner=wallet.owner,
        tenant=wallet.tenant,
        state=state,
        jurisdiction=wallet.clock.jurisdiction,
        period=wallet.clock.period,
        last_activity_at=last_activity_at,
        dormant_at=wallet.clock.dormant_at,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=wallet.owner, cause=cause)
