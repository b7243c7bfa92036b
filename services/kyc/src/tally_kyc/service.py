"""The use cases: read what a batch needs, decide message by message, save, tell."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tally_contracts import directory_facts as known
from tally_contracts import kyc as wire
from tally_contracts.base import Event, Who
from tally_contracts.kyc import KycCommand, KycCommandRefused, KycCommandRepeated
from tally_kyc.commands import clock, following, tables, tasks
from tally_kyc.desk import IDENTITY, Desk, Told
from tally_kyc.domain.policy import Policy, in_force
from tally_kyc.domain.refusal import Refusal, Refused
from tally_kyc.domain.world import OPERATOR, World
from tally_kyc.store import reading, saving
from tally_kyc.store.reading import Answer, Asked
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import get_logger

_LOG = get_logger("tally_kyc.service")

HANDLERS: Final[Mapping[type[Event], Callable[[Desk, Any], None]]] = {
    wire.OpenTask: tasks.open_task,
    wire.SubmitTask: tasks.submit,
    wire.DecideTask: tasks.decide,
    wire.ReportChange: tasks.report_change,
    wire.PublishGateTable: tables.publish_gates,
    wire.PublishLimitTable: tables.publish_limits,
    known.PartyRegistered: following.registered,
    known.PartiesMerged: following.merged,
    known.ConsentGiven: following.consented,
    known.ConsentWithdrawn: following.consented,
    known.ConnectionChanged: following.connected,
}
"""What is done about each event."""

AT_ONCE: Final = 200
"""Parties the clock looks at in one transaction."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the use cases work by: every version of the policy."""

    policies: Sequence[Policy]

    async def apply(self, uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        """Decide a batch; each command is told one fact at least."""
        await reading.take_turn(uow.conn)
        events = [message.event for message in messages]
        commands = [event for event in events if isinstance(event, KycCommand)]
        answers = await reading.answers(uow.conn, [command.command_id for command in commands])
        world = await reading.read(uow.conn, _asked(events))
        fresh: list[tuple[object, ...]] = []
        for message in messages:
            event = message.event
            if isinstance(event, KycCommand):
                digest = _digest(event)
                desk = self._desk(uow, world, event.who)
                told = _answer_again(desk, event, digest, answers)
                if not told:
                    told = _decide(desk, event)
                    answer = answers[event.command_id] = _answer_of(digest, told[0])
                    fresh.append((event.command_id, event.tenant, *answer))
            else:
                desk = self._desk(uow, world, event.who)
                HANDLERS[type(event)](desk, event)
                told = desk.told
            for one in told:
                uow.emit(one.event, topic=IDENTITY, key=one.key, cause=message.cause)
        await saving.save(uow.conn, world, uow.now)
        if fresh:
            await saving.keep_answers(uow.conn, fresh, uow.now)

    async def keep_time(self, uow: UnitOfWork) -> bool:
        """Warn and expire what is due, derive what an older policy made; whether there is more."""
        await reading.take_turn(uow.conn)
        policy = in_force(self.policies, uow.now)
        due = await reading.due(
            uow.conn, uow.now, uow.now + policy.warn_before, policy.version, AT_ONCE
        )
        if not due:
            return False
        world = await reading.read(uow.conn, Asked(parties=set(due)))
        who = Who(actor=clock.ACTOR, principal=OPERATOR)
        for party_id in due:
            party = world.party(party_id)
            assert party is not None, f"{party_id} was just read"
            desk = self._desk(uow, world, who)
            clock.keep_time(desk, party)
            cause = Cause(correlation_id=str(uow.ids.uuid7()), actor=clock.ACTOR)
            for one in desk.told:
                uow.emit(one.event, topic=IDENTITY, key=one.key, cause=cause)
        await saving.save(uow.conn, world, uow.now)
        return len(due) == AT_ONCE

    def _desk(self, uow: UnitOfWork, world: World, who: Who) -> Desk:
        return Desk(world, self.policies, who, uow.now, uow.ids.new)


def _asked(events: Sequence[Event]) -> Asked:
    asked = Asked()
    for event in events:
        match event:
            case wire.OpenTask():
                asked.parties.add(event.party_id)
                asked.tasks.add(event.task_id)
            case wire.SubmitTask() | wire.DecideTask():
                asked.tasks.add(event.task_id)
            case wire.ReportChange() | known.PartyRegistered():
                asked.parties.add(event.party_id)
            case known.PartiesMerged():
                asked.parties |= {event.party_id, event.merged}
            case wire.PublishGateTable() | wire.PublishLimitTable():
                asked.tables = True
    return asked


def _decide(desk: Desk, command: KycCommand) -> Sequence[Told]:
    """What is told of a command: a refusal at least."""
    try:
        HANDLERS[type(command)](desk, command)
    except Refused as refused:
        return [_refusal(desk, command, refused.refusal)]
    assert desk.told, f"{command.TYPE} has to be answered"
    return desk.told


def _answer_again(
    desk: Desk, command: KycCommand, digest: bytes, answers: Mapping[str, Answer]
) -> Sequence[Told]:
    """What is said to a command that came before, or whose id did; nothing if it is new."""
    before = answers.get(command.command_id)
    if before is None:
        return ()
    if before.digest != digest:
        _LOG.warning("command_id_reused", command_id=command.command_id)
        reused = Refusal(
            "id_reused",
            "/command_id",
            "this id came before with other content, which stands",
            "send the changed command under an id of its own",
        )
        return [_refusal(desk, command, reused)]
    subject = subject_of(command)
    if before.refusal is not None:
        return [Told(subject, KycCommandRefused.model_validate(before.refusal))]
    repeated = KycCommandRepeated(
        **desk.said(command.tenant),
        command_id=command.command_id,
        command_type=command.TYPE,
        subject=subject,
        answer=before.event_type,
    )
    return [Told(subject, repeated)]


def _answer_of(digest: bytes, told: Told) -> Answer:
    event = told.event
    refusal = event.model_dump(mode="json") if isinstance(event, KycCommandRefused) else None
    return Answer(digest, event.TYPE, refusal)


def _refusal(desk: Desk, command: KycCommand, refusal: Refusal) -> Told:
    subject = subject_of(command)
    _LOG.info("command_refused", command_type=command.TYPE, subject=subject, code=refusal.code)
    event = KycCommandRefused(
        **desk.said(command.tenant),
        command_id=command.command_id,
        command_type=command.TYPE,
        subject=subject,
        code=refusal.code,
        field=refusal.field,
        detail=refusal.detail,
        remedy=refusal.remedy,
    )
    return Told(subject, event)


def _digest(command: KycCommand) -> bytes:
    """Digest of what is asked; when it was asked is not part of it."""
    said = command.model_dump(mode="json", exclude={"occurred_at"})
    text = json.dumps([command.TYPE, said], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"tally-kyc").digest()


def subject_of(command: KycCommand) -> str:
    """What a command is about: the first of its own fields, an id or a table's name."""
    own = (name for name in type(command).model_fields if name not in KycCommand.model_fields)
    return str(getattr(command, next(own)))
