"""Use cases: a rule's charges are asked of the ledger once its pay-in is allocated, and answered."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from tally_contracts.base import Amount
from tally_contracts.funding import PayInAllocated
from tally_contracts.funding_rules import ChargeRefused, ChargeTaken
from tally_contracts.ledger import JournalPosted, JournalRejected
from tally_funding.answers.store import for_every_tenant
from tally_funding.domain import Suspense
from tally_funding.postings import Books
from tally_funding.rules import charge_store, store
from tally_funding.rules.book import Asked, RuleBook, inform, with_kept
from tally_funding.rules.charge_postings import LEDGER_TOPIC, charge_journal
from tally_funding.rules.charge_returns import return_charges
from tally_funding.rules.charge_store import Charge
from tally_funding.rules.choose import Compiled
from tally_funding.rules.divide import compile_claim
from tally_funding.rules.match import Facts
from tally_funding.rules.owners import Owners, owners_of, shared
from tally_funding.rules.refusals import TOPIC
from tally_funding.rules.store import PastPayIn
from tally_funding.statements.credits import printable
from tally_messaging import Received, UnitOfWork
from tally_money import Money, currency
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.rules")
PREFIX: Final = "chg_"
"""Of charge ids, by which the ledger's answers to charges are told apart."""

Answer: TypeAlias = JournalPosted | JournalRejected
Planned: TypeAlias = tuple[Charge, Suspense | None]
"""A charge, and why nobody can be paid by it if so."""


async def charge(
    uow: UnitOfWork, book: RuleBook, books: Books, messages: Sequence[Received[PayInAllocated]]
) -> None:
    """Ask the ledger for the charges of these pay-ins' rules; each charge once, however often told.

    What the directory said when the pay-in was divided holds for its charges too.
    """
    rules = await book.in_force(uow.conn)
    charging = [
        (message, compiled)
        for message in messages
        if (compiled := rules.labelled.get(message.event.rule)) is not None
        and compiled.rule.charges
    ]
    if not charging:
        return
    known = await store.past_pay_ins(uow.conn, [m.event.pay_in_id for m, _ in charging])
    pay_ins = [known[message.event.pay_in_id] for message, _ in charging]
    asked = [Asked(pay_in.facts, pay_in.beneficiary) for pay_in in pay_ins]
    informed = await inform(uow.conn, rules, asked)
    # By id: a fact may come twice in one batch.
    planned: dict[str, tuple[Planned, Received[PayInAllocated]]] = {
        one[0].charge_id: (one, message)
        for (message, compiled), pay_in, facts in zip(charging, pay_ins, informed, strict=True)
        for one in _plan(compiled, pay_in, with_kept(facts, pay_in.rule_facts), message.event)
    }
    if not planned:
        return
    new = await charge_store.insert(
        uow.conn,
        [(one, None if why is None else why.reason.value) for (one, why), _ in planned.values()],
        uow.now,
    )
    for charge_id, ((one, why), message) in planned.items():
        if charge_id not in new:
            continue
        if why is None:
            uow.emit(
                charge_journal(books, one, uow.now),
                topic=LEDGER_TOPIC,
                key=books.ledger,
                cause=message,
            )
        else:
            _refuse(uow, one, (why.reason.value, "nobody can be paid", why.remedy), message)


def _plan(
    compiled: Compiled, pay_in: PastPayIn, facts: Facts, event: PayInAllocated
) -> Iterator[Planned]:
    rule = compiled.rule
    unit = currency(facts.code)
    for number, asked in enumerate(rule.charges):
        minor = compile_claim(asked.line, rule.rounding, facts.code)(facts.minor)
        owners = owners_of(asked.line, facts, pay_in.beneficiary)
        named: Owners = (asked.payer,) if isinstance(owners, Suspense) else owners
        for position, (owner, part) in enumerate(shared(named, Money(minor, unit))):
            if part:
                charge_id = derived_id("chg", pay_in.pay_in_id, str(number), str(position))
                one = Charge(
                    charge_id=charge_id,
                    pay_in_id=pay_in.pay_in_id,
                    tenant=facts.tenant or rule.scope,
                    rule=rule.label,
                    payer=asked.payer,
                    owner=owner,
                    amount=part,
                    journal_id=derived_id("jrn", charge_id),
                    who=event.who,
                    where=event.where,
                    why=event.why,
                    on_refund=asked.on_refund.value,
                    returns=None,
                )
                yield one, owners if isinstance(owners, Suspense) else None


async def settle(uow: UnitOfWork, books: Books, messages: Sequence[Received[Answer]]) -> None:
    """Take the ledger's answers to charges; one that comes again changes nothing."""
    await for_every_tenant(uow.conn)
    waiting = await charge_store.lock_asked(
        uow.conn, sorted({message.event.reference for message in messages})
    )
    codes: dict[str, str | None] = {}
    for message in messages:
        event = message.event
        one = waiting.get(event.reference)
        if one is None or one.journal_id != event.journal_id or one.charge_id in codes:
            continue
        if isinstance(event, JournalPosted):
            codes[one.charge_id] = None
            _take(uow, books, one, message)
        else:
            codes[one.charge_id] = event.code
            remedy = "let the payer fund the wallet, or retire the rule; it is not charged again"
            _refuse(uow, one, (event.code, event.detail, remedy), message)
    if codes:
        await charge_store.answer(uow.conn, codes, uow.now)
    by_reference = {message.event.reference: message for message in messages}
    # What was returned while the ledger had not answered.
    again = {
        waiting[charge_id].pay_in_id: by_reference[charge_id]
        for charge_id, code in codes.items()
        if code is None and waiting[charge_id].on_refund == "return"
    }
    if again:
        await return_charges(uow, books, again)


def _take(uow: UnitOfWork, books: Books, one: Charge, message: Received[Answer]) -> None:
    code = one.amount.currency.code
    fact = ChargeTaken(
        who=one.who,
        where=one.where,
        why=one.why,
        occurred_at=uow.now,
        charge_id=one.charge_id,
        pay_in_id=one.pay_in_id,
        rule=one.rule,
        tenant=one.tenant,
        payer=one.payer,
        owner=one.owner,
        amount=Amount.of(one.amount),
        journal_id=one.journal_id,
        debit=books.wallet(one.payer, code).id,
        credit=books.wallet(one.owner, code).id,
        returns=one.returns,
    )
    uow.emit(fact, topic=TOPIC, key=one.pay_in_id, cause=message)


def _refuse(
    uow: UnitOfWork,
    one: Charge,
    reason: tuple[str, str, str],
    message: Received[Answer] | Received[PayInAllocated],
) -> None:
    code, detail, remedy = reason
    _LOG.warning("rule_charge_refused", charge_id=one.charge_id, code=code)
    fact = ChargeRefused(
        who=one.who,
        where=one.where,
        why=one.why,
        occurred_at=uow.now,
        charge_id=one.charge_id,
        pay_in_id=one.pay_in_id,
        rule=one.rule,
        tenant=one.tenant,
        payer=one.payer,
        owner=one.owner,
        amount=Amount.of(one.amount),
        code=code,
        detail=printable(detail),
        remedy=printable(remedy),
        returns=one.returns,
    )
    uow.emit(fact, topic=TOPIC, key=one.pay_in_id, cause=message)
