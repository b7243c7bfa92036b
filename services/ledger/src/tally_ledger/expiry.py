"""The worker that ends holds whose time is over, as logged transfers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tally_contracts.base import Where, Who, Why
from tally_ledger import service, store, wire
from tally_ledger.domain import Context, Expire
from tally_ledger.store import DueHold
from tally_messaging import Cause, Transactor, UnitOfWork, WorkerContext
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_ledger.expiry")
ACTOR = "ledger"
CHANNEL = "expiry"
REASON = "The hold's time was over."


@dataclass(frozen=True, slots=True)
class ExpiryWorker:
    """Looks for due holds of every ledger; one batch per ledger and turn."""

    ledgers: Sequence[str]
    poll_s: float
    batch_holds: int
    name: str = "expiry"
    within_s: float = 120.0

    async def run(self, context: WorkerContext) -> None:
        await context.take_turns(self.name, self.poll_s, partial(self.turn, context.transactor))

    async def turn(self, transactor: Transactor) -> bool:
        """Expire one batch of each ledger; true if there may be more."""
        more = False
        for ledger in self.ledgers:
            expired = await transactor.run(
                partial(expire_due, ledger=ledger, limit=self.batch_holds)
            )
            if expired:
                _LOG.info("holds_expired", ledger=ledger, holds=expired)
            more |= expired == self.batch_holds
        return more


async def expire_due(uow: UnitOfWork, ledger: str, limit: int) -> int:
    """End up to `limit` due holds of a ledger and publish it; returns how many were found."""
    due = await store.due_holds(uow.conn, ledger, uow.now, limit)
    if due:
        await expire_all(uow, ledger, due)
    return len(due)


async def expire_all(uow: UnitOfWork, ledger: str, due: Sequence[DueHold]) -> None:
    """End those of the holds that are still open, and publish it."""
    commands = [_expiry(hold, uow) for hold in due]
    batch = await service.post(uow.conn, ledger, commands, uow.now, {})
    holds = {hold.id: hold for hold in due}
    units = await store.units(uow.conn, {hold.currency for hold in due})
    # A hold resolved between the two reads is refused or answered from memory, and not posted.
    for command, posted in batch.posted:
        (transfer,) = posted.transfers
        hold = holds[transfer.pending_id or ""]
        context = command.context
        fact = wire.released(
            transfer,
            units,
            expired=True,
            common={
                "ledger": ledger,
                "reference": hold.reference,
                "log_seq": batch.after.log_seq,
                "who": Who(actor=context.actor, principal=context.principal),
                "where": Where(channel=context.channel, country=context.country),
                "why": Why(program=context.program, event=context.event, reason=context.reason),
                "occurred_at": uow.now,
            },
        )
        uow.emit(fact, topic=wire.HOLDS, key=hold.reference, cause=Cause.from_text(hold.cause))


def _expiry(hold: DueHold, uow: UnitOfWork) -> Expire:
    return Expire(
        id=derived_id("exp", hold.id),
        reference=hold.reference,
        hold_id=hold.id,
        code=hold.code,
        effective_at=uow.now,
        context=Context(
            ACTOR,
            hold.principal,
            CHANNEL,
            hold.country,
            hold.program,
            hold.event,
            REASON,
        ),
        request_hash=hashlib.sha256(f"expire\x1f{hold.id}".encode()).digest(),
    )
