"""Commands about a party's tasks, and about what is known of it."""

from dataclasses import replace
from typing import Final

from tally_contracts import kyc as wire
from tally_kyc.commands.levels import ask_anew, asked_again, open_new, refresh, resting_on
from tally_kyc.desk import TASK_PREFIX, Desk
from tally_kyc.domain.refusal import refuse
from tally_kyc.domain.tasks import Shown, Task, TaskKind, TaskState, Verdict, decided, submitted
from tally_kyc.domain.world import Party, decides_on

_COUNTRY: Final = "country"


def open_task(desk: Desk, command: wire.OpenTask) -> None:
    """Ask a party for something; it may ask for it itself."""
    party = _party(desk, command.party_id)
    _need_a_say(desk, party)
    if command.kind not in set(TaskKind):
        refuse(
            "kind_unknown",
            "/kind",
            f"{command.kind} is no kind of task",
            f"use one of: {', '.join(TaskKind)}",
        )
    kind = TaskKind(command.kind)
    if desk.world.tasks.get(command.task_id) is not None:
        refuse("id_reused", "/task_id", "a task has this id", "use another id")
    waiting = desk.world.waiting(party, kind)
    if waiting is not None:
        refuse(
            "task_waits",
            "/kind",
            f"{waiting.task_id} of this kind is {waiting.state}",
            "go on with that one",
        )
    open_new(desk, party, kind, code="asked", reason=command.reason, task_id=command.task_id)


def submit(desk: Desk, command: wire.SubmitTask) -> None:
    """The party has done its part."""
    task, party = _task(desk, command.task_id)
    if not desk.world.acts_for(desk.who.principal, party):
        refuse(
            "not_permitted",
            None,
            "a task is submitted by the party itself, or by whom it lets",
            "let the party submit it, or have it accept a connection with access manage",
        )
    shown = tuple(Shown(each.reference, each.digest) for each in command.evidence)
    desk.tell_of(
        submitted(task, desk.who.actor, shown),
        party,
        wire.TaskSubmitted,
        evidence=command.evidence,
    )


def decide(desk: Desk, command: wire.DecideTask) -> None:
    """Look at a task, or end it; the level follows."""
    task, party = _task(desk, command.task_id)
    if not decides_on(desk.who.principal, party):
        refuse(
            "not_permitted",
            None,
            "tasks are decided by the operator or the party's tenant, never by the party",
            "ask them to decide",
        )
    verdict = Verdict(command.outcome, desk.who.actor, command.reason, command.expires_at)
    now_is = decided(task, verdict, desk.now)
    if now_is.state is TaskState.IN_REVIEW:
        desk.tell_of(now_is, party, wire.TaskInReview, reason=now_is.reason or None)
        return
    desk.tell_of(
        now_is,
        party,
        wire.TaskDecided,
        outcome=now_is.state,
        reason=now_is.reason or None,
        submitted_by=now_is.submitted_by,
        expires_at=now_is.expires_at,
    )
    refresh(desk, party)


def report_change(desk: Desk, command: wire.ReportChange) -> None:
    """Something known of a party is true no longer: what showed it is asked anew."""
    before = _party(desk, command.party_id)
    _need_a_say(desk, before)
    for place, part in enumerate(command.changed):
        if part not in desk.policy.touches:
            refuse(
                "change_unknown",
                f"/changed/{place}",
                f"no task rests on {part}",
                f"use some of: {', '.join(sorted(desk.policy.touches))}",
            )
    _check_country(command)
    party = replace(before, country=command.country or before.country)
    desk.world.parties.put(party.party_id, party)
    tasks = resting_on(desk, party, command.changed)
    ids = [desk.new_id(TASK_PREFIX) for _ in asked_again(desk, party, tasks)]
    reported = wire.ChangeReported(
        **desk.said(party.tenant),
        party_id=party.party_id,
        changed=command.changed,
        reason=command.reason,
        reopened=tuple(ids),
    )
    desk.tell(party.party_id, reported)
    ask_anew(desk, party, tasks, command.reason, ids)
    refresh(desk, party, always=party.country != before.country)


def _check_country(command: wire.ReportChange) -> None:
    if _COUNTRY in command.changed and command.country is None:
        refuse(
            "country_missing",
            "/country",
            "nothing says in which country the party lives now",
            "say it by its ISO 3166-1 alpha-2 code",
        )
    if _COUNTRY not in command.changed and command.country is not None:
        refuse(
            "country_not_wanted",
            "/country",
            "the country of residence is not among what has changed",
            f"leave it out, or name {_COUNTRY} in changed",
        )


def _party(desk: Desk, party_id: str) -> Party:
    party = desk.world.party(party_id)
    if party is None:
        refuse(
            "party_unknown",
            "/party_id",
            "no party of this id has been registered",
            "register it, and wait until it is known",
        )
    return party


def _task(desk: Desk, task_id: str) -> tuple[Task, Party]:
    task = desk.world.tasks.get(task_id)
    party = None if task is None else desk.world.parties.get(task.party_id)
    if task is None or party is None:
        refuse("task_unknown", "/task_id", "there is no such task", "check the id")
    return task, party


def _need_a_say(desk: Desk, party: Party) -> None:
    principal = desk.who.principal
    if not desk.world.acts_for(principal, party) and not decides_on(principal, party):
        refuse(
            "not_permitted",
            None,
            "this is for the party, whom it lets manage it, its tenant and the operator",
            "let one of them ask",
        )
