"""Filings and their lines at rest: one statement per function, whatever the number of lines."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_funding.claims.domain.filing import Filing, FilingState, Line, LineState
from tally_funding.claims.store.wallets import Circumstances
from tally_money import Money, currency
from tally_postgres import Connection, Record

_INSERT = """
INSERT INTO unclaimed_filing (
    filing_id, tenant, jurisdiction, state, proposed_by, circumstances, cause, proposed_at,
    changed_at)
VALUES ($1, $2, $3, 'proposed', $4, $5, $6, $7, $7)
"""

_INSERT_LINES = """
INSERT INTO unclaimed_line (
    line_id, filing_id, tenant, account, owner, currency, amount, period, last_activity_at, state,
    changed_at)
SELECT l.line_id, $8, $9, l.account, l.owner, l.currency, l.amount, l.period, l.last_activity_at,
       'proposed', $10
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::text[],
            $7::timestamptz[])
    AS l (line_id, account, owner, currency, amount, period, last_activity_at)
"""

_LOCK = """
SELECT filing_id, tenant, jurisdiction, state, proposed_by, decided_by, note, circumstances, cause
FROM unclaimed_filing WHERE filing_id = ANY($1::text[]) ORDER BY filing_id FOR UPDATE
"""

_LINE = """line_id, filing_id, account, owner, currency, amount, period, last_activity_at, state,
    code"""

_LINES = f"""
SELECT {_LINE} FROM unclaimed_line WHERE filing_id = ANY($1::text[]) ORDER BY account
"""

_FILINGS_OF = "SELECT DISTINCT filing_id FROM unclaimed_line WHERE line_id = ANY($1::text[])"

_REMITTED_OF = f"""
SELECT {_LINE} FROM unclaimed_line l
WHERE account = ANY($1::text[]) AND state = 'remitted' AND NOT EXISTS (
    SELECT FROM reclaim r
    WHERE r.line_id = l.line_id AND r.state IN ('proposed', 'moving', 'moved'))
ORDER BY account, changed_at
"""

_SAVE = """
UPDATE unclaimed_filing SET state = $2, decided_by = coalesce(decided_by, $3), note = $4,
    changed_at = $5
WHERE filing_id = $1
"""

_SAVE_LINES = """
UPDATE unclaimed_line l SET state = s.state, code = s.code, changed_at = $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS s (line_id, state, code)
WHERE l.line_id = s.line_id AND l.state <> s.state
"""


@dataclass(frozen=True, slots=True)
class KeptFiling:
    """A filing with how it was asked for."""

    filing: Filing
    told: Circumstances


async def insert(conn: Connection, kept: KeptFiling, now: datetime) -> None:
    """Enter a proposal with its lines."""
    filing = kept.filing
    await conn.execute(
        _INSERT,
        filing.filing_id,
        filing.holder,
        filing.jurisdiction,
        filing.proposed_by,
        kept.told.document(),
        kept.told.cause.to_text(),
        now,
    )
    rows = [
        (
            line.line_id,
            line.account,
            line.owner,
            line.amount.currency.code,
            line.amount.minor,
            line.period,
            line.last_activity_at,
        )
        for line in filing.lines
    ]
    columns = map(list, zip(*rows, strict=True))
    await conn.execute(_INSERT_LINES, *columns, filing.filing_id, filing.holder, now)


async def lock(conn: Connection, filing_ids: Collection[str]) -> Mapping[str, KeptFiling]:
    """Filings with their lines, locked."""
    rows = await conn.fetch(_LOCK, sorted(filing_ids))
    lines: dict[str, list[Line]] = {}
    for row in await conn.fetch(_LINES, sorted(filing_ids)):
        lines.setdefault(row["filing_id"], []).append(_line(row))
    return {
        row["filing_id"]: KeptFiling(
            Filing(
                row["filing_id"],
                row["tenant"],
                row["jurisdiction"],
                FilingState(row["state"]),
                row["proposed_by"],
                tuple(lines[row["filing_id"]]),
                row["note"],
            ),
            Circumstances.of(row),
        )
        for row in rows
    }


async def of_lines(conn: Connection, line_ids: Collection[str]) -> frozenset[str]:
    """The filings that these lines are in."""
    return frozenset(row[0] for row in await conn.fetch(_FILINGS_OF, sorted(line_ids)))


async def remitted_of(conn: Connection, accounts: Collection[str]) -> Sequence[tuple[str, Line]]:
    """Lines of these accounts whose money is with a jurisdiction, each with its filing."""
    rows = await conn.fetch(_REMITTED_OF, sorted(accounts))
    return [(row["filing_id"], _line(row)) for row in rows]


async def save(conn: Connection, filing: Filing, decided_by: str | None, now: datetime) -> None:
    """Write where a filing and its lines stand; the caller holds its lock."""
    await conn.execute(_SAVE, filing.filing_id, filing.state.value, decided_by, filing.note, now)
    rows = [(line.line_id, line.state.value, line.code) for line in filing.lines]
    await conn.execute(_SAVE_LINES, *map(list, zip(*rows, strict=True)), now)


def _line(row: Record) -> Line:
    return Line(
        row["line_id"],
        row["account"],
        row["owner"],
        Money(int(row["amount"]), currency(row["currency"])),
        row["period"],
        row["last_activity_at"],
        LineState(row["state"]),
        row["code"],
    )
