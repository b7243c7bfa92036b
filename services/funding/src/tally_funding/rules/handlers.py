"""The consumer of commands about rules, of the directory's groups and relations, and of charges."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tally_contracts.catalogue import topic
from tally_contracts.directory_facts import GroupMembershipChanged, RelationSet
from tally_contracts.funding import PayInAllocated
from tally_contracts.funding_rules import (
    DryRunRule,
    LintRule,
    PublishRule,
    RegisterOwnerKey,
    RetireRule,
)
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_funding.answers.store import for_every_tenant
from tally_funding.postings import Books
from tally_funding.rules import charges, directory_store, owner_keys, questions, service
from tally_funding.rules.book import RuleBook
from tally_funding.rules.refusals import tell
from tally_messaging import Received, Router, Subscription, UnitOfWork

COMMANDS: Final = "funding.rules.commands.v1"
PARTIES: Final = "directory.parties.v1"
PAY_INS: Final = "funding.pay_in.v1"
JOURNALS: Final = "ledger.journals.v1"


def _is_of_a_charge(key: bytes | None) -> bool:
    """Whether a journal's reference, its record's key, is a charge."""
    return key is not None and key.startswith(charges.PREFIX.encode())


def build_rules_router(book: RuleBook, books: Books) -> Router:
    """Apart from the consumer that books, so that no dry run holds money up."""
    router = Router(
        "funding.rules",
        [
            Subscription(COMMANDS, ordered=False, types=topic(COMMANDS).types),
            Subscription(PARTIES, types=topic(PARTIES).types),
            Subscription(PAY_INS, types=topic(PAY_INS).types),
            Subscription(JOURNALS, types=topic(JOURNALS).types, wants=_is_of_a_charge),
        ],
        patient=True,
    )

    _register_commands(router, book, books)
    _register_facts(router, book, books)
    return router


def _register_commands(router: Router, book: RuleBook, books: Books) -> None:
    @router.each(PublishRule)
    async def publish(uow: UnitOfWork, message: Received[PublishRule]) -> None:
        command = message.event
        fact = service.publish(uow, book, command)
        await tell(uow, command, command.rule_id, fact, message.cause)

    @router.each(RetireRule)
    async def retire(uow: UnitOfWork, message: Received[RetireRule]) -> None:
        command = message.event
        await tell(uow, command, command.rule_id, service.retire(uow, command), message.cause)

    @router.each(LintRule)
    async def lint(uow: UnitOfWork, message: Received[LintRule]) -> None:
        command = message.event
        fact = questions.lint(uow, book, command)
        await tell(uow, command, command.lint_id, fact, message.cause)

    @router.each(DryRunRule)
    async def dry_run(uow: UnitOfWork, message: Received[DryRunRule]) -> None:
        command = message.event
        fact = questions.dry_run(uow, book, books, command)
        await tell(uow, command, command.run_id, fact, message.cause)

    @router.each(RegisterOwnerKey)
    async def register(uow: UnitOfWork, message: Received[RegisterOwnerKey]) -> None:
        command = message.event
        fact = owner_keys.register(uow, command)
        await tell(uow, command, command.owner, fact, message.cause)


def _register_facts(router: Router, book: RuleBook, books: Books) -> None:
    @router.fold(PayInAllocated)
    async def allocated(uow: UnitOfWork, messages: Sequence[Received[PayInAllocated]]) -> None:
        await charges.charge(uow, book, books, messages)

    @router.fold(JournalPosted, JournalRejected)
    async def answered(uow: UnitOfWork, messages: Sequence[Received[charges.Answer]]) -> None:
        await charges.settle(uow, books, messages)

    @router.fold(RelationSet)
    async def related(uow: UnitOfWork, messages: Sequence[Received[RelationSet]]) -> None:
        rows: dict[tuple[str, str, str], tuple[str, bool, datetime]] = {}
        for event in (message.event for message in messages):
            key = (event.other, event.relation, event.party)
            # A statement meets a row once: of several facts about it the newest counts.
            if key not in rows or rows[key][2] <= event.occurred_at:
                rows[key] = (event.tenant, event.ended, event.occurred_at)
        await for_every_tenant(uow.conn)
        await directory_store.set_relations(uow.conn, rows)

    @router.fold(GroupMembershipChanged)
    async def joined(uow: UnitOfWork, messages: Sequence[Received[GroupMembershipChanged]]) -> None:
        rows: dict[tuple[str, str], tuple[str, bool, int]] = {}
        for event in (message.event for message in messages):
            key = (event.group, event.party)
            if key not in rows or rows[key][2] < event.version:
                rows[key] = (event.tenant, event.member, event.version)
        await for_every_tenant(uow.conn)
        await directory_store.set_members(uow.conn, rows)
