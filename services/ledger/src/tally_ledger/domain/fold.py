"""A batch: its commands decided one after another, each on what the one before left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tally_ledger.domain.books import Answer, Books, Done, Known, Posted, Rejected
from tally_ledger.domain.commands import Command, PostLegs
from tally_ledger.domain.decide import decide


@dataclass(slots=True)
class Batch:
    """What a batch comes to: an answer per command, and what has to be written.

    `after` are the books it leaves. A request asked again is answered and adds nothing.
    """

    after: Books
    answers: list[Answer] = field(default_factory=list)
    posted: list[tuple[Command, Posted]] = field(default_factory=list)
    rejected: list[tuple[Command, Rejected]] = field(default_factory=list)


def fold(books: Books, commands: Sequence[Command], now: datetime) -> Batch:
    """Decide commands in order; the books given are left as they are.

    All that is posted shares the next `log_seq`. The result is the same as folding the commands
    one by one, but for the log they are entered under.
    """
    work = books.copy()
    batch = Batch(work)
    log_seq = books.log_seq + 1
    for command in commands:
        known = work.known.get(command.id)
        if known is not None:
            batch.answers.append(_again(known, command, now))
            continue
        decision = decide(work, command, now)
        if isinstance(decision, Rejected):
            batch.rejected.append((command, decision))
            answer = Answer(decision, now)
        else:
            work.apply(decision)
            batch.posted.append((command, decision))
            subject = None if isinstance(command, PostLegs) else decision.transfers[0]
            answer = Answer(Done(log_seq, subject), now)
        work.known[command.id] = Known(command.request_hash, answer)
        batch.answers.append(answer)
    if batch.posted:
        work.log_seq = log_seq
    return batch


def _again(known: Known, command: Command, now: datetime) -> Answer:
    if known.request_hash == command.request_hash:
        return known.answer
    return Answer(
        Rejected(
            "id_conflict",
            f"{command.operation}: id {command.id} was used for another request, which stands; "
            "a new request needs a new id",
        ),
        now,
    )
