"""Reading: any id leads to its payments, and a payment to its time line."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tally_portfolio import store
from tally_portfolio.domain.projection import Payout, SetAside
from tally_portfolio.domain.records import RETURN
from tally_portfolio.domain.time_line import (
    ACCOUNT_OPENED,
    Payment,
    TimeLine,
    accounts_of,
    openings_of,
    steps_of,
)
from tally_portfolio.store.views import NEWEST
from tally_postgres import Connection, Pool

MATCHES_MAX = 50
HOPS_MAX = 5_000
RETURNS_MAX = 100
_SET_ASIDE_MAX = 5
# Clocks of two services may differ by this much without anybody having noticed.
_CLOCK_TOLERANCE = timedelta(seconds=60)
_PEOPLE = frozenset({"payee", "payer"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """Payments an id leads to, the newest first. `more`: there are others, older ones."""

    payments: tuple[Payment, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Slow:
    """A payment and the time from its receipt to the last change of its or its payouts' state."""

    payment: Payment
    took: timedelta


@asynccontextmanager
async def reading(pool: Pool, tenant: str) -> AsyncIterator[Connection]:
    """A transaction that reads this tenant's rows as they were at one moment."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        await store.begin_reading(conn, tenant)
        yield conn


async def find(pool: Pool, id_: str, *, limit: int = MATCHES_MAX) -> Found:
    """Find payments by any id of theirs.

    That is the id of a pay-in, payout, journal, transfer, hold, attempt, case or event, the
    source's external id, a wallet account, or a correlation id. Nothing found is an empty answer.
    Accounts that every payment shares (clearing, suspense, settlement) lead nowhere.
    """
    if not could_be_kept(id_):
        return Found((), more=False)
    async with reading(pool, store.ALL_TENANTS) as conn:
        ids = await payment_ids_of(conn, id_, limit + 1)
        payments = await payments_of(conn, ids[:limit])
        newest_first = sorted(payments, key=lambda p: p.first_at or _EPOCH, reverse=True)
        return Found(tuple(newest_first), more=len(ids) > limit)


async def time_line(pool: Pool, payment_id: str) -> TimeLine | None:
    """Read the time line of a payment as `find` names it; None if nothing is known of it."""
    if not could_be_kept(payment_id):
        return None
    async with reading(pool, store.ALL_TENANTS) as conn:
        return await line_of(conn, payment_id)


async def line_of(conn: Connection, payment_id: str) -> TimeLine | None:
    """The time line of a payment, from the rows a transaction sees."""
    (payment,) = await payments_of(conn, [payment_id])
    returns = await store.records.under(conn, payment_id, RETURN, NEWEST, RETURNS_MAX)
    subjects = [payment_id, *(p.payout_id for p in payment.payouts if p.pay_in_id)]
    subjects += [place.subject for place in returns]
    hops = await store.hops(conn, subjects, HOPS_MAX + 1)
    if not hops:
        return None
    truncated = len(hops) > HOPS_MAX
    hops = hops[:HOPS_MAX]
    named = sorted(accounts_of(hops))
    openings = [
        hop for hop in await store.hops(conn, named, HOPS_MAX) if hop.event_type == ACCOUNT_OPENED
    ]
    accounts = await store.accounts(conn, named)
    return TimeLine(
        payment=payment,
        steps=steps_of([*hops, *openings_of(hops, openings)]),
        accounts={account.account_id: account for account in accounts},
        set_aside=await _set_aside(conn, payment, hops[-1].recorded_at),
        truncated=truncated,
        returns=tuple(place.subject for place in returns),
    )


async def slowest(pool: Pool, limit: int, *, since: datetime, until: datetime) -> tuple[Slow, ...]:
    """Payments received from `since` up to `until`, those longest on their way first."""
    async with reading(pool, store.ALL_TENANTS) as conn:
        times = await store.slowest(conn, since, until, limit)
        payments = await payments_of(conn, [payment_id for payment_id, _ in times])
        return tuple(
            Slow(payment, took) for payment, (_, took) in zip(payments, times, strict=True)
        )


def could_be_kept(text: str) -> bool:
    """Whether Postgres has a form for this text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


async def payment_ids_of(conn: Connection, id_: str, limit: int) -> list[str]:
    """The payments an id leads to, by the rows a transaction sees."""
    subjects = await _subjects_of(conn, id_, limit)
    came_of = await store.pay_ins_of(conn, subjects)
    return list(dict.fromkeys(came_of.get(subject) or subject for subject in subjects))


async def _subjects_of(conn: Connection, id_: str, limit: int) -> list[str]:
    """Everything an id could mean: a source may choose ids that look like others'."""
    found = await store.own_subjects(conn, id_, limit)
    if not await store.accounts(conn, [id_]) and await store.has_hops(conn, id_):
        found.append(id_)
    hop = await store.hop_of_event(conn, id_)
    shared = id_
    if hop is not None and hop.event_type == ACCOUNT_OPENED:
        # An opening names no payment: it came about with those of its correlation.
        shared = hop.correlation_id
    elif hop is not None:
        found.append(hop.subject)
    return [*found, *await store.shared_subjects(conn, shared, limit)]


async def payments_of(conn: Connection, ids: Sequence[str]) -> list[Payment]:
    """A payment for each id, in the order of the ids."""
    pay_ins = {pay_in.pay_in_id: pay_in for pay_in in await store.pay_ins(conn, ids)}
    payouts: dict[str, list[Payout]] = {}
    for payout in await store.payouts(conn, ids):
        for payment_id in {payout.pay_in_id or payout.payout_id, payout.payout_id}:
            payouts.setdefault(payment_id, []).append(payout)
    return [
        Payment(payment_id, pay_ins.get(payment_id), tuple(payouts.get(payment_id, ())))
        for payment_id in ids
    ]


async def _set_aside(
    conn: Connection, payment: Payment, last_hop_at: datetime
) -> tuple[SetAside, ...]:
    if all(waiting.must_act in _PEOPLE for waiting in payment.waiting()):
        return ()
    return tuple(await store.set_aside_since(conn, last_hop_at - _CLOCK_TOLERANCE, _SET_ASIDE_MAX))
