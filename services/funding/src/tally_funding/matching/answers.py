"""Use case: the ledger answers whether matched money is allocated."""

from collections import defaultdict
from collections.abc import Sequence

from tally_contracts.base import Amount, Why
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.funding_sources import DecideMatch, ExpectationPaid
from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_funding import store as pay_in_store
from tally_funding.answers.refusal import Refusal
from tally_funding.matching import expectation_store, store
from tally_funding.matching.domain import paid_standing
from tally_funding.matching.store import OpenMatch
from tally_funding.service import PAY_IN_TOPIC
from tally_funding.sources.answering import FACTS, refuse
from tally_funding.store import PayIn
from tally_messaging import Received, UnitOfWork
from tally_money import Money
from tally_runtime import get_logger

_LOG = get_logger("tally_funding.matching")
Answer = JournalPosted | JournalReversed | JournalRejected


async def settle_matches(uow: UnitOfWork, messages: Sequence[Received[Answer]]) -> None:
    """Take the ledger's answers: the money is allocated, or stays in suspense with its case."""
    by_match = {m.event.reference: m for m in messages}
    match_ids = sorted(by_match)
    pay_ins = await pay_in_store.lock_pay_ins(uow.conn, await store.pay_ins_of(uow.conn, match_ids))
    matches = await store.lock_matches(uow.conn, match_ids)
    allocated: list[OpenMatch] = []
    ended: dict[str, str] = {}
    for match_id, match in matches.items():
        message = by_match[match_id]
        if isinstance(message.event, JournalRejected):
            ended[match_id] = "refused"
            _tell_refused(uow, match, message.event, message)
        else:
            ended[match_id] = "allocated"
            allocated.append(match)
            _tell_allocated(uow, pay_ins[match.pay_in_id], match, message)
    if ended:
        await store.end_matches(uow.conn, ended, uow.now)
    if allocated:
        await store.allocate(uow.conn, allocated, uow.now)
        await _receive(uow, allocated, pay_ins, by_match)


def _tell_refused(
    uow: UnitOfWork, match: OpenMatch, event: JournalRejected, message: Received[Answer]
) -> None:
    _LOG.error(
        "match_rejected_by_ledger", match_id=match.match_id, ledger_code=event.code, alarm=True
    )
    refusal = Refusal(
        event.code,
        "/beneficiary",
        event.detail,
        "correct what the ledger says, then match the money under another id",
    )
    refuse(uow, DecideMatch.TYPE, match.match_id, match.who, refusal, message)


def _tell_allocated(
    uow: UnitOfWork, pay_in: PayIn, match: OpenMatch, message: Received[Answer]
) -> None:
    unit = pay_in.amount.currency
    fact = PayInAllocated(
        who=pay_in.who,
        where=pay_in.where,
        why=Why(program=match.program, event=pay_in.why.event, reason=pay_in.why.reason),
        occurred_at=uow.now,
        pay_in_id=pay_in.pay_in_id,
        journal_id=match.journal_id,
        source=pay_in.source,
        external_id=pay_in.external_id,
        company=pay_in.company,
        amount=Amount.of(pay_in.amount),
        rule=match.rule,
        allocations=tuple(
            Allocation(
                account=share.account,
                owner=share.owner,
                role=share.role,
                amount=Amount.of(Money(share.minor, unit)),
                pay_out=share.pay_out,
            )
            for share in match.shares
        ),
        kind=pay_in.kind,
    )
    uow.emit(fact, topic=PAY_IN_TOPIC, key=pay_in.pay_in_id, cause=message)


async def _receive(
    uow: UnitOfWork,
    allocated: Sequence[OpenMatch],
    pay_ins: dict[str, PayIn],
    by_match: dict[str, Received[Answer]],
) -> None:
    """Count what expectations have received, and tell paid, part-paid and over-paid apart (F65)."""
    ids = sorted({m.expectation_id for m in allocated if m.expectation_id is not None})
    if not ids:
        return
    expected = await expectation_store.lock_expectations(uow.conn, ids)
    received: dict[str, int] = defaultdict(int)
    for match in allocated:
        if match.expectation_id is None:
            continue
        one = expected[match.expectation_id]
        received[one.expectation_id] += pay_ins[match.pay_in_id].amount.minor
        if one.amount is None:
            continue
        so_far = Money(one.received.minor + received[one.expectation_id], one.unit)
        pay_in = pay_ins[match.pay_in_id]
        fact = ExpectationPaid(
            who=match.who,
            where=pay_in.where,
            why=Why(program=match.program, event=pay_in.why.event, reason=pay_in.why.reason),
            expectation_id=one.expectation_id,
            kind=one.kind,
            reference=one.reference,
            company=one.company,
            expected=Amount.of(one.amount),
            received=Amount.of(so_far),
            standing=paid_standing(one.amount, so_far),
            pay_in_id=match.pay_in_id,
            occurred_at=uow.now,
        )
        uow.emit(fact, topic=FACTS, key=one.expectation_id, cause=by_match[match.match_id])
    await expectation_store.receive(uow.conn, received)
