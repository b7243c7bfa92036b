"""Batches as they come and as they are answered; to the books an item is a journal like any other."""

from collections.abc import Sequence

from tally_contracts.ledger_batches import BatchAnswered, ItemAnswer, PostBatch
from tally_ledger.content import ItemContents, movement_context
from tally_ledger.domain import Answer, Done, Leg, Malformed, PostLegs, Rejected
from tally_ledger.reading import Units, Unreadable, minor_of

_ITEMS_AS_ONE = 2


def items_of(event: PostBatch, units: Units) -> list[PostLegs | Malformed]:
    """The items as the domain knows them, each as its journal alone would be read."""
    context = movement_context(event)
    effective_at = event.effective_at
    contents = ItemContents(event.ledger, context, effective_at)
    commands: list[PostLegs | Malformed] = []
    for item in event.items:
        leg, content = item.leg, contents.of(item)
        amount = leg.amount
        try:
            minor = minor_of(amount, units, 0)
        except Unreadable as error:
            commands.append(
                Malformed(
                    PostLegs.operation,
                    item.journal_id,
                    item.reference,
                    error.code,
                    error.detail,
                    event.occurred_at,
                    context,
                    content,
                )
            )
            continue
        legs = (Leg(leg.id, leg.debit, leg.credit, amount.currency, minor, leg.code),)
        commands.append(
            PostLegs(item.journal_id, item.reference, (), legs, effective_at, context, content)
        )
    return commands


def worth_of(event: PostBatch) -> int:
    """How many single commands cost as much: an item is a third to half of one (ADR 0012)."""
    return max(1, len(event.items) // _ITEMS_AS_ONE)


def answered(event: PostBatch, answers: Sequence[Answer]) -> BatchAnswered:
    """What is published about a batch: new, or the same again."""
    told: list[ItemAnswer] = []
    before: Answer | None = None
    for answer in answers:
        # All that is posted at once has one answer.
        told.append(told[-1] if answer is before else _told(answer))
        before = answer
    return BatchAnswered(
        batch_id=event.batch_id,
        ledger=event.ledger,
        reference=event.reference,
        items=event.items,
        answers=tuple(told),
        effective_at=event.effective_at,
        who=event.who,
        where=event.where,
        why=event.why,
        occurred_at=max(answer.recorded_at for answer in answers),
    )


def _told(answer: Answer) -> ItemAnswer:
    outcome = answer.outcome
    if isinstance(outcome, Rejected):
        return ItemAnswer(recorded_at=answer.recorded_at, code=outcome.code, detail=outcome.detail)
    assert isinstance(outcome, Done), "a movement is done or refused"
    return ItemAnswer(recorded_at=answer.recorded_at, log_seq=outcome.log_seq)
