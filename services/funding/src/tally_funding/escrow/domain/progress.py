"""What moves an agreement besides its parties: facts seen, time, and the ledger's answers."""

from dataclasses import replace
from datetime import datetime

from tally_funding.escrow.domain.agreement import (
    AT_REST,
    FINAL,
    MOVING,
    Agreement,
    State,
    Steps,
    ask,
    met,
    step,
)
from tally_funding.retrying import try_again_at


def decide_event(agreement: Agreement, event: str, references: frozenset[str]) -> Steps:
    """A fact was seen on a topic: the condition is met if it is the one that was named."""
    condition = agreement.condition
    waits = condition.kind == "event" and not agreement.condition_met
    meets = condition.event == event and condition.event_reference in references
    if not waits or not meets or agreement.state in FINAL or agreement.state is State.DISPUTED:
        return ()
    return met(agreement, "event_seen")


def decide_time(agreement: Agreement, now: datetime) -> Steps:
    """What time alone leads to: the date has come, the deadline has passed, or a try is due again."""
    if agreement.due_at is None or now < agreement.due_at:
        return ()
    if agreement.state is State.PROPOSED:
        return (step(agreement, State.EXPIRED, "never_funded"),)
    date = agreement.condition.at if agreement.condition.kind == "date" else None
    if agreement.condition_met:
        return (ask(agreement, State.RELEASING, "condition_met", to_payee=agreement.held),)
    if date is not None and now >= date:
        return met(agreement, "date_reached")
    if agreement.on_deadline == "release":
        return (ask(agreement, State.EXPIRING, "deadline_passed", to_payee=agreement.held),)
    return (ask(agreement, State.EXPIRING, "deadline_passed", to_payer=agreement.held),)


def decide_answer(
    agreement: Agreement, *, number: int, refused: str | None, now: datetime
) -> Steps:
    """Read the ledger's answer to the ask `number`; `refused` is its code, None if it posted.

    Answers to any ask but the last, and answers that come again, change nothing.
    """
    movement = agreement.movement
    if movement is None or movement.number != number:
        return ()
    assert agreement.state in MOVING, f"{agreement.state} waits for no answer"
    if refused is not None:
        again_at = try_again_at(now, f"{agreement.agreement_id}/{number}")
        back = replace(agreement, movement=None, not_before=again_at)
        return (step(agreement, movement.resting, refused, back),)
    settled = replace(
        agreement,
        movement=None,
        not_before=None,
        funded=True,
        released=agreement.released + movement.to_payee,
        refunded=agreement.refunded + movement.to_payer,
    )
    first = step(agreement, _settled_state(agreement.state, settled), None, settled)
    if first.after.state in AT_REST and first.after.condition_met:
        held = first.after.held
        return (first, ask(first.after, State.RELEASING, "condition_met", to_payee=held))
    return (first,)


def _settled_state(state: State, settled: Agreement) -> State:
    match state:
        case State.FUNDING:
            return State.FUNDED
        case State.RELEASING:
            return State.PART_RELEASED if settled.held else State.RELEASED
        case State.REFUNDING:
            return State.REFUNDED
        case State.ARBITRATING:
            return State.ARBITRATED
        case _:
            assert state is State.EXPIRING, f"{state} waits for no answer"
            return State.EXPIRED
