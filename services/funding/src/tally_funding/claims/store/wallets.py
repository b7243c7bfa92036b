"""Wallets with a dormancy clock: what they hold by the ledger's facts, and where the clock stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Where, Who, Why
from tally_contracts.owners import OF_CONTACT, OF_EVENT, RESTRICTED
from tally_funding.claims.domain.dormancy import Dormancy
from tally_messaging import Cause
from tally_money import Money, currency
from tally_postgres import Connection, Record

# By which pay-ins these accounts are wallets of owners nobody knows; each company once.
# As the partial indexes say it.
_DESIGNATED = f"""
SELECT DISTINCT ON (a.account, p.company) a.account, a.owner, p.currency, p.company, p.actor, p.principal, p.channel, p.country,
       p.program, p.event, p.reason
FROM (
    SELECT account, owner, pay_in_id FROM allocation
    WHERE account = ANY($1::text[]) AND (owner LIKE '{OF_EVENT}%' OR owner LIKE '{OF_CONTACT}%')
    UNION ALL
    SELECT account, owner, pay_in_id FROM allocation
    WHERE account = ANY($1::text[]) AND owner LIKE '{RESTRICTED}%'
) AS a JOIN pay_in p USING (pay_in_id)
ORDER BY a.account, p.company, a.pay_in_id
"""

_OPEN = """
INSERT INTO claimable_wallet (
    account, tenant, owner, currency, balance, program, circumstances, cause, jurisdiction, period,
    dormancy, last_activity_at, dormant_at, opened_at)
SELECT w.account, w.tenant, w.owner, w.currency, 0, w.program, w.circumstances, w.cause,
       w.jurisdiction, w.period, 'active', $11, w.dormant_at, $11
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[],
    $9::text[], $10::timestamptz[])
    AS w (account, tenant, owner, currency, program, circumstances, cause, jurisdiction, period,
          dormant_at)
ON CONFLICT (account) DO NOTHING
RETURNING account
"""

_ADD_COMPANIES = """
INSERT INTO claimable_company (owner, company, tenant)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (owner, company) DO NOTHING
"""

_WALLET = """account, tenant, owner, currency, balance, program, circumstances, cause,
    jurisdiction, period, dormancy, last_activity_at, dormant_at, reportable_at, filing_id"""

_OWNERS_OF = "SELECT account, owner FROM claimable_wallet WHERE account = ANY($1::text[])"

# In account order, so that two units never wait for each other.
_LOCK_BY_OWNER = f"""
SELECT {_WALLET} FROM claimable_wallet WHERE owner = ANY($1::text[]) ORDER BY account FOR UPDATE
"""

# Read whole: a company that money named before the directory did is told of once.
_LOCK_BY_OWNER_OR_TENANT = f"""
SELECT {_WALLET} FROM claimable_wallet WHERE owner = ANY($1::text[]) OR tenant = ANY($2::text[])
ORDER BY account FOR UPDATE
"""

# Asked again of each row once it is locked: another worker may have moved it on meanwhile.
_DUE = """(dormancy = 'active' AND dormant_at <= $1 OR dormancy = 'dormant'
    OR dormancy = 'notice_sent' AND reportable_at <= $1)"""
_LOCK_DUE = f"""
SELECT {_WALLET} FROM claimable_wallet
WHERE {_DUE} AND account IN (
    (SELECT account FROM claimable_wallet
     WHERE dormancy = 'active' AND dormant_at <= $1 ORDER BY dormant_at LIMIT $2)
    UNION ALL
    (SELECT account FROM claimable_wallet WHERE dormancy = 'dormant' LIMIT $2)
    UNION ALL
    (SELECT account FROM claimable_wallet
     WHERE dormancy = 'notice_sent' AND reportable_at <= $1 LIMIT $2))
ORDER BY account FOR UPDATE
"""

_REPORTABLE = "dormancy = 'reportable' AND tenant = $1 AND jurisdiction = $2 AND balance > 0"
_LOCK_REPORTABLE = f"""
SELECT {_WALLET} FROM claimable_wallet
WHERE {_REPORTABLE} AND account IN (
    SELECT account FROM claimable_wallet
    WHERE {_REPORTABLE} AND account NOT IN (
        SELECT account FROM unclaimed_line WHERE state IN ('proposed', 'remitting'))
    ORDER BY last_activity_at, account LIMIT $3)
ORDER BY account FOR UPDATE
"""

_LOCK_ALL = """
SELECT FROM claimable_wallet WHERE account = ANY($1::text[]) OR owner = ANY($2::text[])
ORDER BY account FOR UPDATE
"""

_LOCK_ACCOUNTS = f"""
SELECT {_WALLET} FROM claimable_wallet WHERE account = ANY($1::text[]) ORDER BY account FOR UPDATE
"""

_LOCK_STANDING = """
SELECT account, currency, balance, dormancy FROM claimable_wallet
WHERE account = ANY($1::text[]) ORDER BY account FOR UPDATE
"""

# Who keeps what was posted to an account and who enters its wallet wait for each other here: whoever is
# second sees the first. By buckets, since a batch may name many accounts; in their order.
_WAIT_FOR_OTHERS = """
SELECT pg_advisory_xact_lock(hashtext('funding.wallet'), bucket)
FROM (SELECT DISTINCT hashtext(account) & 255 AS bucket
      FROM unnest($1::text[]) AS a (account) ORDER BY bucket) AS buckets
"""

_SET_UNTOLD = """
INSERT INTO untold_balance AS known (account, currency, amount)
SELECT u.* FROM unnest($1::text[], $2::text[], $3::numeric[]) AS u (account, currency, amount)
ORDER BY u.account
ON CONFLICT (account) DO UPDATE SET amount = known.amount + EXCLUDED.amount
"""

_TAKE_UNTOLD = (
    "DELETE FROM untold_balance WHERE account = ANY($1::text[]) RETURNING account, amount"
)

_SET_OWNERS = """
UPDATE claimable_wallet w SET owner = o.owner
FROM unnest($1::text[], $2::text[]) AS o (account, owner) WHERE w.account = o.account
"""

_RENAME_HOLDERS = """
UPDATE claimable_company c SET tenant = n.tenant
FROM unnest($1::text[], $2::text[]) AS n (company, tenant)
WHERE c.company = n.company AND c.tenant = n.company
"""

_ADD = """
UPDATE claimable_wallet w SET balance = w.balance + d.amount
FROM unnest($1::text[], $2::numeric[]) AS d (account, amount)
WHERE w.account = d.account
"""

_SET_CLOCKS = """
UPDATE claimable_wallet w
SET tenant = c.tenant, dormancy = c.state, jurisdiction = c.jurisdiction, period = c.period,
    last_activity_at = c.last_activity_at, dormant_at = c.dormant_at,
    reportable_at = c.reportable_at, filing_id = c.filing_id
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
            $7::timestamptz[], $8::text[], $9::text[])
    AS c (account, state, jurisdiction, period, last_activity_at, dormant_at, reportable_at,
          filing_id, tenant)
WHERE w.account = c.account
"""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who moved money, through what, why, and what it followed from."""

    who: Who
    where: Where
    why: Why
    cause: Cause

    def document(self) -> dict[str, object]:
        """The five Ws as a column holds them; the cause has a column of its own."""
        return {name: getattr(self, name).model_dump() for name in ("who", "where", "why")}

    @classmethod
    def of(cls, row: Record) -> "Circumstances":
        told = row["circumstances"]
        return cls(
            who=Who.model_validate(told["who"]),
            where=Where.model_validate(told["where"]),
            why=Why.model_validate(told["why"]),
            cause=Cause.from_text(row["cause"]),
        )


@dataclass(frozen=True, slots=True)
class Designation:
    """A share of a pay-in that went to an owner nobody knows."""

    account: str
    owner: str
    code: str
    company: str
    who: Who
    where: Where
    why: Why


@dataclass(frozen=True, slots=True)
class Clock:
    """A dormancy clock: by which dated row it runs, since when, until when.

    `filing_id` is the filing that took the money.
    """

    jurisdiction: str
    period: str
    state: Dormancy
    last_activity_at: datetime
    dormant_at: datetime
    reportable_at: datetime | None = None
    filing_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet with a dormancy clock, in one currency."""

    account: str
    tenant: str
    owner: str
    balance: Money
    program: str
    told: Circumstances
    clock: Clock


@dataclass(frozen=True, slots=True)
class Standing:
    """As much of a wallet as it takes to add to it."""

    balance: Money
    state: Dormancy


async def designated(conn: Connection, accounts: Collection[str]) -> Sequence[Designation]:
    """Those of the accounts that pay-ins designated to owners nobody knows, by company."""
    return [
        Designation(
            account=row["account"],
            owner=row["owner"],
            code=row["currency"],
            company=row["company"],
            who=Who(actor=row["actor"], principal=row["principal"]),
            where=Where(channel=row["channel"], country=row["country"]),
            why=Why(program=row["program"], event=row["event"], reason=row["reason"]),
        )
        for row in await conn.fetch(_DESIGNATED, sorted(accounts))
    ]


async def open_wallets(
    conn: Connection, wallets: Sequence[Wallet], now: datetime
) -> frozenset[str]:
    """Enter wallets with nothing in them yet; the accounts that were new."""
    rows = [
        (
            w.account,
            w.tenant,
            w.owner,
            w.balance.currency.code,
            w.program,
            w.told.document(),
            w.told.cause.to_text(),
            w.clock.jurisdiction,
            w.clock.period,
            w.clock.dormant_at,
        )
        for w in sorted(wallets, key=lambda wallet: wallet.account)
    ]
    entered = await conn.fetch(_OPEN, *map(list, zip(*rows, strict=True)), now)
    return frozenset(row[0] for row in entered)


async def add_companies(conn: Connection, pairs: Collection[tuple[str, str, str]]) -> None:
    """Note whose money an owner's is: (owner, company, tenant)."""
    await conn.execute(_ADD_COMPANIES, *map(list, zip(*sorted(pairs), strict=True)))


async def owners_of(conn: Connection, accounts: Collection[str]) -> Mapping[str, str]:
    """The owners of those of the accounts that are wallets of unknown payees."""
    return {row[0]: row[1] for row in await conn.fetch(_OWNERS_OF, list(accounts))}


async def lock_owners(conn: Connection, owners: Collection[str]) -> Sequence[Wallet]:
    """The wallets of these owners, locked."""
    return [_wallet(row) for row in await conn.fetch(_LOCK_BY_OWNER, sorted(owners))]


async def lock_held(
    conn: Connection, owners: Collection[str], tenants: Collection[str]
) -> Sequence[Wallet]:
    """The wallets of these owners, and those that these tenants hold, locked."""
    rows = await conn.fetch(_LOCK_BY_OWNER_OR_TENANT, sorted(owners), sorted(tenants))
    return [_wallet(row) for row in rows]


async def lock_all(conn: Connection, accounts: Collection[str], owners: Collection[str]) -> None:
    """Lock these wallets and those of these owners, so that what locks some of them later waits for none."""
    await conn.execute(_LOCK_ALL, sorted(accounts), sorted(owners))


async def lock_due(conn: Connection, now: datetime, limit: int) -> Sequence[Wallet]:
    """Wallets that time moves on by now, up to `limit` in each state, locked."""
    return [_wallet(row) for row in await conn.fetch(_LOCK_DUE, now, limit)]


async def lock_reportable(
    conn: Connection, holder: str, jurisdiction: str, limit: int
) -> Sequence[Wallet]:
    """A holder's wallets that can be filed with a jurisdiction, the longest silent first, locked."""
    rows = await conn.fetch(_LOCK_REPORTABLE, holder, jurisdiction, limit)
    return [_wallet(row) for row in rows]


async def lock_accounts(conn: Connection, accounts: Collection[str]) -> Mapping[str, Wallet]:
    """The wallets with these accounts that have a clock, locked."""
    found = [_wallet(row) for row in await conn.fetch(_LOCK_ACCOUNTS, sorted(accounts))]
    return {wallet.account: wallet for wallet in found}


async def lock_standing(conn: Connection, accounts: Collection[str]) -> Mapping[str, Standing]:
    """What those accounts hold that have a clock, and where it stands; locked."""
    return {
        row["account"]: Standing(
            Money(row["balance"], currency(row["currency"])), Dormancy(row["dormancy"])
        )
        for row in await conn.fetch(_LOCK_STANDING, sorted(accounts))
    }


async def lock_missing(conn: Connection, accounts: Collection[str]) -> Mapping[str, Standing]:
    """As `lock_standing`; what is missing of these accounts no other unit enters or keeps money for."""
    await conn.execute(_WAIT_FOR_OTHERS, list(accounts))
    return await lock_standing(conn, accounts)


async def set_untold(conn: Connection, posted: Mapping[str, Money]) -> None:
    """Keep what was posted to accounts of which nobody has told yet whose they are."""
    await conn.execute(
        _SET_UNTOLD,
        list(posted),
        [amount.currency.code for amount in posted.values()],
        [amount.minor for amount in posted.values()],
    )


async def take_untold(conn: Connection, accounts: Collection[str]) -> Mapping[str, int]:
    """What was kept so of these accounts, in minor units; it is kept no longer."""
    return {row[0]: int(row[1]) for row in await conn.fetch(_TAKE_UNTOLD, sorted(accounts))}


async def rename_holders(conn: Connection, tenants: Mapping[str, str]) -> None:
    """Give what companies designated the tenants (by company) that are known of them since."""
    await conn.execute(_RENAME_HOLDERS, list(tenants), list(tenants.values()))


async def set_owners(conn: Connection, owners: Mapping[str, str]) -> None:
    """Let wallets (by account) be of these owners; the caller holds the rows' locks."""
    await conn.execute(_SET_OWNERS, list(owners), list(owners.values()))


async def add(conn: Connection, deltas: Mapping[str, int]) -> None:
    """Follow the ledger: add to balances, in minor units; the caller holds the rows' locks."""
    status = await conn.execute(_ADD, list(deltas), list(deltas.values()))
    assert status == f"UPDATE {len(deltas)}", f"{len(deltas)} wallets, the database: {status!r}"


async def set_clocks(conn: Connection, wallets: Sequence[Wallet]) -> None:
    """Set clocks and holders as these wallets carry them; the caller holds the rows' locks."""
    rows = [
        (
            w.account,
            w.clock.state.value,
            w.clock.jurisdiction,
            w.clock.period,
            w.clock.last_activity_at,
            w.clock.dormant_at,
            w.clock.reportable_at,
            w.clock.filing_id,
            w.tenant,
        )
        for w in wallets
    ]
    status = await conn.execute(_SET_CLOCKS, *map(list, zip(*rows, strict=True)))
    assert status == f"UPDATE {len(rows)}", f"{len(rows)} clocks, the database: {status!r}"


def _wallet(row: Record) -> Wallet:
    return Wallet(
        account=row["account"],
        tenant=row["tenant"],
        owner=row["owner"],
        balance=Money(row["balance"], currency(row["currency"])),
        program=row["program"],
        told=Circumstances.of(row),
        clock=Clock(
            jurisdiction=row["jurisdiction"],
            period=row["period"],
            state=Dormancy(row["dormancy"]),
            last_activity_at=row["last_activity_at"],
            dormant_at=row["dormant_at"],
            reportable_at=row["reportable_at"],
            filing_id=row["filing_id"],
        ),
    )
