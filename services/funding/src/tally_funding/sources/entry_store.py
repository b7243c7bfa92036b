"""Pay-ins proposed by hand, in SQL."""

from dataclasses import dataclass
from datetime import datetime

from tally_contracts.funding_sources import EnterPayIn
from tally_postgres import Connection

_INSERT = """
INSERT INTO manual_entry (
    entry_id, digest, state, external_id, command, proposed_by, company, proposed_at, tenant)
VALUES ($1, $2, 'proposed', $3, $4, $5, $6, $7, $8)
"""

_LOCK = """
SELECT digest, state, command, proposed_by, decided_by, note, pay_in_id
FROM manual_entry WHERE entry_id = $1 FOR UPDATE
"""

_COMPANY = "SELECT company FROM manual_entry WHERE entry_id = $1"

_TAKEN = "SELECT entry_id FROM manual_entry WHERE external_id = $1 AND state <> 'declined'"

_DECIDE = """
UPDATE manual_entry
SET state = $2, decided_by = $3, note = $4, pay_in_id = $5, decided_at = $6
WHERE entry_id = $1 AND state = 'proposed'
"""


_WAITING = """
SELECT count(*) AS number, min(proposed_at) AS oldest FROM manual_entry WHERE state = 'proposed'
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A proposed pay-in as stored, locked. `state`: proposed, approved, declined."""

    digest: bytes
    state: str
    command: EnterPayIn
    proposed_by: str
    decided_by: str | None
    note: str | None
    pay_in_id: str | None


async def lock(conn: Connection, entry_id: str) -> Entry | None:
    """The entry, locked."""
    row = await conn.fetchrow(_LOCK, entry_id)
    if row is None:
        return None
    return Entry(
        bytes(row["digest"]),
        row["state"],
        EnterPayIn.model_validate(row["command"]),
        row["proposed_by"],
        row["decided_by"],
        row["note"],
        row["pay_in_id"],
    )


async def company_of(conn: Connection, entry_id: str) -> str | None:
    """Whose entry it is, which never changes; nothing is locked."""
    found = await conn.fetchval(_COMPANY, entry_id)
    return None if found is None else str(found)


async def taken_by(conn: Connection, external_id: str) -> str | None:
    """The entry that has this external id and was not declined."""
    found = await conn.fetchval(_TAKEN, external_id)
    return None if found is None else str(found)


async def insert(
    conn: Connection, command: EnterPayIn, digest: bytes, tenant: str, now: datetime
) -> None:
    """Enter a proposal."""
    await conn.execute(
        _INSERT,
        command.entry_id,
        digest,
        command.external_id,
        command.model_dump(mode="json"),
        command.who.actor,
        command.company,
        now,
        tenant,
    )


async def decide(  # noqa: PLR0917 - a row, field by field
    conn: Connection,
    entry_id: str,
    state: str,
    decided_by: str,
    note: str,
    pay_in_id: str | None,
    now: datetime,
) -> None:
    """Approve or decline a proposal; the caller holds its lock and saw it open."""
    status = await conn.execute(_DECIDE, entry_id, state, decided_by, note, pay_in_id, now)
    assert status == "UPDATE 1", f"the entry was open, the database said {status!r}"


async def waiting(conn: Connection) -> tuple[int, datetime | None]:
    """How many proposals wait for a second person, and since when the oldest does."""
    row = await conn.fetchrow(_WAITING)
    assert row is not None, "an aggregate without GROUP BY has one row"
    return row["number"], row["oldest"]
