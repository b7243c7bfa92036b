"""The one use case: read what a batch needs, decide command by command, save, tell."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tally_contracts import directory as asked_for
from tally_contracts.base import Event
from tally_contracts.directory import DirectoryCommand
from tally_contracts.directory_facts import CommandRepeated, DirectoryCommandRefused
from tally_contracts.funding import PayInAllocated
from tally_contracts.ledger import AssetRegistered
from tally_directory import arrivals
from tally_directory.books import Books
from tally_directory.commands import approvals, contacts, parties, wallets
from tally_directory.desk import PARTIES, Desk, Told
from tally_directory.domain.access import Act
from tally_directory.domain.refusal import Refusal, Refused, refuse
from tally_directory.domain.world import World
from tally_directory.store import reading, saving
from tally_directory.store.reading import Answer, Asked
from tally_directory.vault import Vault
from tally_messaging import Received, UnitOfWork
from tally_runtime import get_logger

_LOG = get_logger("tally_directory.service")
_REASON_CHARS_MAX: Final = 500
_printable = re.compile(r"[^\x00-\x1f\x7f]+").fullmatch

HANDLERS: Mapping[type[DirectoryCommand], Callable[[Desk, Any], None]] = {
    asked_for.RegisterParty: parties.register,
    asked_for.SetExternalId: parties.set_external_id,
    asked_for.MoveParty: parties.move,
    asked_for.MergeParties: approvals.merge,
    asked_for.DefineRelationType: parties.define_relation,
    asked_for.SetRelation: parties.relate,
    asked_for.InviteConnection: parties.invite,
    asked_for.AcceptConnection: parties.accept,
    asked_for.RevokeConnection: parties.revoke,
    asked_for.AssignRole: approvals.assign_role,
    asked_for.RemoveRole: approvals.remove_role,
    asked_for.AddContact: contacts.add,
    asked_for.RemoveContact: contacts.remove,
    asked_for.StartVerification: contacts.start_verification,
    asked_for.ConfirmVerification: contacts.confirm,
    asked_for.OpenWallet: wallets.open_wallet,
    asked_for.SetGrant: wallets.grant,
    asked_for.ReplaceGrantFields: wallets.replace_fields,
    asked_for.RevokeGrant: wallets.revoke_grant,
    asked_for.LogViews: wallets.log_views,
    asked_for.IssueFundingDetails: wallets.issue_funding_details,
    asked_for.GiveConsent: parties.give_consent,
    asked_for.WithdrawConsent: parties.withdraw_consent,
    asked_for.SetGroupMember: parties.set_member,
    asked_for.ProposeAct: approvals.propose,
    asked_for.DecideApproval: approvals.decide,
}


@dataclass(frozen=True, slots=True)
class Directory:
    """What the use case works by: whose books, and the keys of what is known of people."""

    books: Books
    vault: Vault

    async def apply(self, uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        """Decide a batch. Each command is told one fact at least, money nobody knew finds a payee."""
        await reading.take_turn(uow.conn)
        assets = [m.event.asset for m in messages if isinstance(m.event, AssetRegistered)]
        if assets:
            await saving.keep_assets(uow.conn, sorted(set(assets)), uow.now)
        commands = [m.event for m in messages if isinstance(m.event, DirectoryCommand)]
        known: dict[str, Answer] = {}
        if commands:
            known = await reading.answers(uow.conn, [command.command_id for command in commands])
        tokens = {id(command): self._token(command) for command in commands}
        world = await reading.read(uow.conn, self._asked([m.event for m in messages], tokens))
        fresh: list[tuple[object, ...]] = []
        for message in messages:
            event = message.event
            told: Sequence[Told] = ()
            if isinstance(event, DirectoryCommand):
                digest = _digest(event, tokens[id(event)])
                told = _answer_again(event, digest, known, uow.now)
                if not told:
                    told = self.decide(world, event, uow.now)
                    answer = known[event.command_id] = _answer_of(digest, told[0])
                    fresh.append(
                        (event.command_id, event.tenant, digest, answer.event_type, answer.refusal)
                    )
            elif isinstance(event, PayInAllocated):
                told = self.arrive(world, event, uow.now)
            for one in told:
                uow.emit(one.event, topic=one.topic, key=one.key, cause=message.cause)
        await saving.save(uow.conn, world, uow.now)
        if fresh:
            await saving.keep_answers(uow.conn, fresh, uow.now)

    def _asked(self, events: Sequence[Event], tokens: Mapping[int, str | None]) -> Asked:
        asked = Asked(
            tokens={token for token in tokens.values() if token is not None},
            acts=any(isinstance(event, DirectoryCommand) for event in events),
        )
        for event in events:
            if isinstance(event, DirectoryCommand):
                self._ask_for(asked, event)
            elif isinstance(event, PayInAllocated):
                arrivals.ask_for(asked, event, self.books)
        return asked

    def _ask_for(self, asked: Asked, command: DirectoryCommand) -> None:
        asked.ids.update(_texts(command.model_dump(exclude={"reason"})))
        asked.tenants.add(command.tenant)
        asked.persons.add(command.who.actor)
        match command:
            case asked_for.RegisterParty(external_id=str(external_id)):
                asked.external_ids.add((command.tenant, external_id))
            case asked_for.SetExternalId():
                asked.names.add(command.external_id)
            case asked_for.DefineRelationType() | asked_for.SetRelation():
                asked.relations.add(command.relation)
            case asked_for.AssignRole() | asked_for.RemoveRole():
                asked.persons.add(command.person)
            case asked_for.OpenWallet():
                asked.currencies.add(command.currency)
                account = self.books.account(
                    command.wallet_id, command.owner, command.currency, command.purpose
                )
                asked.accounts.add(account.id)
            case asked_for.IssueFundingDetails():
                asked.currencies.add(command.currency)
            case asked_for.DecideApproval() | asked_for.ConfirmVerification():
                asked.merges = True

    def _token(self, command: DirectoryCommand) -> str | None:
        """The token of what a command brings sealed; None if it brings nothing, or it does not open."""
        try:
            match command:
                case asked_for.AddContact():
                    return self.vault.take_contact(
                        command.tenant, command.contact_id, command.channel, command.sealed
                    ).token
                case asked_for.ConfirmVerification():
                    return self.vault.take_code(
                        command.tenant, command.verification_id, command.sealed_code
                    )
        except Refused:
            return None
        return None

    def decide(self, world: World, command: DirectoryCommand, now: datetime) -> Sequence[Told]:
        """Decide one command: what is told of it, a refusal at least."""
        act = Act(command.tenant, command.who.actor, command.who.principal, now)
        desk = Desk(world, act, command.who, command.reason or "", self.books, self.vault)
        try:
            _check_reason(command.reason)
            HANDLERS[type(command)](desk, command)
        except Refused as refused:
            return [_refusal(command, refused.refusal, now)]
        assert desk.told, f"{command.TYPE} has to be answered"
        return desk.told

    def arrive(self, world: World, event: PayInAllocated, now: datetime) -> Sequence[Told]:
        """Make known whom a pay-in went to; nothing is told of those that are."""
        act = Act("*", event.who.actor, event.who.principal, now)
        desk = Desk(world, act, event.who, event.why.reason, self.books, self.vault)
        arrivals.arrive(desk, event)
        return desk.told


def _digest(command: DirectoryCommand, token: str | None) -> bytes:
    """Digest of what is asked. When it was asked, and the bytes of a seal, are not part of it."""
    said = command.model_dump(mode="json", exclude={"occurred_at"})
    if token is not None:
        said |= {"sealed": token, "sealed_code": token}
    text = json.dumps([command.TYPE, said], ensure_ascii=False, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"tally-directory").digest()


def _texts(value: object) -> Iterable[str]:
    """Every text in a command: its ids are among them, whatever the fields are called."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _check_reason(reason: str | None) -> None:
    if reason is None or not reason.strip():
        refuse("reason_missing", "/reason", "the command does not say why", "give a reason")
    if len(reason) > _REASON_CHARS_MAX or _printable(reason) is None:
        refuse(
            "reason_malformed",
            "/reason",
            "the reason is too long or holds control characters",
            f"give 1 to {_REASON_CHARS_MAX} printable characters",
        )


def _answer_again(
    command: DirectoryCommand, digest: bytes, known: Mapping[str, Answer], now: datetime
) -> Sequence[Told]:
    """What is said to a command that came before, or whose id did; nothing if it is new."""
    before = known.get(command.command_id)
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
        return [_refusal(command, reused, now)]
    subject = _subject(command)
    if before.refusal is not None:
        return [Told(PARTIES, subject, DirectoryCommandRefused.model_validate(before.refusal))]
    repeated = CommandRepeated(
        command_id=command.command_id,
        command_type=command.TYPE,
        tenant=command.tenant,
        subject=subject,
        answer=before.event_type,
        who=command.who,
        occurred_at=now,
    )
    return [Told(PARTIES, subject, repeated)]


def _answer_of(digest: bytes, told: Told) -> Answer:
    event = told.event
    refusal = event.model_dump(mode="json") if isinstance(event, DirectoryCommandRefused) else None
    return Answer(digest, event.TYPE, refusal)


def _refusal(command: DirectoryCommand, refusal: Refusal, now: datetime) -> Told:
    subject = _subject(command)
    _LOG.info("command_refused", command_type=command.TYPE, subject=subject, code=refusal.code)
    event = DirectoryCommandRefused(
        command_id=command.command_id,
        command_type=command.TYPE,
        tenant=command.tenant,
        subject=subject,
        code=refusal.code,
        field=refusal.field,
        detail=refusal.detail,
        remedy=refusal.remedy,
        who=command.who,
        occurred_at=now,
    )
    return Told(PARTIES, subject, event)


def _subject(command: DirectoryCommand) -> str:
    """The first of a command's own fields that is an id; its own id if there is none."""
    own = (name for name in type(command).model_fields if name not in DirectoryCommand.model_fields)
    subject = getattr(command, next(own))
    return subject if isinstance(subject, str) else command.command_id
