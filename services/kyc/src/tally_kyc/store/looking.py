"""One party as it is looked at, and the versions of a table."""

from collections.abc import Mapping, Sequence
from typing import Final

from tally_kyc.domain.sight import Found, Lets
from tally_kyc.domain.tables import TableKind
from tally_kyc.domain.tasks import Task
from tally_kyc.store.reading import Asked, read, task_of
from tally_postgres import Connection as Session

TASKS_MAX: Final = 200
"""One answer holds this many tasks at most, the newest first."""

VERSIONS_MAX: Final = 100
"""One answer holds this many versions at most, the newest first."""

_EVERY_TENANT = "SELECT set_config('tally.tenant', '*', true)"
# What a merged party let others do is its own alone: of a consent that goes on, the directory tells.
_LETS = """
SELECT EXISTS (
           SELECT FROM connection
           WHERE to_party = $1 AND from_party = $2 AND manages) AS manage,
       EXISTS (
           SELECT FROM consent
           WHERE party_id = $1 AND company = $2 AND is_given) AS consent
"""
_TASKS = f"""
SELECT task_id, tenant, party_id, kind, state, reason, opened_at, evidence, submitted_by,
       decided_by, expires_at, is_warned
FROM task WHERE party_id = $1 ORDER BY opened_at DESC, task_id DESC LIMIT {TASKS_MAX}
"""
_VERSIONS = f"""
SELECT number AS version, jurisdictions, valid_from, valid_until, source, content AS rows
FROM table_version WHERE kind = $1 AND table_name = $2 ORDER BY number DESC LIMIT {VERSIONS_MAX}
"""


async def party(conn: Session, party_id: str) -> Found | None:
    """The party of an id, or the one it became; sees all tenants, until the transaction ends."""
    await conn.execute(_EVERY_TENANT)
    world = await read(conn, Asked(parties={party_id}))
    found = world.party(party_id)
    if found is None:
        return None
    ids = {found.party_id, *(other.party_id for other in world.became(found))}
    return Found(found, frozenset(ids))


async def lets(conn: Session, found: Found, viewer: str) -> Lets:
    """What a party lets a viewer do."""
    row = await conn.fetchrow(_LETS, found.party.party_id, viewer)
    assert row is not None, "a query without FROM has one row"
    return Lets(row["manage"], row["consent"])


async def tasks(conn: Session, party_id: str) -> Sequence[Task]:
    """The party's tasks, TASKS_MAX at most."""
    return [task_of(row) for row in await conn.fetch(_TASKS, party_id)]


async def versions(conn: Session, kind: TableKind, table: str) -> Sequence[Mapping[str, object]]:
    """The versions of a table."""
    return [dict(row) for row in await conn.fetch(_VERSIONS, kind, table)]
