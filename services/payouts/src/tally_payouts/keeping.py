"""What was decided about a payout: kept in the batch, and told."""

from dataclasses import dataclass
from typing import Any, assert_never

from tally_messaging import Received
from tally_payouts.answers import Answers
from tally_payouts.batch import Batch, Tracked
from tally_payouts.domain.options import Option
from tally_payouts.domain.payout import (
    CaseOpened,
    Command,
    Decision,
    HoldsChanged,
    Ignored,
    Moved,
    Refused,
    ReturnSeen,
    Taken,
)
from tally_payouts.domain.states import LEAVING, PayoutState
from tally_payouts.exits import Exits
from tally_payouts.outgoing import Outgoing
from tally_payouts.store.payouts import Case
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_payouts")


@dataclass(frozen=True, slots=True)
class Keeper:
    """Takes up decisions that follow from one message; from none where time alone led to them."""

    rails: frozenset[str]
    batch: Batch
    exits: Exits
    outgoing: Outgoing
    message: Received[Any] | None = None

    def keep(self, tracked: Tracked, decision: Decision) -> None:
        """Keep what was decided and emit what follows from it, in order."""
        tracked.payout = decision.payout
        payout, context = decision.payout, tracked.context
        cause = context.cause if self.message is None else context.following(self.message)
        self.batch.file(payout)
        for effect in decision.effects:
            match effect:
                case Moved():
                    self.batch.history.append(effect)
                    self._weigh(effect)
                    self.outgoing.status(effect, context, cause, self._options(tracked))
                case HoldsChanged():
                    self.outgoing.holds(effect, context, cause)
                case Command():
                    # Somebody asks for a cancellation; the rest follows from what the payout is.
                    asked = effect is Command.CANCEL_ATTEMPT
                    who = self._command.event.who if asked else context.who
                    self.outgoing.command(effect, payout, context, cause, who)
                case ReturnSeen():
                    self.batch.returns.append((payout.attempt_id, effect.reference, payout.id))
                case CaseOpened():
                    case_id = derived_id("cas", payout.id, effect.code, effect.subject)
                    self.batch.cases[case_id] = Case(case_id, payout.id, effect)
                    log_input(self.message, effect.code, payout.id, alarm=True, case=case_id)
                case Ignored():
                    log_input(self.message, effect.code, payout.id, alarm=effect.alarm)
                case Taken():
                    self._answers.taken(payout, context, self._command)
                case Refused():
                    self._answers.refused(effect.code, self._command)
                case _:
                    assert_never(effect)

    def _options(self, tracked: Tracked) -> tuple[Option, ...]:
        """What the payee may choose among, where a choice is waited for."""
        if tracked.payout.state is not PayoutState.CLAIMABLE:
            return ()
        return self.exits.options(tracked, self.batch.policy_of(tracked), self.rails)

    def _weigh(self, step: Moved) -> None:
        """What leaves counts against limits, what comes back counts no more."""
        if step.payout.state is PayoutState.SUBMITTING:
            self.exits.leaves(step.payout)
        elif step.previous in LEAVING and step.payout.state not in LEAVING:
            self.exits.comes_back(step.payout)

    @property
    def _command(self) -> Received[Any]:
        assert self.message is not None, "only a command is answered"
        return self.message

    @property
    def _answers(self) -> Answers:
        return Answers(self.outgoing.uow)


def log_input(
    message: Received[Any] | None,
    code: str,
    payout_id: str,
    *,
    alarm: bool,
    case: str | None = None,
) -> None:
    """Say that an input changed nothing, or opened a case."""
    log = _LOG.warning if alarm else _LOG.debug
    log(
        "case_opened" if case else "input_changed_nothing",
        code=code,
        payout_id=payout_id,
        event_id=None if message is None else message.envelope.id,
        event_type=None if message is None else message.envelope.type,
        alarm=alarm,
        case_id=case,
    )
