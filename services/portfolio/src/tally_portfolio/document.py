"""Payments and time lines as documents for programs: only objects, lists, strings and whole numbers."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tally_money import Money
from tally_portfolio.domain.projection import Account, PayIn, Payout, SetAside
from tally_portfolio.domain.time_line import Flow, Payment, Step, TimeLine, Waiting

Document = dict[str, object]

_FIVE_WS = (
    ("who", ("actor", "principal")),
    ("where", ("channel", "country")),
    ("why", ("program", "event", "reason")),
)
_WS = frozenset(name for name, _ in _FIVE_WS)


def payment_document(payment: Payment) -> Document:
    """A payment without its hops."""
    return payment_outline(payment) | {
        "pay_in": None if payment.pay_in is None else _pay_in(payment.pay_in),
        "payouts": [_payout(payout) for payout in payment.payouts],
        "money": money_document(payment),
    }


def payment_outline(payment: Payment) -> Document:
    """Where a payment stands, without what it consists of."""
    return {
        "payment_id": payment.payment_id,
        "correlation_id": payment.correlation_id,
        "complete": payment.complete,
        "allocated": payment.allocated,
        "payouts_ended": payment.payouts_ended,
        "waiting": [_waiting(waiting) for waiting in payment.waiting()],
    }


def money_document(payment: Payment) -> list[Document]:
    """Where the money of a payment is, by currency."""
    return [_flow(flow) for flow in payment.flows()]


def time_line_document(line: TimeLine) -> Document:
    """A payment with every hop; `since_first_ms` counts from the first hop."""
    return payment_document(line.payment) | hops_document(line)


def hops_document(line: TimeLine) -> Document:
    """What a time line has beside the payment."""
    return {
        "hops": [_hop(step) for step in line.steps],
        "truncated": line.truncated,
        "accounts": {account_id: _account(known) for account_id, known in line.accounts.items()},
        "set_aside": [_set_aside(record) for record in line.set_aside],
    }


def _hop(step: Step) -> Document:
    hop = step.hop
    return {
        "event_id": hop.event_id,
        "at": _time(hop.recorded_at),
        "since_first_ms": step.since_first // timedelta(milliseconds=1),
        "service": hop.service,
        "type": hop.event_type,
        "topic": hop.topic,
        "subject": hop.subject,
        "caused_by": step.cause,
        "occurred_at": _time(hop.occurred_at),
        **{name: _named(hop.summary.get(name), parts) for name, parts in _FIVE_WS},
        "what": {name: value for name, value in hop.summary.items() if name not in _WS},
    }


def _named(values: object, names: tuple[str, ...]) -> Document | None:
    return dict(zip(names, values, strict=True)) if isinstance(values, list) else None


def _pay_in(pay_in: PayIn) -> Document:
    return {
        "pay_in_id": pay_in.pay_in_id,
        "source": pay_in.source,
        "external_id": pay_in.external_id,
        "company": pay_in.company,
        "owner": pay_in.owner,
        **_money(pay_in.amount),
        "state": pay_in.standing,
        "returned": _decimal(pay_in.returned),
        "reason_code": pay_in.reason_code,
        "remedy": pay_in.remedy,
        "received_at": _time(pay_in.received_at),
        "changed_at": _time(pay_in.last_at),
    }


def _payout(payout: Payout) -> Document:
    return {
        "payout_id": payout.payout_id,
        "owner": payout.owner,
        "company": payout.company,
        "account": payout.account,
        **_money(payout.amount),
        "sequence": payout.sequence,
        "state": payout.state,
        "rail": payout.rail,
        "reason_code": payout.reason_code,
        "must_act": payout.must_act,
        "changed_at": _time(payout.changed_at),
    }


def _flow(flow: Flow) -> Document:
    return {
        "currency": flow.paid_out.currency.code,
        "received": _decimal(flow.received),
        "paid_out": _decimal(flow.paid_out),
        "under_way": _decimal(flow.under_way),
        "resting": _decimal(flow.resting),
        "returned": _decimal(flow.returned),
    }


def _waiting(waiting: Waiting) -> Document:
    return {
        "subject": waiting.subject,
        "state": waiting.state,
        "since": _time(waiting.since),
        "reason_code": waiting.reason_code,
        "must_act": waiting.must_act,
        "remedy": waiting.remedy,
    }


def _account(account: Account) -> Document:
    return {
        "path": account.path,
        "owner": account.owner,
        "purpose": account.purpose,
        "currency": account.currency,
        "ledger": account.ledger,
    }


def _set_aside(record: SetAside) -> Document:
    return {
        "consumer": record.consumer,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "code": record.code,
        "detail": record.detail,
        "occurred_at": _time(record.occurred_at),
    }


def _money(amount: Money) -> Mapping[str, object]:
    return {"currency": amount.currency.code, "amount": _decimal(amount)}


def _decimal(amount: Money | None) -> str | None:
    # Not the wire form: a difference that went wrong is shown, sign and all.
    return None if amount is None else str(amount).partition(" ")[0]


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
