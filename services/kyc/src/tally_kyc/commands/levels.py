"""What tasks and levels lead to: told once, whenever something else than was told last is true."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tally_contracts import kyc as wire
from tally_kyc.desk import TASK_PREFIX, Desk
from tally_kyc.domain.policy import Standing, derive
from tally_kyc.domain.tasks import COUNTING, WAITING, Task, TaskKind, TaskState, expire
from tally_kyc.domain.world import Party


def refresh(desk: Desk, party: Party, *, always: bool = False) -> None:
    """Derive a party's level anew; it is told, for the parties that became this one too.

    `always`: although the level is the same, since something else of the party is not.
    """
    standing = derive(desk.policy, party.kind, desk.world.tasks_of(party), desk.now)
    became = desk.world.became(party)
    _tell(desk, party, party, standing, always=always)
    for merged in became:
        reasons = (*standing.reasons, f"merged:{party.party_id}")
        _tell(desk, merged, party, replace(standing, reasons=reasons), always=always)


def _tell(desk: Desk, party: Party, kept: Party, standing: Standing, *, always: bool) -> None:
    """Of the id `party`, which is `kept` now: whose it is and where is what is true of `kept`."""
    before = party.standing
    if before == standing and not always:
        return
    sequence = party.sequence + 1
    told = replace(party, standing=standing, sequence=sequence)
    desk.world.parties.put(party.party_id, told)
    event = wire.LevelChanged(
        **desk.said(kept.tenant),
        party_id=party.party_id,
        party_kind=kept.kind,
        jurisdiction=kept.country,
        level=standing.level,
        previous=None if before is None else before.level,
        may_remit=standing.may_remit,
        reasons=standing.reasons,
        policy_version=standing.policy_version,
        valid_until=standing.valid_until,
        sequence=sequence,
    )
    desk.tell(party.party_id, event)


def open_new(
    desk: Desk, party: Party, kind: TaskKind, *, code: str, reason: str, task_id: str | None = None
) -> Task:
    """Ask a party for something; what of this kind waits already must be none."""
    assert desk.world.waiting(party, kind) is None, f"{kind} waits already"
    task = Task(
        task_id=task_id or desk.new_id(TASK_PREFIX),
        tenant=party.tenant,
        party_id=party.party_id,
        kind=kind,
        state=TaskState.OPEN,
        reason=reason,
        opened_at=desk.now,
    )
    desk.tell_of(task, party, wire.TaskOpened, code=code, reason=reason)
    return task


def end(desk: Desk, party: Party, task: Task, *, code: str, reason: str) -> None:
    """A task counts no more."""
    desk.tell_of(expire(task, reason), party, wire.TaskExpired, code=code, reason=reason)


def resting_on(desk: Desk, party: Party, changed: Iterable[str]) -> list[Task]:
    """The party's tasks that show what is true no longer."""
    touches = desk.policy.touches
    kinds = frozenset[TaskKind]().union(*(touches.get(part, frozenset()) for part in changed))
    return [
        task
        for task in desk.world.tasks_of(party)
        if task.kind in kinds and task.state in (COUNTING | WAITING) - {TaskState.OPEN}
    ]


def ask_anew(
    desk: Desk, party: Party, tasks: Iterable[Task], reason: str, ids: Sequence[str]
) -> None:
    """End tasks that show what is true no longer, and ask for each kind again, by these ids."""
    ended = list(tasks)
    for task in ended:
        end(desk, party, task, code="data_changed", reason=reason)
    for kind, task_id in zip(asked_again(desk, party, ended), ids, strict=True):
        open_new(desk, party, kind, code="data_changed", reason=reason, task_id=task_id)


def asked_again(desk: Desk, party: Party, ended: Iterable[Task]) -> list[TaskKind]:
    """The kinds that have to be asked for once these tasks have ended."""
    waiting = {task.kind for task in desk.world.tasks_of(party) if task.state is TaskState.OPEN}
    return sorted({task.kind for task in ended} - waiting)
