"""Jobs that are due and cases that are open."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tally_postgres import Connection, Pool
from tally_runtime import derived_id

_ADD_JOBS = """
INSERT INTO job (rail, kind, subject, next_at)
SELECT j.* FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS j
ON CONFLICT DO NOTHING
"""

# A lease by the clock: whoever takes a job puts it off, so that nobody else takes it meanwhile and
# it comes back by itself if the taker dies.
_TAKE_JOBS = """
UPDATE job SET tries = tries + 1, next_at = $3 + $4
WHERE (rail, kind, subject) IN (
    SELECT rail, kind, subject FROM job
    WHERE rail = $1 AND kind = $2 AND next_at <= $3
    ORDER BY next_at, subject LIMIT $5
    FOR UPDATE SKIP LOCKED
)
RETURNING subject, tries
"""

_DUE = """
SELECT subject FROM job
WHERE rail = $1 AND kind = $2 AND next_at <= $3
ORDER BY next_at, subject LIMIT $4
"""

_PUT_OFF = """
UPDATE job SET next_at = $4 WHERE rail = $1 AND kind = $2 AND subject = ANY($3::text[])
"""

_END_JOBS = """
DELETE FROM job WHERE (rail, kind, subject) IN (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
)
"""

_OPEN_CASES = """
INSERT INTO rail_case (id, rail, code, subject, detail, opened_at)
SELECT c.*, $6 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS c
ON CONFLICT DO NOTHING
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is due at `next_at`; `subject` is the attempt's or the file's id."""

    rail: str
    kind: str
    subject: str
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """What a person has to look at. `subject` tells two cases of one code apart."""

    rail: str
    code: str
    subject: str
    detail: str

    @property
    def id(self) -> str:
        return derived_id("case", self.rail, self.code, self.subject)


async def add_jobs(conn: Connection, jobs: Sequence[Job]) -> None:
    """Enter work; what is entered already stays as it is."""
    if jobs:
        rows = [(job.rail, job.kind, job.subject, job.next_at) for job in jobs]
        await conn.execute(_ADD_JOBS, *zip(*rows, strict=True))


async def take_jobs(
    conn: Connection, rail: str, kind: str, *, now: datetime, lease: timedelta, limit: int
) -> list[tuple[str, int]]:
    """Lease due work; gives subjects and how many times each was taken, this time included."""
    rows = await conn.fetch(_TAKE_JOBS, rail, kind, now, lease, limit)
    return sorted((row[0], row[1]) for row in rows)


async def due_subjects(
    conn: Connection | Pool, rail: str, kind: str, *, now: datetime, limit: int
) -> list[str]:
    """Subjects of due work, the longest due first."""
    return [row[0] for row in await conn.fetch(_DUE, rail, kind, now, limit)]


async def put_off(
    conn: Connection, rail: str, kind: str, subjects: Collection[str], until: datetime
) -> None:
    """Let work be due again at `until`."""
    if subjects:
        await conn.execute(_PUT_OFF, rail, kind, list(subjects), until)


async def end_jobs(conn: Connection, jobs: Collection[tuple[str, str, str]]) -> None:
    """Remove work that is done or called off, by (rail, kind, subject)."""
    if jobs:
        await conn.execute(_END_JOBS, *zip(*jobs, strict=True))


async def open_cases(conn: Connection, cases: Sequence[Case], now: datetime) -> list[Case]:
    """Open cases; gives those that were not open yet."""
    if not cases:
        return []
    rows = [(case.id, case.rail, case.code, case.subject, case.detail[:2000]) for case in cases]
    opened = {row[0] for row in await conn.fetch(_OPEN_CASES, *zip(*rows, strict=True), now)}
    return [case for case in {case.id: case for case in cases}.values() if case.id in opened]
