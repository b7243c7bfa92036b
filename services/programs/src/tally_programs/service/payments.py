"""Payments: proposed under the policy in force, approved by levels, moved by the ledger."""

from tally_contracts.base import Event, PositiveAmount, Where, Who, Why
from tally_contracts.ledger import JournalPosted, JournalRejected, Leg, PostJournal
from tally_contracts.programs import (
    ApprovePayment,
    Endpoint,
    FeeLine,
    PolicyDocument,
    ProposePayment,
    RejectPayment,
)
from tally_money import Money
from tally_programs.batch import payment_reservation
from tally_programs.domain.budgets import (
    Available,
    BudgetMoved,
    Reservation,
    decide_release,
    decide_reserve,
    decide_use,
    draw,
)
from tally_programs.domain.fees import Fee, fee_of
from tally_programs.domain.payables import SettledBy, Settlement, decide_settle
from tally_programs.domain.payments import (
    Payment,
    PaymentState,
    Reserved,
    decide_approve,
    decide_posted,
    decide_refused,
    decide_reject,
    proposed,
)
from tally_programs.domain.periods import in_force
from tally_programs.domain.policy import Policy, Request, approvals_needed, evaluate, options
from tally_programs.domain.program import Document, DocumentKind, Program
from tally_programs.domain.refusal import Refusal
from tally_programs.service.desk import Desk, Outcome, not_permitted, taken
from tally_programs.store.payments import StoredPayment
from tally_programs.wire import (
    Fields,
    fee_lines_from,
    payable_changed,
    payment_changed,
    policy_from,
)
from tally_runtime import derived_id

_CODE = "program_payment"
_FEE = "program_fee"
_DRAWS_MAX = 64


def propose_payment(desk: Desk, command: ProposePayment) -> Outcome:
    """Check policy and fee, set the money aside in the holder's budgets, wait for approvals."""
    program = desk.program(command)
    if isinstance(program, Refusal):
        return program
    refusal = not_permitted(
        command.who, command.holder, program.company, program.tenant
    ) or _payable_wrong(desk, program, command)
    if refusal is not None:
        return refusal
    if desk.batch.payments.get(command.payment_id) is not None:
        return taken("/payment_id", "another payment")
    policy = _policy(desk, program)
    if isinstance(policy, Refusal):
        return policy
    amount = command.amount.money()
    request = Request(command.rail, amount, command.where.country, kind=command.kind)
    closed = _closed(policy, request)
    if closed is not None:
        return closed
    fees_version, fee = _fee(desk, program, command.rail, amount)
    if isinstance(fee, Refusal):
        return fee
    drawn = _draws(desk, program, command, amount + fee.payer)
    if isinstance(drawn, Refusal):
        return drawn
    payment = proposed(
        Payment(
            id=command.payment_id,
            tenant=command.tenant,
            program_id=program.id,
            holder=command.holder,
            payee=command.payee,
            amount=amount,
            rail=command.rail,
            kind=command.kind,
            payable_id=command.payable_id,
            policy_version=policy.version,
            fees_version=fees_version,
            fee=fee,
            draws=tuple(
                Reserved(reservation.budget_id, reservation.id, moved.budget.wallet, moved.amount)
                for moved, reservation in drawn
            ),
            approvals_needed=approvals_needed(policy, amount),
            proposed_by=command.who.actor,
        )
    )
    fields = desk.money_fields(command)
    stored = StoredPayment(
        payment,
        {
            "where": command.where.model_dump(mode="json"),
            "why": command.why.model_dump(mode="json"),
        },
    )
    facts = _told(desk, stored, fields)
    for moved, reservation in drawn:
        facts += desk.keep(fields, moved, reservation=reservation)
    return facts


def approve_payment(desk: Desk, command: ApprovePayment) -> Outcome:
    stored = _found(desk, command)
    if isinstance(stored, Refusal):
        return stored
    decided = decide_approve(stored.payment, command.who.actor)
    if isinstance(decided, Refusal):
        return decided
    after = StoredPayment(decided, stored.circumstances)
    return _told(desk, after, _fields(desk, after, command.who))


def reject_payment(desk: Desk, command: RejectPayment) -> Outcome:
    """Call a payment off; what was set aside for it is free again."""
    stored = _found(desk, command)
    if isinstance(stored, Refusal):
        return stored
    decided = decide_reject(stored.payment)
    if isinstance(decided, Refusal):
        return decided
    after = StoredPayment(decided, stored.circumstances)
    fields = _fields(desk, after, command.who)
    return _told(desk, after, fields) + _given_back(desk, decided, fields)


def journal_answered(desk: Desk, event: JournalPosted | JournalRejected) -> list[Event]:
    """The ledger has moved an approved payment's money, or says why not."""
    stored = desk.batch.payments.get(event.reference)
    if stored is None or journal_id_of(stored.payment) != event.journal_id:
        return []  # the journal of another service: the topic is shared
    payment = stored.payment
    posted = isinstance(event, JournalPosted)
    decided = decide_posted(payment) if posted else None
    if isinstance(event, JournalRejected):
        decided = decide_refused(payment, event.code)
    if decided is None:
        return []
    after = StoredPayment(decided, stored.circumstances)
    fields = _fields(desk, after, event.who)
    facts = _told(desk, after, fields)
    if not posted:
        return facts + _given_back(desk, decided, fields)
    for part in decided.draws:
        budget, reservation = desk.batch.drawn(part)
        used = decide_use(budget, reservation, part.amount, payment.id)
        assert not isinstance(used, Refusal), f"{payment.id} has set aside what it uses"
        facts += desk.keep(fields, used[0], reservation=used[1])
    return facts + _settled(desk, decided, fields)


def journal_id_of(payment: Payment) -> str:
    """The one journal of a payment."""
    return derived_id("jrn", payment.id)


def _fields(desk: Desk, stored: StoredPayment, who: Who) -> Fields:
    """What facts about a payment repeat: its where and why stay those it was proposed with."""
    return {
        "tenant": stored.payment.tenant,
        "program_id": stored.payment.program_id,
        "who": who,
        "occurred_at": desk.now,
        "where": Where.model_validate(stored.circumstances["where"]),
        "why": Why.model_validate(stored.circumstances["why"]),
    }


def _found(desk: Desk, command: ApprovePayment | RejectPayment) -> StoredPayment | Refusal:
    program = desk.managed(command)
    if isinstance(program, Refusal):
        return program
    stored = desk.batch.payments.get(command.payment_id)
    if stored is None or stored.payment.program_id != program.id:
        detail = f"the program has no payment {command.payment_id}"
        return Refusal("payment_unknown", "/payment_id", detail, "name a payment of the program")
    return stored


def _payable_wrong(desk: Desk, program: Program, command: ProposePayment) -> Refusal | None:
    if command.payable_id is None:
        return None
    payable = desk.batch.payables.get(command.payable_id)
    if payable is None or payable.program_id != program.id or payable.cancelled:
        return Refusal(
            "payable_unknown",
            "/payable_id",
            f"the program owes nothing for {command.payable_id}",
            "register the payable first, or leave it out",
        )
    if payable.payee != command.payee:
        detail = f"{payable.payee} is to be paid for it"
        return Refusal("payee_mismatch", "/payee", detail, "pay the payee of the payable")
    return None


def _policy(desk: Desk, program: Program) -> Policy | Refusal:
    document = _in_force(desk, program, DocumentKind.POLICY)
    if document is None:
        return Refusal(
            "policy_missing",
            "/program_id",
            "the program has no policy in force",
            "publish one first",
        )
    policy = policy_from(
        PolicyDocument.model_validate(document.body["policy"]),
        document.period.version,
        [Endpoint.model_validate(endpoint) for endpoint in document.body["endpoints"]],
    )
    assert not isinstance(policy, Refusal), "a policy that was kept was read before"
    return policy


def _closed(policy: Policy, request: Request) -> Refusal | None:
    """Why the policy closes the rail, with the rails it leaves open (F39, F42)."""
    reasons = evaluate(policy, request)
    if not reasons:
        return None
    still_open = [rail for rail, closed in options(policy, request).items() if not closed]
    first = reasons[0]
    return Refusal(
        first.code,
        "/rail",
        f"policy version {first.policy_version} closes {request.rail} to this payment",
        f"{first.remedy}; open to it: {', '.join(still_open) or 'none'}",
    )


def _fee(
    desk: Desk, program: Program, rail: str, amount: Money
) -> tuple[int | None, Fee | Refusal]:
    document = _in_force(desk, program, DocumentKind.FEES)
    if document is None:
        return None, fee_of((), rail, amount)
    lines = fee_lines_from([FeeLine.model_validate(line) for line in document.body["lines"]])
    assert not isinstance(lines, Refusal), "a schedule that was kept was read before"
    return document.period.version, fee_of(lines, rail, amount)


def _in_force(desk: Desk, program: Program, kind: DocumentKind) -> Document | None:
    documents = desk.batch.versions(program.id, kind)
    period = in_force([document.period for document in documents], desk.now)
    return next((document for document in documents if document.period == period), None)


def _draws(
    desk: Desk, program: Program, command: ProposePayment, amount: Money
) -> list[tuple[BudgetMoved, Reservation]] | Refusal:
    """Set the amount aside in the holder's budgets, wallet by wallet in the program's order (F60)."""
    orders = desk.batch.versions(program.id, DocumentKind.FUNDING_ORDER)
    wallets = [wallet["account"] for wallet in orders[-1].body["wallets"]] if orders else []
    sources = [
        Available(budget.id, budget.wallet, budget.left)
        for wallet in wallets
        for budget in desk.batch.budgets_of(program.id, command.holder)
        if budget.wallet == wallet
    ]
    draws, missing = draw(amount, sources)
    if missing:
        return Refusal(
            "budget_exceeded",
            "/amount",
            f"{missing} of {amount}, fee included, is in no budget of {command.holder}",
            "have a budget in this currency raised first",
        )
    if len(draws) > _DRAWS_MAX:
        return Refusal(
            "too_many_draws",
            "/amount",
            f"the amount is spread over {len(draws)} budgets of {command.holder}",
            f"pay in parts, each out of at most {_DRAWS_MAX} budgets",
        )
    kept = []
    for part in draws:
        budget = desk.batch.budgets.get(part.budget_id)
        assert budget is not None, "draws are from loaded budgets"
        reservation_id = payment_reservation(command.payment_id, budget.id)
        if desk.batch.reservations.get(reservation_id) is not None:
            return taken("/payment_id", "a reservation of this payment")
        decided = decide_reserve(
            budget, reservation_id, part.amount, command.payment_id, bound=True
        )
        if isinstance(decided, Refusal):
            return decided
        kept.append(decided)
    return kept


def _told(desk: Desk, stored: StoredPayment, fields: Fields) -> list[Event]:
    """Keep a payment and tell of it; one just approved asks the ledger to move the money."""
    payment = stored.payment
    desk.batch.payments.put(payment.id, stored)
    sent = payment.state in {PaymentState.APPROVED, PaymentState.PAID, PaymentState.FAILED}
    journal_id = journal_id_of(payment) if sent else None
    facts: list[Event] = [payment_changed(payment, journal_id, fields)]
    if payment.state is PaymentState.APPROVED:
        facts.append(_journal(desk, payment, fields))
    return facts


def _journal(desk: Desk, payment: Payment, fields: Fields) -> PostJournal:
    """One leg per wallet and receiver: the payee gets the amount less their fee, the tenant the fee."""
    code = payment.amount.currency.code
    payee = desk.books.account("wallet", payment.payee, code)
    fees = desk.books.account("fee", payment.tenant, code)
    journal_id = journal_id_of(payment)
    to_payee, legs = payment.amount - payment.fee.payee, []
    for part in payment.draws:
        first = min(to_payee, part.amount)
        to_payee -= first
        for credit, amount, why in ((payee, first, _CODE), (fees, part.amount - first, _FEE)):
            if amount:
                legs.append(
                    Leg(
                        id=derived_id("trf", journal_id, part.budget_id, credit.id),
                        debit=part.wallet,
                        credit=credit.id,
                        amount=PositiveAmount.of(amount),
                        code=why,
                    )
                )
    credited = {leg.credit for leg in legs}
    return PostJournal(
        journal_id=journal_id,
        ledger=desk.books.ledger,
        reference=payment.id,
        open_accounts=tuple(account for account in (payee, fees) if account.id in credited),
        legs=tuple(legs),
        effective_at=desk.now,
        who=fields["who"],
        where=fields["where"],
        why=fields["why"],
        occurred_at=desk.now,
    )


def _given_back(desk: Desk, payment: Payment, fields: Fields) -> list[Event]:
    facts: list[Event] = []
    for part in payment.draws:
        budget, reservation = desk.batch.drawn(part)
        released = decide_release(budget, reservation, payment.id)
        if not isinstance(released, Refusal):
            facts += desk.keep(fields, released[0], reservation=released[1])
    return facts


def _settled(desk: Desk, payment: Payment, fields: Fields) -> list[Event]:
    """A payment counts for its payable where payments settle that."""
    payable = None if payment.payable_id is None else desk.batch.payables.get(payment.payable_id)
    if payable is None:
        return []
    money = Settlement(
        payable.id,
        payment.id,
        payable.tenant,
        SettledBy.PAYMENT,
        payable.payer,
        payment.amount,
        1,
    )
    after = decide_settle(payable, desk.batch.settlements.get((payable.id, payment.id)), money)
    if isinstance(after, str):
        return []
    desk.batch.settlements.put((payable.id, payment.id), money)
    desk.batch.payables.put(after.id, after)
    return [payable_changed(after, payment.id, fields)]
