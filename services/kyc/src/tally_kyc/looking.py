"""What is shown of a party's identity, and to whom."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tally_kyc.desk import who_must_act
from tally_kyc.domain.sight import Sight, sight_of
from tally_kyc.domain.tables import TableKind
from tally_kyc.domain.tasks import Task
from tally_kyc.domain.world import Party
from tally_kyc.store import looking as store
from tally_postgres import Connection, Pool, in_transaction
from tally_reads import NotFound
from tally_security.internal import Persona, Viewer

Document = dict[str, object]


async def identity_of(pool: Pool, viewer: Viewer, party_id: str) -> Document:
    """A party's level, and its tasks where the viewer may see them; raises NotFound."""

    async def unit(conn: Connection) -> Document:
        found = await store.party(conn, party_id)
        if found is None:
            raise NotFound
        sight = sight_of(
            found,
            viewer.party,
            is_operator=viewer.persona is Persona.OPERATOR,
            lets=await store.lets(conn, found, viewer.party),
        )
        if sight is None:
            raise NotFound
        tasks = await store.tasks(conn, found.party.party_id) if sight is Sight.TASKS else None
        return _identity(found.party, tasks)

    return await in_transaction(pool, unit)


async def table_of(pool: Pool, kind: TableKind, table: str) -> Document:
    """Every version of a table, the newest first; raises NotFound where there is none."""

    async def unit(conn: Connection) -> Sequence[Mapping[str, object]]:
        return await store.versions(conn, kind, table)

    versions = await in_transaction(pool, unit)
    if not versions:
        raise NotFound
    return {
        "table": table,
        "versions": [
            {
                **each,
                "valid_from": _time(each["valid_from"]),
                "valid_until": _time(each["valid_until"]),
            }
            for each in versions
        ],
    }


def _identity(party: Party, tasks: Sequence[Task] | None) -> Document:
    standing = party.standing
    assert standing is not None, "a party is told of before it is kept"
    document: Document = {
        "party_id": party.party_id,
        "party_kind": party.kind.value,
        "level": standing.level.value,
        "may_remit": standing.may_remit,
        "valid_until": _time(standing.valid_until),
    }
    if tasks is None:
        return document
    return {
        **document,
        "jurisdiction": party.country,
        "policy_version": standing.policy_version,
        "reasons": list(standing.reasons),
        "tasks": [_task(task, party) for task in tasks],
    }


def _task(task: Task, party: Party) -> Document:
    return {
        "task_id": task.task_id,
        "kind": task.kind.value,
        "state": task.state.value,
        "reason": task.reason or None,
        "who_must_act": who_must_act(task, party),
        "opened_at": _time(task.opened_at),
        "expires_at": _time(task.expires_at),
        "evidence": [
            {"reference": shown.reference, "digest": shown.digest} for shown in task.evidence
        ],
    }


def _time(moment: object) -> str | None:
    if not isinstance(moment, datetime):
        return None
    return moment.isoformat().replace("+00:00", "Z")
