"""Ids that the ledger gives out itself: commands from outside neither take them nor act upon them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from tally_contracts.ledger import (
    CaptureHold,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    ReverseJournal,
)
from tally_contracts.ledger_batches import PostBatch
from tally_ledger.domain import ChangeAccount, Command, Malformed, Open, Request
from tally_ledger.reading import WireCommand

RESERVED: Final = ("xhld_", "xjrn_", "xtr_", "exp_")
"""Holds, journals and moves of transfers and settlements between ledgers, and expiries of holds."""

ID_RESERVED: Final = "id_reserved"


class _Named(NamedTuple):
    """An id in a command; `own` if it is the one the command would be remembered under."""

    field: str
    id: str
    own: bool = False


def unless_reserved(event: WireCommand, command: Command) -> Command:
    """The command as read from an event, or one that is refused because of an id in it.

    A refusal is remembered under the command's id, unless that is the reserved one: it would take
    the id from the ledger. Such a command is refused whenever it comes.
    """
    return _unless(_ids(event), command, event.occurred_at)


def items_unless_reserved(event: PostBatch, commands: Sequence[Command]) -> list[Command]:
    """The same for the items of a batch, each judged for itself."""
    return [
        _unless(_journal_ids(item.journal_id, (item.leg.id,)), command, event.occurred_at)
        if item.journal_id.startswith(RESERVED) or item.leg.id.startswith(RESERVED)
        else command
        for item, command in zip(event.items, commands, strict=True)
    ]


def _unless(ids: Iterable[_Named], command: Command, occurred_at: datetime) -> Command:
    if isinstance(command, Open):
        return command
    for named in ids:
        if named.id.startswith(RESERVED):
            return _refused(command, named, occurred_at)
    return command


def _refused(command: Request, named: _Named, occurred_at: datetime) -> Malformed:
    if isinstance(command, Malformed):
        refused = command
    else:
        at = occurred_at if isinstance(command, ChangeAccount) else command.effective_at
        refused = Malformed(
            command.operation,
            command.id,
            command.reference,
            ID_RESERVED,
            "",
            at,
            command.context,
            command.request_hash,
        )
    return replace(refused, code=ID_RESERVED, detail=_detail(named), remembered=not named.own)


def _detail(named: _Named) -> str:
    prefix = named.id.partition("_")[0]
    if named.field == "hold_id" and not named.own:
        remedy = "the transfer that placed it ends it; read ledger.transfers.v1"
    elif "reverses" in named.field:
        remedy = "ask for a transfer the other way to move the money back"
    else:
        remedy = "take an id of your own, with another prefix"
    return f"{named.field}: ids that begin with {prefix}_ are the ledger's own; {remedy}"


def _ids(event: WireCommand) -> Iterator[_Named]:
    """Every id a command gives or names, its own first."""
    match event:
        case PostJournal():
            yield from _journal_ids(event.journal_id, [leg.id for leg in event.legs])
        case ReverseJournal():
            yield _Named("journal_id", event.journal_id, own=True)
            yield _Named("reverses", event.reverses)
            for index, back in enumerate(event.legs):
                yield _Named(f"legs.{index}.id", back.id)
                yield _Named(f"legs.{index}.reverses", back.reverses)
        case PlaceHold():
            yield _Named("hold_id", event.hold_id, own=True)
        case CaptureHold() | ReleaseHold():
            yield _Named("transfer_id", event.transfer_id, own=True)
            yield _Named("hold_id", event.hold_id)
        case OpenAccount():
            return
        case _:
            yield _Named("change_id", event.change_id, own=True)


def _journal_ids(journal_id: str, legs: Sequence[str]) -> Iterator[_Named]:
    yield _Named("journal_id", journal_id, own=True)
    for index, leg_id in enumerate(legs):
        yield _Named(f"legs.{index}.id", leg_id)
