"""Commands in, facts out: a whole batch at once."""

from collections.abc import Sequence

from tally_contracts.catalogue import topic
from tally_contracts.ledger import (
    CaptureHold,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
)
from tally_ledger import service, wire
from tally_ledger.domain import Account, Answer, Command, Open
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS = "ledger.commands.v1"


def build_router() -> Router:
    """The one consumer of the ledger's commands.

    A command set aside holds up none behind it: whoever depends on its fact waits for the fact.
    """
    subscription = Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types)
    router = Router("ledger", [subscription])
    router.fold(PostJournal, PlaceHold, CaptureHold, ReleaseHold, OpenAccount)(apply_commands)
    return router


async def apply_commands(uow: UnitOfWork, messages: Sequence[Received[wire.WireCommand]]) -> None:
    """Apply a batch ledger by ledger, then publish what became of each command, in order."""
    by_ledger: dict[str, list[int]] = {}
    commands: list[Command] = []
    for position, message in enumerate(messages):
        commands.append(wire.command_of(message.event))
        by_ledger.setdefault(message.event.ledger, []).append(position)
    answers: dict[int, Answer] = {}
    opened: dict[tuple[str, str], tuple[Account, ...]] = {}
    # In name order, so that two batches never wait for each other crosswise.
    for ledger in sorted(by_ledger):
        positions = by_ledger[ledger]
        batch = await service.post(
            uow.conn,
            ledger,
            [commands[position] for position in positions],
            uow.now,
            _causes(messages, positions),
        )
        answers.update(zip(positions, batch.answers, strict=True))
        opened.update(
            ((ledger, command.id), posted.opened)
            for command, posted in batch.posted
            if posted.opened
        )
    for position, message in enumerate(messages):
        command = commands[position]
        accounts: tuple[Account, ...] = ()
        if not isinstance(command, Open):
            # Popped, so that a repeat behind the command does not tell of its accounts again.
            accounts = opened.pop((message.event.ledger, command.id), ())
        _publish(uow, message, answers[position], accounts)


def _causes(
    messages: Sequence[Received[wire.WireCommand]], positions: Sequence[int]
) -> dict[str, str]:
    """What an expiry would follow from, by hold."""
    causes: dict[str, str] = {}
    for position in positions:
        event = messages[position].event
        if isinstance(event, PlaceHold) and event.expires_at is not None:
            causes.setdefault(event.hold_id, messages[position].cause.to_text())
    return causes


def _publish(
    uow: UnitOfWork,
    message: Received[wire.WireCommand],
    answer: Answer,
    opened: tuple[Account, ...],
) -> None:
    event = message.event
    cause = message.cause
    if isinstance(event, OpenAccount):
        account_fact = wire.account_fact_of(event, answer)
        uow.emit(account_fact, topic=wire.ACCOUNTS, key=event.account.id, cause=cause)
        return
    for account in opened:
        account_fact = wire.opened(account, event.ledger)
        uow.emit(account_fact, topic=wire.ACCOUNTS, key=account.id, cause=cause)
    uow.emit(
        wire.fact_of(event, answer),
        topic=wire.JOURNALS if isinstance(event, PostJournal) else wire.HOLDS,
        key=event.reference,
        cause=cause,
    )
