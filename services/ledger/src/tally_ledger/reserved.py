"""Ids that the ledger gives out itself: commands from outside neither take them nor act upon them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from tally_contracts.ledger import (
    CaptureHold,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    ReverseJournal,
)
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
    if isinstance(command, Open):
        return command
    for named in _ids(event):
        if named.id.startswith(RESERVED):
            return _refused(event, command, named)
    return command


def _refused(event: WireCommand, command: Request, named: _Named) -> Malformed:
    if isinstance(command, Malformed):
        refused = command
    else:
        at = event.occurred_at if isinstance(command, ChangeAccount) else command.effective_at
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
            yield _Named("journal_id", event.journal_id, own=True)
            for index, leg in enumerate(event.legs):
                yield _Named(f"legs.{index}.id", leg.id)
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
