"""Commands in, facts out: a whole batch at once."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from tally_contracts.catalogue import topic
from tally_contracts.ledger import (
    AssetRegistered,
    AssetRejected,
    CaptureHold,
    CloseAccount,
    FreezeAccount,
    OpenAccount,
    PlaceHold,
    PostJournal,
    RegisterAsset,
    ReleaseHold,
    ReverseJournal,
    UnfreezeAccount,
)
from tally_contracts.ledger_batches import PostBatch
from tally_ledger import registration, service, store, wire
from tally_ledger.batches import answered, items_of, worth_of
from tally_ledger.domain import Account, Answer, Books, Command, Done, Malformed, Open, Rejected
from tally_ledger.reading import UNKNOWN_CURRENCY, Units, WireCommand, command_of, currencies_of
from tally_ledger.reserved import items_unless_reserved, unless_reserved
from tally_messaging import Received, Router, Subscription, UnitOfWork
from tally_money import iso_currencies

COMMANDS = "ledger.commands.v1"
WireRequest = WireCommand | PostBatch


def build_router(
    consumer: str = "ledger",
    wants: Callable[[bytes | None], bool] | None = None,
    *further: Subscription,
) -> Router:
    """The one consumer of the commands to the ledgers that `wants` tells by their records' keys.

    A command set aside holds up none behind it: whoever depends on its fact waits for the fact.
    """
    subscription = Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types, wants=wants)
    router = Router(consumer, [subscription, *further])
    router.fold(
        PostJournal,
        PostBatch,
        PlaceHold,
        CaptureHold,
        ReleaseHold,
        ReverseJournal,
        OpenAccount,
        FreezeAccount,
        UnfreezeAccount,
        CloseAccount,
    )(apply_commands)
    router.bundles(PostBatch, worth_of)
    # A handler of its own ends the batch of commands before it: those behind can use the asset.
    router.each(RegisterAsset)(register_asset)
    return router


async def apply_commands(uow: UnitOfWork, messages: Sequence[Received[WireRequest]]) -> None:
    """Apply a batch ledger by ledger, then publish what became of each command, in order.

    What comes from outside is refused the ids that the ledger gives out itself.
    """
    commands, units = await _read(uow, messages)
    allowed = [
        _unless_reserved(message.event, asked)
        for message, asked in zip(messages, commands, strict=True)
    ]
    await _apply(uow, messages, allowed, units)


async def apply_own(uow: UnitOfWork, messages: Sequence[Received[WireRequest]]) -> None:
    """Apply commands that the ledger gives itself, and publish as for any other."""
    await _apply(uow, messages, *await _read(uow, messages))


async def _apply(
    uow: UnitOfWork,
    messages: Sequence[Received[WireRequest]],
    commands: Sequence[Sequence[Command]],
    units: Units,
) -> None:
    by_ledger: dict[str, list[int]] = {}
    for position, message in enumerate(messages):
        by_ledger.setdefault(message.event.ledger, []).append(position)
    answers: dict[int, list[Answer]] = {}
    books: dict[str, Books] = {}
    opened: dict[tuple[str, str], tuple[Account, ...]] = {}
    # In name order, so that two batches never wait for each other crosswise.
    for ledger in sorted(by_ledger):
        positions = by_ledger[ledger]
        batch = await service.post(
            uow.conn,
            ledger,
            [command for position in positions for command in commands[position]],
            uow.now,
            _causes(messages, positions),
        )
        told = iter(batch.answers)
        for position in positions:
            answers[position] = list(islice(told, len(commands[position])))
        books[ledger] = batch.after
        opened.update(
            ((ledger, command.id), posted.opened)
            for command, posted in batch.posted
            if posted.opened
        )
    units = await _of_answers(uow, units, answers.values())
    for position, message in enumerate(messages):
        command, ledger = commands[position][0], message.event.ledger
        accounts: tuple[Account, ...] = ()
        if not isinstance(command, Open):
            # Popped, so that a repeat behind the command does not tell of its accounts again.
            accounts = opened.pop((ledger, command.id), ())
        _publish(uow, message, answers[position], accounts, (books[ledger], units))


async def register_asset(uow: UnitOfWork, message: Received[RegisterAsset]) -> None:
    """Enter an asset and publish what became of it."""
    event = message.event
    answer = await registration.register(uow.conn, event, uow.now)
    common = event.model_dump(exclude={"occurred_at"})
    common["occurred_at"] = answer.recorded_at
    fact: AssetRegistered | AssetRejected
    if isinstance(answer.outcome, Rejected):
        fact = AssetRejected(code=answer.outcome.code, detail=answer.outcome.detail, **common)
    else:
        fact = AssetRegistered(**common)
    uow.emit(fact, topic=wire.ACCOUNTS, key=event.asset, cause=message.cause)


async def _read(
    uow: UnitOfWork, messages: Sequence[Received[WireRequest]]
) -> tuple[list[Sequence[Command]], Units]:
    """The commands, and the assets they are in; only those beyond ISO 4217 are looked up."""
    units: Units = iso_currencies()
    commands = [_commands_of(message.event, units) for message in messages]
    unread = [position for position, asked in enumerate(commands) if any(map(_unknown, asked))]
    if unread:
        codes = {code for position in unread for code in currencies_of(messages[position].event)}
        units = {**units, **await store.units(uow.conn, codes - units.keys())}
        for position in unread:
            commands[position] = _commands_of(messages[position].event, units)
    return commands, units


def _commands_of(event: WireRequest, units: Units) -> Sequence[Command]:
    return items_of(event, units) if isinstance(event, PostBatch) else (command_of(event, units),)


def _unless_reserved(event: WireRequest, asked: Sequence[Command]) -> Sequence[Command]:
    if isinstance(event, PostBatch):
        return items_unless_reserved(event, asked)
    return (unless_reserved(event, asked[0]),)


def _unknown(command: Command) -> bool:
    if isinstance(command, Open):
        return command.unreadable is not None and command.unreadable[0] == UNKNOWN_CURRENCY
    return isinstance(command, Malformed) and command.code == UNKNOWN_CURRENCY


async def _of_answers(uow: UnitOfWork, units: Units, answers: Iterable[Sequence[Answer]]) -> Units:
    """The assets answers are in: a release does not say in which one it gives back."""
    codes = {
        answer.outcome.transfer.currency
        for given in answers
        for answer in given
        if isinstance(answer.outcome, Done) and answer.outcome.transfer is not None
    }
    missing = codes - units.keys()
    return {**units, **await store.units(uow.conn, missing)} if missing else units


def _causes(messages: Sequence[Received[WireRequest]], positions: Sequence[int]) -> dict[str, str]:
    """What an expiry would follow from, by hold."""
    causes: dict[str, str] = {}
    for position in positions:
        event = messages[position].event
        if isinstance(event, PlaceHold) and event.expires_at is not None:
            causes.setdefault(event.hold_id, messages[position].cause.to_text())
    return causes


def _publish(
    uow: UnitOfWork,
    message: Received[WireRequest],
    answers: Sequence[Answer],
    opened: tuple[Account, ...],
    context: tuple[Books, Units],
) -> None:
    event = message.event
    cause = message.cause
    books, units = context
    if isinstance(event, PostBatch):
        uow.emit(answered(event, answers), topic=wire.JOURNALS, key=event.reference, cause=cause)
        return
    (answer,) = answers
    if isinstance(event, OpenAccount):
        account_fact = wire.account_fact_of(event, answer, units)
        uow.emit(account_fact, topic=wire.ACCOUNTS, key=event.account.id, cause=cause)
        return
    if isinstance(event, FreezeAccount | UnfreezeAccount | CloseAccount):
        change = wire.change_fact_of(event, answer)
        uow.emit(change, topic=wire.ACCOUNTS, key=event.account, cause=cause)
        return
    for account in opened:
        account_fact = wire.opened(account, event.ledger, units)
        uow.emit(account_fact, topic=wire.ACCOUNTS, key=account.id, cause=cause)
    uow.emit(
        wire.fact_of(event, answer, books, units),
        topic=wire.JOURNALS if isinstance(event, PostJournal | ReverseJournal) else wire.HOLDS,
        key=event.reference,
        cause=cause,
    )
