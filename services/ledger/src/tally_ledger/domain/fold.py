"""A batch: its commands decided one after another, each on what the one before left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tally_ledger.domain.aggregate import grouped
from tally_ledger.domain.books import (
    Answer,
    Books,
    Changed,
    Done,
    Known,
    Opened,
    Posted,
    Rejected,
)
from tally_ledger.domain.commands import (
    ChangeAccount,
    Command,
    Expire,
    Malformed,
    Movement,
    Open,
    PostLegs,
    Request,
    Reverse,
)
from tally_ledger.domain.decide import decide, decide_open
from tally_ledger.domain.model import Account, BatchEntry, Entry, Transfer


@dataclass(slots=True)
class Batch:
    """What a batch comes to: an answer per command, and what has to be written.

    `after` are the books it leaves, `opened` all accounts it opens by whatever command, `changed`
    the accounts frozen, unfrozen or closed, in order. `entries` are one by one, `grouped` those of
    aggregated accounts. A request asked again is answered and adds nothing; `rejected` are the
    refusals to remember.
    """

    after: Books
    answers: list[Answer] = field(default_factory=list)
    opened: list[Account] = field(default_factory=list)
    posted: list[tuple[Movement, Posted]] = field(default_factory=list)
    changed: list[tuple[ChangeAccount, Changed]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    grouped: list[BatchEntry] = field(default_factory=list)
    rejected: list[tuple[Request, Rejected]] = field(default_factory=list)

    @property
    def is_logged(self) -> bool:
        """Whether it leaves something that the log is to bear witness to."""
        return bool(self.posted or self.changed)

    @property
    def changes_nothing(self) -> bool:
        return not (self.opened or self.posted or self.changed or self.rejected)


def fold(books: Books, commands: Sequence[Command], now: datetime) -> Batch:
    """Decide commands in order; the books given are left as they are.

    All that is posted or changed shares the next `log_seq`. The result is the same as folding the commands
    one by one, but for the log they are entered under: an aggregated account has one entry for
    each log row, so the cuts between batches show in its entries and never in its balance.
    """
    work = books.copy()
    batch = Batch(work)
    log_seq = books.log_seq + 1
    # One answer for all: nothing in it is of the journal.
    done = Answer(Done(log_seq, None), now)
    for command in commands:
        if isinstance(command, Open):
            batch.answers.append(_open(batch, command, now))
            continue
        if isinstance(command, Malformed) and not command.remembered:
            batch.answers.append(Answer(Rejected(command.code, command.detail), now))
            continue
        known = work.known.get(command.id)
        if known is not None:
            batch.answers.append(_again(known, command, now))
            continue
        decision = decide(work, command, now)
        if isinstance(decision, Posted):
            assert not isinstance(command, ChangeAccount), "only movements move"
            work.apply(command.id, decision)
            batch.opened += decision.opened
            batch.entries += decision.entries
            batch.posted.append((command, decision))
            subject = _subject(command, decision)
            answer = done if subject is None else Answer(Done(log_seq, subject), now)
        elif isinstance(decision, Rejected):
            answer = Answer(decision, now)
            if not isinstance(command, Expire):
                batch.rejected.append((command, decision))
        else:
            assert isinstance(command, ChangeAccount), "only changes change"
            work.change(decision)
            batch.changed.append((command, decision))
            answer = Answer(decision, now)
        work.known[command.id] = Known(command.request_hash, answer)
        batch.answers.append(answer)
    if batch.is_logged:
        work.log_seq = log_seq
    if batch.posted:
        batch.entries, batch.grouped = grouped(work, batch.entries, log_seq)
    return batch


def _subject(command: Movement, posted: Posted) -> Transfer | None:
    """The transfer an answer is about, where a hold was asked about."""
    return None if isinstance(command, PostLegs | Reverse) else posted.transfers[0]


def _open(batch: Batch, command: Open, now: datetime) -> Answer:
    accounts = batch.after.accounts
    decision = decide_open(batch.after, command, now)
    if isinstance(decision, Opened) and decision.account.id not in accounts:
        accounts[decision.account.id] = decision.account
        batch.opened.append(decision.account)
    return Answer(decision, now)


def _again(known: Known, command: Request, now: datetime) -> Answer:
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
