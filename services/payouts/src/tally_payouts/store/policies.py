"""What programs allow, as they have published it."""

from collections.abc import Collection, Sequence
from datetime import datetime

from tally_payouts.policies import StoredPolicy
from tally_postgres import Connection

PolicyKey = tuple[str, int]
"""Program and version."""

# What is in force for payouts that open, and what those that wait have opened with.
_LOAD = """
SELECT p.program, p.version, p.effective_from, p.effective_until, p.document
FROM unnest($1::text[]) AS k (program)
CROSS JOIN LATERAL (
    SELECT * FROM program_policy q
    WHERE q.program = k.program AND q.effective_from <= $2
    ORDER BY q.version DESC LIMIT 1
) AS p
UNION ALL
SELECT p.program, p.version, p.effective_from, p.effective_until, p.document
FROM program_policy p
WHERE (p.program, p.version) IN (SELECT * FROM unnest($3::text[], $4::integer[]))
"""

_SAVE = """
INSERT INTO program_policy (program, version, effective_from, effective_until, document)
SELECT * FROM unnest($1::text[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::jsonb[])
ON CONFLICT DO NOTHING
"""


async def load_policies(
    conn: Connection, programs: Collection[str], now: datetime, versions: Collection[PolicyKey]
) -> list[StoredPolicy]:
    """The versions in force for these programs, and these versions."""
    if not programs and not versions:
        return []
    rows = await conn.fetch(
        _LOAD, list(programs), now, [key[0] for key in versions], [key[1] for key in versions]
    )
    return [StoredPolicy(*row) for row in rows]


async def save_policies(conn: Connection, policies: Sequence[StoredPolicy]) -> None:
    """Keep versions; one that is there already never changes."""
    if policies:
        rows = [(p.program, p.version, p.begins, p.ends, p.document) for p in policies]
        await conn.execute(_SAVE, *zip(*rows, strict=True))
