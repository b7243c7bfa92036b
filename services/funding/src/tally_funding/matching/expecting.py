"""Use cases: money is expected, and money in suspense is looked at again for it."""

from tally_contracts.base import Amount, Where, Why
from tally_contracts.directory_facts import FundingDetailsIssued
from tally_contracts.funding import Beneficiary
from tally_contracts.funding_sources import ExpectPayIn, PayInExpected
from tally_funding.answers.refusal import Refusal
from tally_funding.matching import expectation_store as store
from tally_funding.matching.domain import VIRTUAL_ACCOUNT
from tally_funding.parties import tenants
from tally_funding.postings import OPERATOR
from tally_funding.sources.answering import FACTS, content_digest, read_amount, refuse
from tally_funding.sources.refusal import id_conflict, not_the_company
from tally_messaging import Received, UnitOfWork
from tally_money import Money, UnknownCurrency, currency
from tally_runtime import derived_id


async def take_expectation(uow: UnitOfWork, message: Received[ExpectPayIn]) -> None:
    """Note what money is expected; money in suspense is compared with it soon after."""
    command = message.event
    refusal = await _expect(uow, command)
    if refusal is not None:
        refuse(uow, command.TYPE, command.expectation_id, command.who, refusal, message)
        return
    fact = PayInExpected(
        expectation_id=command.expectation_id,
        kind=command.kind,
        reference=command.reference,
        amount=None if command.amount is None else Amount.of(command.amount.money()),
        currency=command.currency,
        company=command.company,
        beneficiary=command.beneficiary,
        program=command.program,
        who=command.who,
        where=command.where,
        why=command.why,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=FACTS, key=command.expectation_id, cause=message)


async def _expect(uow: UnitOfWork, command: ExpectPayIn) -> Refusal | None:
    amount = _expected_amount(command)
    if isinstance(amount, Refusal):
        return amount
    if command.who.principal not in {command.company, OPERATOR}:
        return not_the_company(command.company)
    digest = content_digest(command)
    known = await store.digest_of(uow.conn, command.expectation_id)
    if known is not None:
        return None if known == digest else id_conflict("/expectation_id")
    taken = await store.taken_by(uow.conn, command)
    if taken is not None:
        return Refusal(
            "reference_taken",
            "/reference",
            f"expectation {taken} has this reference already",
            "give every invoice, order and account a reference of its own",
        )
    tenant = await tenants.hold_one(uow.conn, command.company, uow.now)
    await store.insert_expectation(uow.conn, command, digest, amount, tenant, uow.now)
    return None


def _expected_amount(command: ExpectPayIn) -> Money | Refusal | None:
    try:
        currency(command.currency)
    except UnknownCurrency as error:
        return Refusal(error.code, "/currency", str(error), "give an ISO 4217 currency")
    if command.amount is None:
        return None
    amount = read_amount(command.amount, "/amount")
    if isinstance(amount, Refusal):
        return amount
    if amount.currency.code != command.currency:
        return Refusal(
            "currency_mismatch",
            "/amount/currency",
            f"the expectation is in {command.currency}",
            "give the amount in the currency that is expected",
        )
    return amount


async def take_virtual_account(
    uow: UnitOfWork, program: str, message: Received[FundingDetailsIssued]
) -> None:
    """From now on money that quotes this virtual account is its party's."""
    event = message.event
    command = ExpectPayIn(
        expectation_id=derived_id("exp", event.currency, event.virtual_account),
        kind=VIRTUAL_ACCOUNT,
        reference=event.virtual_account,
        currency=event.currency,
        company=event.tenant,
        beneficiary=Beneficiary(party=event.party_id),
        program=program,
        who=event.who,
        where=Where(channel="directory"),
        why=Why(program=program, event=event.virtual_account, reason=event.reason),
        occurred_at=event.occurred_at,
    )
    if await store.taken_by(uow.conn, command) is None:
        digest = content_digest(command)
        tenant = await tenants.hold_one(uow.conn, command.company, uow.now)
        await store.insert_expectation(uow.conn, command, digest, None, tenant, uow.now)
