"""A task: open, submitted, in review; then passed, failed, waived; expired in the end."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from tally_kyc.domain.refusal import refuse

_REASON_CHARS_MAX: Final = 500
_printable = re.compile(r"[^\x00-\x1f\x7f]*").fullmatch


class TaskKind(StrEnum):
    """What a party may have to show."""

    COLLECT_DATA = "collect_data"
    DOCUMENT = "document"
    LIVENESS = "liveness"
    ADDRESS_PROOF = "address_proof"
    OWNERSHIP = "ownership"
    QUESTIONNAIRE = "questionnaire"
    TAX_FORM = "tax_form"
    METHOD_OWNERSHIP = "method_ownership"
    SCREENING_REVIEW = "screening_review"


class TaskState(StrEnum):
    """Where a task stands."""

    OPEN = "open"
    SUBMITTED = "submitted"
    IN_REVIEW = "in_review"
    PASSED = "passed"
    FAILED = "failed"
    EXPIRED = "expired"
    WAIVED = "waived"


ALLOWED: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.OPEN: frozenset({TaskState.SUBMITTED, TaskState.WAIVED, TaskState.EXPIRED}),
    TaskState.SUBMITTED: frozenset(
        {
            TaskState.IN_REVIEW,
            TaskState.PASSED,
            TaskState.FAILED,
            TaskState.WAIVED,
            TaskState.EXPIRED,
        }
    ),
    TaskState.IN_REVIEW: frozenset(
        {TaskState.PASSED, TaskState.FAILED, TaskState.WAIVED, TaskState.EXPIRED}
    ),
    TaskState.PASSED: frozenset({TaskState.EXPIRED}),
    TaskState.WAIVED: frozenset({TaskState.EXPIRED}),
    TaskState.FAILED: frozenset(),
    TaskState.EXPIRED: frozenset(),
}
"""What may follow on what."""

WAITING = frozenset({TaskState.OPEN, TaskState.SUBMITTED, TaskState.IN_REVIEW})
"""Somebody has to act; of one kind a party has one such task at most."""

COUNTING = frozenset({TaskState.PASSED, TaskState.WAIVED})
"""A level may rest on it."""

OUTCOMES = frozenset({TaskState.IN_REVIEW, TaskState.PASSED, TaskState.FAILED, TaskState.WAIVED})
"""What may be decided."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Where evidence is kept, and its SHA-256 in hex."""

    reference: str
    digest: str


@dataclass(frozen=True, slots=True)
class Task:
    """`submitted_by` and `decided_by` are actors; `reason` is why it stands as it does."""

    task_id: str
    tenant: str
    party_id: str
    kind: TaskKind
    state: TaskState
    reason: str
    opened_at: datetime
    evidence: tuple[Shown, ...] = ()
    submitted_by: str | None = None
    decided_by: str | None = None
    expires_at: datetime | None = None
    is_warned: bool = False

    def counts_at(self, now: datetime) -> bool:
        """Whether a level may rest on it."""
        return self.state in COUNTING and self.expires_at is not None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody decides of a task."""

    outcome: str
    actor: str
    reason: str | None
    expires_at: datetime | None


def submitted(task: Task, actor: str, evidence: Sequence[Shown]) -> Task:
    """The party has done its part; raises Refused."""
    _need(task, TaskState.SUBMITTED)
    if not evidence:
        refuse(
            "evidence_missing",
            "/evidence",
            "nothing shows that the task was done",
            "say where the evidence is kept, with its SHA-256",
        )
    return replace(
        task, state=TaskState.SUBMITTED, evidence=tuple(evidence), submitted_by=actor, reason=""
    )


def decided(task: Task, verdict: Verdict, now: datetime) -> Task:
    """Look at a task, or end it; raises Refused.

    Whoever submitted it never decides it. Passed and waived end one day; failed and waived have a
    reason. A reason is one line that facts can carry.
    """
    if verdict.outcome not in OUTCOMES:
        refuse(
            "outcome_unknown",
            "/outcome",
            f"a task does not become {verdict.outcome} by a decision",
            "decide one of: in_review, passed, failed, waived",
        )
    outcome = TaskState(verdict.outcome)
    _need(task, outcome)
    if verdict.actor == task.submitted_by:
        refuse(
            "decided_by_submitter",
            None,
            "whoever submitted a task does not decide it",
            "let another person decide",
        )
    reason = (verdict.reason or "").strip()
    if outcome in {TaskState.FAILED, TaskState.WAIVED} and not reason:
        refuse("reason_missing", "/reason", f"nothing says why it is {outcome}", "give a reason")
    if len(reason) > _REASON_CHARS_MAX or _printable(reason) is None:
        refuse(
            "reason_malformed",
            "/reason",
            "the reason is too long or holds control characters",
            f"give at most {_REASON_CHARS_MAX} printable characters, on one line",
        )
    _check_end(outcome, verdict.expires_at, now)
    return replace(
        task,
        state=outcome,
        decided_by=verdict.actor,
        reason=reason,
        expires_at=verdict.expires_at,
        is_warned=False,
    )


def expire(task: Task, reason: str) -> Task:
    """It counts no more."""
    assert TaskState.EXPIRED in ALLOWED[task.state], f"{task.task_id} is {task.state}"
    return replace(task, state=TaskState.EXPIRED, reason=reason)


def _need(task: Task, wanted: TaskState) -> None:
    if wanted not in ALLOWED[task.state]:
        refuse(
            "task_state",
            "/task_id",
            f"the task is {task.state}, so it does not become {wanted}",
            "have a new task opened" if task.state not in WAITING else "submit the task first",
        )


def _check_end(outcome: TaskState, expires_at: datetime | None, now: datetime) -> None:
    if outcome not in COUNTING:
        if expires_at is not None:
            refuse(
                "expiry_not_wanted",
                "/expires_at",
                f"what is {outcome} does not expire",
                "leave it out",
            )
        return
    if expires_at is None:
        refuse(
            "expiry_missing",
            "/expires_at",
            f"what is {outcome} holds for a time",
            "say until when",
        )
    if expires_at <= now:
        refuse("expiry_past", "/expires_at", "the time is over", "name a time to come")
