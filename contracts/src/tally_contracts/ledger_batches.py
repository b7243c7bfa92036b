"""Many transfers asked for in one record, as mass payments need them, and what became of each.

A batch is a way to send and no thing in the books: each item is a journal of one leg with its own
id, decided as if it had come alone, in the order given. A refused item spoils no other. Asked again,
alone or in another batch, an item gets the answer it had.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tally_contracts.base import Count, MoneyEvent, Shape, Slug, Text, TypeId, UtcTime
from tally_contracts.ledger import JournalPosted, JournalRejected, Leg

ITEMS_MAX = 500
"""Items of one batch: with every field at its longest, the answer still fits a record."""


class BatchItem(Shape):
    """One journal of one leg: ledger, time and who, where and why are the batch's."""

    journal_id: TypeId
    reference: TypeId
    leg: Leg


class ItemAnswer(Shape):
    """What became of one item: posted under `log_seq`, or refused with `code` and `detail`.

    Codes as in JournalRejected; `detail` names a field of the leg as `legs.0.<field>`.
    `recorded_at` is when it was first answered.
    """

    recorded_at: UtcTime
    log_seq: Count | None = None
    code: Slug | None = None
    detail: Text | None = None


class PostBatch(MoneyEvent):
    """Command: post each item or refuse it, one by one; `batch_id` only names the answer.

    Nothing is remembered of the batch itself, so items may be put together anew.
    """

    TYPE: ClassVar[str] = "ledger.batch.post.v1"

    batch_id: TypeId
    ledger: Slug
    reference: TypeId
    items: Annotated[tuple[BatchItem, ...], Field(min_length=1, max_length=ITEMS_MAX)]
    effective_at: UtcTime


class BatchAnswered(MoneyEvent):
    """Every item of a batch was answered: `answers` are those to `items`, in the same order."""

    TYPE: ClassVar[str] = "ledger.batch.answered.v1"

    batch_id: TypeId
    ledger: Slug
    reference: TypeId
    items: tuple[BatchItem, ...]
    answers: tuple[ItemAnswer, ...]
    effective_at: UtcTime

    def facts(self) -> Iterator[JournalPosted | JournalRejected]:
        """What would have been told of each item if it had come alone, in order."""
        for item, answer in zip(self.items, self.answers, strict=True):
            common: dict[str, Any] = {
                "journal_id": item.journal_id,
                "ledger": self.ledger,
                "reference": item.reference,
                "who": self.who,
                "where": self.where,
                "why": self.why,
                "occurred_at": answer.recorded_at,
            }
            if answer.code is not None:
                yield JournalRejected(code=answer.code, detail=answer.detail or "", **common)
            else:
                assert answer.log_seq is not None, "an item is posted or refused"
                yield JournalPosted(
                    log_seq=answer.log_seq,
                    legs=(item.leg,),
                    effective_at=self.effective_at,
                    **common,
                )


COMMANDS = (PostBatch,)
FACTS = (BatchAnswered,)
