"""Time: what was shown grows old. It is told before, then it counts no more."""

from dataclasses import replace
from typing import Final

from tally_contracts import kyc as wire
from tally_kyc.commands.levels import end, open_new, refresh
from tally_kyc.desk import Desk
from tally_kyc.domain.tasks import COUNTING, Task
from tally_kyc.domain.world import Party

ACTOR: Final = "kyc"


def keep_time(desk: Desk, party: Party) -> None:
    """Warn of what ends soon, end what is over, ask for it again; derive the level anew."""
    for task in desk.world.tasks_of(party):
        if task.state not in COUNTING or task.expires_at is None:
            continue
        if task.expires_at <= desk.now:
            end(desk, party, task, code="time_passed", reason="what was shown is too old")
            _ask_again(desk, party, task, "expired", "what was shown is too old")
        elif not task.is_warned and task.expires_at - desk.policy.warn_before <= desk.now:
            warned = replace(task, is_warned=True)
            desk.tell_of(warned, party, wire.TaskExpiring, expires_at=task.expires_at)
            _ask_again(desk, party, task, "expiring", "what was shown will be too old soon")
    refresh(desk, party)


def _ask_again(desk: Desk, party: Party, task: Task, code: str, reason: str) -> None:
    """Unless it is asked for already, or another of the kind holds longer."""
    assert task.expires_at is not None, "what has no end is not asked for again"
    longer = any(
        other.kind is task.kind
        and other.counts_at(desk.now)
        and other.expires_at is not None
        and other.expires_at > task.expires_at
        for other in desk.world.tasks_of(party)
    )
    if not longer and desk.world.waiting(party, task.kind) is None:
        open_new(desk, party, task.kind, code=code, reason=reason)
