"""Use case: a card processor tells of a payment, again and again, in any order."""

import base64
import binascii
from collections.abc import Mapping

from tally_contracts.base import Amount, AskedAmount, PositiveAmount, Where, Who, Why
from tally_contracts.funding import Beneficiary, FundingReceived, Originator
from tally_contracts.funding_sources import (
    PayInFailed,
    PayInPending,
    ReceiveWebhook,
    ReturnPayIn,
    WebhookReceived,
)
from tally_funding import store as pay_in_store
from tally_funding.answers.refusal import Refusal
from tally_funding.parties import tenants
from tally_funding.refunds.service import ask_return
from tally_funding.refunds.store import under_way, want_reinstated
from tally_funding.service import Announcement, Funding, book
from tally_funding.sources import card_store as store
from tally_funding.sources.answering import FACTS, refuse
from tally_funding.sources.card_store import Whose
from tally_funding.sources.cards import (
    CHANNEL,
    CardPayment,
    MoneyBack,
    Standing,
    WantedReturn,
    fold,
    wanted_returns,
    won_disputes,
)
from tally_funding.sources.failed_refunds import undo_failed
from tally_funding.sources.stripe import StripeEvent, read_event
from tally_funding.statements.credits import UNMATCHED_PROGRAM, printable
from tally_funding.store import NewCase
from tally_messaging import Received, UnitOfWork
from tally_money import Money
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.webhooks")


async def take_webhook(
    uow: UnitOfWork, funding: Funding, message: Received[ReceiveWebhook]
) -> None:
    """Apply what a webhook says once, whenever it comes; every one is answered."""
    command = message.event
    event = _read(command.content)
    if isinstance(event, Refusal):
        refuse(uow, command.TYPE, command.webhook_id, command.who, event, message)
        return
    pay_in_id = None
    if event.payment is not None:
        pay_in_id = funding.books.pay_in_id(command.source, event.payment)
    outcome = "ignored" if event.says is None else "applied"
    company = command.who.principal
    whose = Whose(company, await tenants.hold_one(uow.conn, company, uow.now))
    known = await store.note_event(
        uow.conn, command.source, event, outcome, pay_in_id, whose, uow.now
    )
    if known is None and event.says is not None:
        await _apply(uow, funding, message, event, whose)
    elif known is not None:
        outcome = "known"
        if known.digest != event.digest:
            refusal = Refusal(
                "event_conflict",
                "/content",
                f"event {event.event_id} came before and said something else; the first stands",
                "see what the processor shows of the event",
            )
            refuse(uow, command.TYPE, command.webhook_id, command.who, refusal, message)
            return
    answer = WebhookReceived(
        webhook_id=command.webhook_id,
        source=command.source,
        provider_event=event.event_id,
        event_type=event.event_type,
        outcome=outcome,
        pay_in_id=pay_in_id,
        who=command.who,
        occurred_at=uow.now,
    )
    uow.emit(answer, topic=FACTS, key=pay_in_id or command.webhook_id, cause=message)


def _read(content: str) -> StripeEvent | Refusal:
    try:
        body = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        return Refusal("content_base64", "/content", str(error), "encode the body in base64")
    return read_event(body)


async def _apply(
    uow: UnitOfWork,
    funding: Funding,
    message: Received[ReceiveWebhook],
    event: StripeEvent,
    whose: Whose,
) -> None:
    command = message.event
    assert event.payment is not None, "what moves money is about a payment"
    assert event.says is not None, "what says nothing is not applied"
    pay_in_id = funding.books.pay_in_id(command.source, event.payment)
    kept = await store.lock_payment(
        uow.conn, pay_in_id, command.source, event.payment, whose, uow.now
    )
    before, after = kept.payment, fold(kept.payment, event.says)
    await store.save_payment(uow.conn, pay_in_id, after, uow.now)
    who = Who(actor=command.who.actor, principal=kept.company)
    received = _announcement(event, after, who)
    if after.standing is not before.standing:
        if received is not None:
            announced = Announcement(command.source, received, message.cause)
            await book(uow, funding, [announced])
        else:
            _tell_standing(uow, pay_in_id, before, after, event, message)
    for wanted in wanted_returns(before, after):
        await _ask_return(uow, funding, pay_in_id, wanted, event, who, message)
    for dispute in won_disputes(before, after):
        return_id = derived_id("ret", pay_in_id, f"dispute:{dispute}")
        await want_reinstated(uow.conn, return_id, uow.now)
    if after.standing is Standing.RECEIVED and after.failed_refunds:
        await undo_failed(uow, pay_in_id, after)


def _announcement(event: StripeEvent, payment: CardPayment, who: Who) -> FundingReceived | None:
    """The payment in the one shape all money comes in; None as long as it is not here."""
    if payment.standing is not Standing.RECEIVED:
        return None
    assert payment.amount is not None, "money that is here has an amount"
    assert event.payment is not None, "money is of a payment"
    return FundingReceived(
        who=who,
        where=Where(channel=CHANNEL, country=event.country),
        why=_why(event),
        occurred_at=event.created,
        external_id=event.payment,
        amount=PositiveAmount.of(payment.amount),
        originator=Originator(reference=event.customer or event.payment, country=event.country),
        company=who.principal,
        beneficiary=_beneficiary(event.metadata),
        value_date=event.created.date(),
    )


def _why(event: StripeEvent) -> Why:
    """What the payment's metadata says; money without a reason is kept in suspense, not refused."""
    said = event.metadata
    payment = event.payment or event.event_id
    plain = Why(program=UNMATCHED_PROGRAM, event=payment, reason=f"Card payment {payment}")
    if "tally_program" not in said:
        return plain
    try:
        return Why(
            program=said["tally_program"],
            event=said.get("tally_event", payment),
            reason=printable(said.get("tally_reason", plain.reason)),
        )
    except ValueError:
        _LOG.warning("card_metadata_unusable", payment=payment)
        return plain


def _beneficiary(said: Mapping[str, str]) -> Beneficiary | None:
    try:
        return Beneficiary(
            party=said.get("tally_party"),
            contact=said.get("tally_contact"),
            event_reference=said.get("tally_event_reference"),
        )
    except ValueError:
        return None


def _tell_standing(  # noqa: PLR0917 - a fact, field by field
    uow: UnitOfWork,
    pay_in_id: str,
    before: CardPayment,
    after: CardPayment,
    event: StripeEvent,
    message: Received[ReceiveWebhook],
) -> None:
    """Money to come, or no more to come: who heard of the first hears of the second."""
    command = message.event
    assert after.amount is not None, "what is pending or failed has an amount"
    assert event.payment is not None, "money is of a payment"
    named = {
        "who": command.who,
        "where": Where(channel=CHANNEL, country=event.country),
        "why": _why(event),
        "occurred_at": uow.now,
        "pay_in_id": pay_in_id,
        "source": command.source,
        "external_id": event.payment,
        "amount": Amount.of(after.amount),
        "company": command.who.principal,
    }
    if after.standing is Standing.PENDING:
        fact = PayInPending.model_validate(named)
        uow.emit(fact, topic=FACTS, key=pay_in_id, cause=message)
    elif after.standing is Standing.FAILED and before.standing is Standing.PENDING:
        failed = PayInFailed.model_validate({**named, "code": event.failure or "failed"})
        uow.emit(failed, topic=FACTS, key=pay_in_id, cause=message)


async def _ask_return(  # noqa: PLR0917 - one return's parts, handed on
    uow: UnitOfWork,
    funding: Funding,
    pay_in_id: str,
    wanted: WantedReturn,
    event: StripeEvent,
    who: Who,
    message: Received[ReceiveWebhook],
) -> None:
    """The processor has moved the money already: what cannot be booked is a case for a person."""
    amount = wanted.amount
    if amount is None:
        amount = await _left(uow, pay_in_id)
        if not amount:
            return
    command = ReturnPayIn(
        who=who,
        where=Where(channel=CHANNEL, country=event.country),
        why=_why(event),
        occurred_at=uow.now,
        return_id=derived_id("ret", pay_in_id, wanted.name),
        pay_in_id=pay_in_id,
        kind="refund" if wanted.why is MoneyBack.REFUND else "chargeback",
        amount=AskedAmount.of(amount),
    )
    refusal = await ask_return(uow, funding.books, command, message.cause)
    if refusal is None:
        return
    _LOG.error("card_return_refused", pay_in_id=pay_in_id, code=refusal.code, alarm=True)
    case = NewCase(
        derived_id("case", pay_in_id, wanted.name),
        pay_in_id,
        "card_return_refused",
        f"the processor has given back {amount} ({wanted.why.value}), which could not be booked "
        f"with {refusal.code}: compare its books with the pay-in, then return it by hand",
        refusal.detail,
    )
    await pay_in_store.insert_cases(uow.conn, [case], uow.now)


async def _left(uow: UnitOfWork, pay_in_id: str) -> Money:
    pay_in = (await pay_in_store.lock_pay_ins(uow.conn, [pay_in_id]))[pay_in_id]
    return pay_in.amount - await under_way(uow.conn, pay_in_id, pay_in.amount.currency)
