"""The attempts one unit of work deals with: loaded, decided about in memory, saved and told at once.

`Desk.observe` is the only way news about an attempt gets in, from whatever source it comes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from tally_contracts.base import Amount
from tally_contracts.rails import AttemptChanged, InstrumentRefused
from tally_messaging import Cause, UnitOfWork
from tally_railkit import Accepted, Action, Meaning, News, PayoutOrder, Rejected
from tally_rails.alarms import Alarms
from tally_rails.context import Context
from tally_rails.domain.attempt import (
    Attempt,
    Contradiction,
    Decision,
    Moved,
    Sighting,
    decide_cancel,
    decide_sighting,
    decide_taken,
)
from tally_rails.store import attempts as attempt_store
from tally_rails.store import instruments as instrument_store
from tally_rails.store import work
from tally_rails.store.attempts import StoredAttempt
from tally_rails.store.work import Case, Job
from tally_runtime import get_logger

_LOG = get_logger("tally_rails")
ATTEMPTS = "rails.attempts.v1"
INSTRUMENTS = "rails.instruments.v1"
DEAD = frozenset({Action.FIX_DETAILS, Action.DISABLE_METHOD})
FOR_PEOPLE = frozenset({Action.FREEZE_PARTY, Action.OPERATOR})


@dataclass(slots=True)
class _Tracked:
    attempt: Attempt
    context: Context
    saved: StoredAttempt | None

    def changed(self) -> StoredAttempt | None:
        """The row to save; None when the attempt is as it was."""
        if self.saved is None:
            cause = self.context.cause.to_text()
            return StoredAttempt(self.attempt, self.context.circumstances, cause)
        if self.attempt is self.saved.attempt:
            return None
        saved = self.saved
        return StoredAttempt(self.attempt, saved.circumstances, saved.cause, saved.version)


@dataclass(slots=True)
class Desk:
    """One unit's work. `meanings` are the code tables of the rails, by rail."""

    uow: UnitOfWork
    meanings: Mapping[str, Mapping[str, Meaning]]
    alarms: Alarms
    _attempts: dict[str, _Tracked] = field(default_factory=dict)
    _steps: list[tuple[Moved, datetime]] = field(default_factory=list)
    _cases: list[Case] = field(default_factory=list)
    _jobs: dict[tuple[str, str, str], Job] = field(default_factory=dict)
    _dead: dict[str, Attempt] = field(default_factory=dict)

    async def load(self, ids: Iterable[str]) -> None:
        """Lock these attempts; ids nobody knows are left out."""
        wanted = set(ids) - self._attempts.keys()
        for row in await attempt_store.lock_attempts(self.uow.conn, wanted):
            context = Context.stored(row.circumstances, row.cause)
            self._attempts[row.attempt.id] = _Tracked(row.attempt, context, row)

    def find(self, attempt_id: str) -> Attempt | None:
        """A loaded attempt as it is now."""
        tracked = self._attempts.get(attempt_id)
        return None if tracked is None else tracked.attempt

    def loaded(self) -> list[Attempt]:
        """Every attempt loaded, as it is now, in the order of ids."""
        return [tracked.attempt for tracked in self._attempts.values()]

    def take(
        self, rail: str, order: PayoutOrder, answer: Accepted | Rejected, context: Context
    ) -> None:
        """Begin an attempt by the rail's answer to its order."""
        steps = decide_taken(rail, order, answer)
        self._attempts[order.attempt_id] = _Tracked(steps[-1].attempt, context, None)
        for step in steps:
            self._tell(step, context, self.uow.now)

    def cancel(self, attempt_id: str) -> Decision:
        """Take an attempt back if it has not left."""
        tracked = self._attempts[attempt_id]
        return self._decided(tracked, decide_cancel(tracked.attempt), self.uow.now, "cancel")

    def observe(
        self, news: News, *, settlement_date: date | None = None, shared_case: bool = False
    ) -> None:
        """Take in news about a loaded attempt.

        `shared_case`: the caller opens one case for all attempts the same news is about.

        A code that is not in the rail's table changes nothing and opens a case. The provider's own
        reason, where it gives one, is shown instead of the code.
        """
        tracked = self._attempts[news.attempt_id]
        rail, code = tracked.attempt.rail, news.provider_code
        meaning = self.meanings[rail].get(code)
        if meaning is None:
            self.open_case(
                rail,
                "unmapped_code",
                f"{news.attempt_id}:{code}",
                f"the rail says {code!r} (reference {news.reference}) about {news.attempt_id}: no "
                "such code is in its table; add it, then deliver the news again",
            )
            return
        seen = Sighting(
            meaning=meaning,
            code=news.reason or (code if meaning.action is not Action.NONE else None),
            reference=news.reference,
            amount=news.amount,
            source=news.source,
            settlement_date=settlement_date,
        )
        decision = decide_sighting(tracked.attempt, seen)
        self._decided(tracked, decision, news.occurred_at, f"{code}:{news.reference}")
        if isinstance(decision, Moved):
            self._follow_up(decision.attempt, shared_case=shared_case)

    def open_case(self, rail: str, code: str, subject: str, detail: str) -> None:
        """Have a person look at something."""
        self._cases.append(Case(rail, code, subject, detail))

    def add_job(self, job: Job) -> None:
        """Enter work to be done outside the unit."""
        self._jobs[job.rail, job.kind, job.subject] = job

    async def save(self) -> None:
        """Write what changed; the number of statements does not depend on how much it is."""
        conn, now = self.uow.conn, self.uow.now
        changed = [row for t in self._attempts.values() if (row := t.changed()) is not None]
        await attempt_store.save_attempts(conn, changed, now)
        await attempt_store.save_history(conn, self._steps)
        await work.add_jobs(conn, list(self._jobs.values()))
        for case in await work.open_cases(conn, self._cases, now):
            self.alarms.ring(case.rail, case.code, subject=case.subject, detail=case.detail)
        for dead in await instrument_store.refuse_instruments(conn, self._dead.keys(), now):
            attempt = self._dead[dead.id]
            refused = InstrumentRefused(
                instrument_id=dead.id,
                rail=dead.rail,
                owner=dead.owner,
                code=(attempt.code or "refused_by_rail").lower(),
                field="details",
                remedy="The receiving side refuses these details: give details of an account that "
                "takes payments.",
                occurred_at=now,
            )
            cause = self._attempts[attempt.id].context.cause
            self.uow.emit(refused, topic=INSTRUMENTS, key=dead.id, cause=cause)

    def _decided(
        self, tracked: _Tracked, decision: Decision, at: datetime, subject: str
    ) -> Decision:
        attempt = tracked.attempt
        match decision:
            case Moved():
                tracked.attempt = decision.attempt
                self._tell(decision, tracked.context, at)
            case Contradiction():
                self.open_case(
                    attempt.rail, decision.code, f"{attempt.id}:{subject}", decision.detail
                )
            case _:
                _LOG.info(
                    "attempt_unchanged", attempt_id=attempt.id, why=decision.why, news=subject
                )
        return decision

    def _follow_up(self, attempt: Attempt, *, shared_case: bool) -> None:
        if attempt.action in DEAD:
            self._dead[attempt.order.instrument_id] = attempt
        elif attempt.action in FOR_PEOPLE and not shared_case:
            self.open_case(
                attempt.rail, f"attempt_{attempt.state}", attempt.id,
                f"{attempt.state} with code {attempt.code}, action {attempt.action}: the money is "
                "where it was before, somebody has to decide what next",
            )  # fmt: skip

    def _tell(self, step: Moved, context: Context, at: datetime) -> None:
        attempt = step.attempt
        self._steps.append((step, at))
        changed = AttemptChanged(
            attempt_id=attempt.id,
            payout_id=attempt.order.payout_id,
            rail=attempt.rail,
            sequence=attempt.sequence,
            state=attempt.state,
            amount=Amount.of(attempt.order.amount),
            provider_reference=attempt.provider_reference,
            code=attempt.code,
            action=attempt.action,
            source=attempt.source,
            return_reference=attempt.return_reference,
            who=context.who,
            where=context.where,
            why=context.why,
            occurred_at=at,
        )
        self.uow.emit(changed, topic=ATTEMPTS, key=attempt.order.payout_id, cause=context.cause)

    def cause_of(self, attempt_id: str) -> Cause:
        """What events about a loaded attempt follow from."""
        return self._attempts[attempt_id].context.cause


DeskFactory = Callable[[UnitOfWork], Desk]
