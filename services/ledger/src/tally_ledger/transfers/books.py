"""Asking the books of this process, and reading their answers, within one transaction."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel

from tally_ledger import handlers
from tally_ledger.transfers.domain import Refusal
from tally_messaging import Received, UnitOfWork
from tally_messaging.envelope import CE_TYPE

# The field that names the request in the fact that answers it.
_ANSWERS: Mapping[str, str] = {
    "ledger.journal.posted.v1": "journal_id",
    "ledger.journal.rejected.v1": "journal_id",
    "ledger.hold.placed.v1": "hold_id",
    "ledger.hold.captured.v1": "transfer_id",
    "ledger.hold.released.v1": "transfer_id",
    "ledger.hold.rejected.v1": "command_id",
}


async def carry_out(
    uow: UnitOfWork, asked: Sequence[tuple[Received[Any], BaseModel]]
) -> Mapping[str, Refusal | None]:
    """Apply commands, each caused by its message; what became of each by its id, None is done.

    The commands are applied, answered and published as any others are, but may use the ids reserved
    for the ledger. The fact is the answer, so nothing else of the books is relied upon.
    """
    if not asked:
        return {}
    before = len(uow.outgoing)
    messages = [replace(message, event=cast("Any", command)) for message, command in asked]
    await handlers.apply_own(uow, messages)
    return dict(_answers(uow, before))


def _answers(uow: UnitOfWork, before: int) -> Iterator[tuple[str, Refusal | None]]:
    for record in uow.outgoing[before:]:
        field = _ANSWERS.get(record.headers[CE_TYPE])
        if field is None:
            continue
        fact = json.loads(record.payload)
        # Only a rejection says why: facts about what was done have the code of the transfer at most.
        rejected = record.headers[CE_TYPE].endswith(".rejected.v1")
        yield fact[field], Refusal(fact["code"], fact["detail"]) if rejected else None
