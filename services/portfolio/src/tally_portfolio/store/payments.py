"""Payments at rest: hops, what ids lead to, pay-ins and payouts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tally_money import Money, currency
from tally_portfolio.domain.projection import (
    Account,
    Hop,
    Key,
    PayIn,
    Payout,
    PayoutStep,
    SetAside,
)
from tally_portfolio.domain.records import RETURNED
from tally_portfolio.store.looking import columns, given
from tally_portfolio.store.noticing import payout_noticed
from tally_postgres import Connection, Record

_HOP_COLUMNS = ", ".join(Hop._fields)
_INSERT_HOPS = f"""
INSERT INTO hop ({_HOP_COLUMNS})
{given(*["text"] * 7, "timestamptz", "timestamptz", "jsonb", "text")}
ON CONFLICT DO NOTHING
"""

_INSERT_KEYS = f"""
INSERT INTO payment_key (id, subject, shared, at)
{given("text", "text", "boolean", "timestamptz")}
ON CONFLICT DO NOTHING
"""

_PAY_IN_COLUMNS = """
pay_in_id, correlation_id, source, external_id, currency, amount, company, owner, received_at,
payouts_expected, state, state_rank, changed_at, reason_code, remedy
"""
_SAVE_PAY_INS = f"""
INSERT INTO pay_in AS p ({_PAY_IN_COLUMNS})
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::text[],
    $8::text[], $9::timestamptz[], $10::integer[], $11::text[], $12::smallint[],
    $13::timestamptz[], $14::text[], $15::text[]
)
ON CONFLICT (pay_in_id) DO UPDATE SET
    company = COALESCE(p.company, excluded.company),
    owner = COALESCE(p.owner, excluded.owner),
    received_at = COALESCE(p.received_at, excluded.received_at),
    payouts_expected = COALESCE(p.payouts_expected, excluded.payouts_expected),
    {
    ", ".join(
        f"{name} = CASE WHEN excluded.state_rank > p.state_rank THEN excluded.{name} ELSE p.{name} END"
        for name in ("state", "state_rank", "changed_at", "reason_code", "remedy")
    )
}
RETURNING new.pay_in_id,
    (old.state IS NOT DISTINCT FROM 'suspense') <> (new.state = 'suspense') AS turned
"""

_PAYOUT_COLUMNS = """
payout_id, pay_in_id, correlation_id, owner, company, account, currency, amount, sequence, state,
changed_at, rail, reason_code, must_act
"""
_SAVE_PAYOUTS = f"""
INSERT INTO payout AS p ({_PAYOUT_COLUMNS})
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::numeric[], $9::bigint[], $10::text[], $11::timestamptz[], $12::text[], $13::text[],
    $14::text[]
)
ON CONFLICT (payout_id) DO UPDATE SET
    (sequence, state, changed_at, rail, reason_code, must_act) = (
        excluded.sequence, excluded.state, excluded.changed_at, excluded.rail,
        excluded.reason_code, excluded.must_act
    )
WHERE p.sequence < excluded.sequence
RETURNING new.payout_id, old.state AS before, new.state AS after, new.account, new.currency, new.amount,
    COALESCE({payout_noticed("old")}, false) <> {payout_noticed("new")} AS turned
"""

_INSERT_SET_ASIDE = """
INSERT INTO set_aside (consumer, topic, partition, "offset", code, detail, occurred_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[]
)
ON CONFLICT DO NOTHING
"""

_SHARED_SUBJECTS = """
SELECT subject FROM payment_key WHERE id = $1 AND shared ORDER BY at DESC LIMIT $2
"""
_OWN_SUBJECTS = "SELECT subject FROM payment_key WHERE id = $1 AND NOT shared LIMIT $2"
_HAS_HOPS = "SELECT EXISTS (SELECT FROM hop WHERE subject = $1)"
_HOP_BY_EVENT = f"SELECT {_HOP_COLUMNS} FROM hop WHERE event_id = $1"
_HOPS = f"""
SELECT {_HOP_COLUMNS} FROM hop WHERE subject = ANY($1::text[])
ORDER BY recorded_at, event_id LIMIT $2
"""
_HISTORY = f"""
SELECT {_HOP_COLUMNS} FROM hop WHERE subject = $1 OR about = $1
ORDER BY recorded_at, event_id LIMIT $2
"""
_PAY_INS_OF = "SELECT payout_id, pay_in_id FROM payout WHERE payout_id = ANY($1::text[])"
_PAY_INS = f"""
SELECT {_PAY_IN_COLUMNS}, r.told -> 'returned' AS returned,
       r.told ->> 'state' AS return_state, r.at AS returned_at
FROM pay_in p
LEFT JOIN record r ON r.subject = p.pay_in_id AND r.kind = '{RETURNED}' AND r.part = 1
WHERE p.pay_in_id = ANY($1::text[])
"""
_PAYOUTS = f"""
SELECT {_PAYOUT_COLUMNS} FROM payout
WHERE pay_in_id = ANY($1::text[]) OR payout_id = ANY($1::text[])
ORDER BY payout_id
"""
_PAYOUTS_BY_ID = f"SELECT {_PAYOUT_COLUMNS} FROM payout WHERE payout_id = ANY($1::text[])"
_ACCOUNTS = """
SELECT account_id, ledger, path, owner, purpose, currency, opened_at FROM account
WHERE account_id = ANY($1::text[])
"""
_SET_ASIDE_SINCE = """
SELECT consumer, topic, partition, "offset", code, detail, occurred_at FROM set_aside
WHERE occurred_at >= $1 ORDER BY occurred_at LIMIT $2
"""
_SLOWEST = """
SELECT pay_in_id, GREATEST(p.changed_at, o.changed_at) - p.received_at AS took
FROM pay_in p
LEFT JOIN LATERAL (
    SELECT max(changed_at) AS changed_at FROM payout WHERE payout.pay_in_id = p.pay_in_id
) o ON true
WHERE p.received_at >= $1 AND p.received_at < $2
ORDER BY took DESC, pay_in_id LIMIT $3
"""


async def save_hops(conn: Connection, hops: Iterable[Hop]) -> None:
    """Keep facts not kept yet."""
    await conn.execute(_INSERT_HOPS, *columns(sorted(hops)))


async def save_keys(conn: Connection, keys: Iterable[Key]) -> None:
    """Let ids lead to subjects."""
    await conn.execute(_INSERT_KEYS, *columns(sorted(keys)))


async def save_pay_ins(conn: Connection, pay_ins: Mapping[str, PayIn]) -> list[str]:
    """Take in what facts say of pay-ins; returns those that call for attention now, or no longer do."""
    rows = [_pay_in_row(pay_ins[key]) for key in sorted(pay_ins)]
    return [key for key, turned in await conn.fetch(_SAVE_PAY_INS, *columns(rows)) if turned]


async def save_payouts(conn: Connection, payouts: Mapping[str, Payout]) -> list[PayoutStep]:
    """Take in payouts' newest changes; returns those that are newer than what was kept."""
    rows = [_payout_row(payouts[key]) for key in sorted(payouts)]
    return [PayoutStep(*row) for row in await conn.fetch(_SAVE_PAYOUTS, *columns(rows))]


async def save_set_aside(
    conn: Connection, records: Mapping[tuple[str, str, int, int], SetAside]
) -> None:
    """Keep what consumers said they set aside."""
    rows = [
        (*key, record.code, record.detail, record.occurred_at)
        for key, record in sorted(records.items())
    ]
    await conn.execute(_INSERT_SET_ASIDE, *columns(rows))


async def own_subjects(conn: Connection, key: str, limit: int) -> list[str]:
    """What an id of the platform's own leads to."""
    return [row[0] for row in await conn.fetch(_OWN_SUBJECTS, key, limit)]


async def shared_subjects(conn: Connection, key: str, limit: int) -> list[str]:
    """What an account, a correlation or a source's own id leads to, the newest first."""
    return [row[0] for row in await conn.fetch(_SHARED_SUBJECTS, key, limit)]


async def has_hops(conn: Connection, subject: str) -> bool:
    """Whether any fact is about this."""
    found: bool = await conn.fetchval(_HAS_HOPS, subject)
    return found


async def hop_of_event(conn: Connection, event_id: str) -> Hop | None:
    """The hop that this event is."""
    row = await conn.fetchrow(_HOP_BY_EVENT, event_id)
    return None if row is None else Hop(*row)


async def hops(conn: Connection, subjects: Sequence[str], limit: int) -> list[Hop]:
    """Facts about any of these, oldest first, at most `limit`."""
    return [Hop(*row) for row in await conn.fetch(_HOPS, subjects, limit)]


async def history(conn: Connection, thing: str, limit: int) -> list[Hop]:
    """Facts that tell of a thing, those of what it came of included, oldest first."""
    return [Hop(*row) for row in await conn.fetch(_HISTORY, thing, limit)]


async def pay_ins_of(conn: Connection, payout_ids: Sequence[str]) -> Mapping[str, str | None]:
    """The pay-ins that payouts came of, None for a withdrawal; ids of other things are left out."""
    return {row[0]: row[1] for row in await conn.fetch(_PAY_INS_OF, payout_ids)}


async def pay_ins(conn: Connection, ids: Sequence[str]) -> list[PayIn]:
    """Pay-ins by id."""
    return [_read_pay_in(row) for row in await conn.fetch(_PAY_INS, ids)]


async def payouts(conn: Connection, payment_ids: Sequence[str]) -> list[Payout]:
    """Payouts of these pay-ins, and withdrawals by their own id."""
    return [_read_payout(row) for row in await conn.fetch(_PAYOUTS, payment_ids)]


async def payouts_by_id(conn: Connection, ids: Sequence[str]) -> list[Payout]:
    """Payouts by their own id."""
    return [_read_payout(row) for row in await conn.fetch(_PAYOUTS_BY_ID, ids)]


async def accounts(conn: Connection, ids: Iterable[str]) -> list[Account]:
    """Accounts by id."""
    return [Account(*row) for row in await conn.fetch(_ACCOUNTS, list(ids))]


async def set_aside_since(conn: Connection, since: datetime, limit: int) -> list[SetAside]:
    """Records that consumers set aside from then on, oldest first."""
    return [SetAside(*row) for row in await conn.fetch(_SET_ASIDE_SINCE, since, limit)]


async def slowest(
    conn: Connection, since: datetime, until: datetime, limit: int
) -> list[tuple[str, timedelta]]:
    """Pay-ins received in a span of time, the longest on their way first."""
    return [(row[0], row[1]) for row in await conn.fetch(_SLOWEST, since, until, limit)]


def _pay_in_row(pay_in: PayIn) -> tuple[object, ...]:
    return (
        pay_in.pay_in_id,
        pay_in.correlation_id,
        pay_in.source,
        pay_in.external_id,
        pay_in.amount.currency.code,
        pay_in.amount.minor,
        pay_in.company,
        pay_in.owner,
        pay_in.received_at,
        pay_in.payouts_expected,
        pay_in.state,
        pay_in.state_rank,
        pay_in.changed_at,
        pay_in.reason_code,
        pay_in.remedy,
    )


def _read_pay_in(row: Record) -> PayIn:
    fields = dict(row.items())
    returned = fields.pop("returned")
    return PayIn(
        amount=Money(fields.pop("amount"), currency(fields.pop("currency"))),
        returned=(
            None if returned is None else Money.parse(returned["amount"], returned["currency"])
        ),
        **fields,
    )


def _payout_row(payout: Payout) -> tuple[object, ...]:
    return (
        payout.payout_id,
        payout.pay_in_id,
        payout.correlation_id,
        payout.owner,
        payout.company,
        payout.account,
        payout.amount.currency.code,
        payout.amount.minor,
        payout.sequence,
        payout.state,
        payout.changed_at,
        payout.rail,
        payout.reason_code,
        payout.must_act,
    )


def _read_payout(row: Record) -> Payout:
    fields = dict(row.items())
    return Payout(amount=Money(fields.pop("amount"), currency(fields.pop("currency"))), **fields)
