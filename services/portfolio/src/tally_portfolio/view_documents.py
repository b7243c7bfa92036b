"""Rows as documents for viewers; what a persona does not see is taken out by `redact`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tally_money import Money
from tally_portfolio.document import hops_document, money_document, payment_outline
from tally_portfolio.domain.books import Movement, Sums, shown
from tally_portfolio.domain.projection import PayIn, Payout
from tally_portfolio.domain.redaction import Document, redact
from tally_portfolio.domain.sharing import Insight, Share
from tally_portfolio.domain.statement import time, words
from tally_portfolio.domain.time_line import FAILED, Payment, TimeLine
from tally_postgres import Record


def wallet_document(row: Record) -> Document:
    """A wallet with what is on it, what is reserved of that, and what is free."""
    currency, posted, held = row["currency"], row["posted"], row["held"]
    return {
        "wallet_id": row["wallet_id"] or row["account"],
        "account": row["account"],
        "owner": row["owner"],
        "alias": row["alias"],
        "currency": currency,
        "purpose": row["purpose"],
        "reference": row["reference"],
        "company": row["company"],
        "value_kind": row["value_kind"],
        "opened_at": time(row["opened_at"]),
        "ledger": row["ledger"],
        "path": row["path"],
        "posted": shown(posted, currency),
        "held": shown(held, currency),
        "available": shown(posted - held, currency),
    }


def movement_document(
    movement: Movement,
    balance: tuple[int, int],
    counterparties: Mapping[str, tuple[str, str | None]],
) -> Document:
    """A movement; `balance` is posted and held after it."""
    posted, held = balance
    known = counterparties.get(movement.counter or "")
    currency = movement.currency
    return {
        "at": time(movement.at),
        "effective_at": time(movement.effective_at),
        "kind": movement.kind,
        "code": movement.code,
        "transfer_id": movement.transfer_id,
        "journal": movement.journal,
        "log_seq": movement.log_seq,
        "ledger": movement.ledger,
        "reference": movement.reference,
        "posted": shown(movement.posted, currency),
        "held": shown(movement.held, currency),
        "balance": shown(posted, currency),
        "balance_held": shown(held, currency),
        "counterparty": None if known is None else {"purpose": known[0], "alias": known[1]},
        "counter_account": movement.counter,
        "brought": movement.brought,
        **words(movement.five_ws),
    }


def pay_in_document(pay_in: PayIn, insight: Insight) -> Document:
    """A pay-in; how much and for whom only where all of it is seen."""
    document: Document = {
        "pay_in_id": pay_in.pay_in_id,
        "source": pay_in.source,
        "external_id": pay_in.external_id,
        "company": pay_in.company,
        "state": pay_in.standing,
        "reason_code": pay_in.reason_code,
        "remedy": pay_in.remedy,
        "received_at": _time(pay_in.received_at),
        "changed_at": _time(pay_in.last_at),
    }
    if insight.whole(pay_in):
        document["amount"] = _money(pay_in.amount)
        document["returned"] = None if pay_in.returned is None else _money(pay_in.returned)
    if insight.whole(pay_in) or insight.sees(pay_in.owner):
        document["owner"] = pay_in.owner
    return document


def payout_document(payout: Payout) -> Document:
    """A payout as its last change left it."""
    return {
        "payout_id": payout.payout_id,
        "pay_in_id": payout.pay_in_id,
        "owner": payout.owner,
        "company": payout.company,
        "account": payout.account,
        "amount": _money(payout.amount),
        "sequence": payout.sequence,
        "state": payout.state,
        "rail": payout.rail,
        "reason_code": payout.reason_code,
        "must_act": payout.must_act,
        "changed_at": _time(payout.changed_at),
    }


def payment_view(payment: Payment, insight: Insight, persona: str) -> Document:
    """A payment as `Insight.of_payment` left it, without its hops."""
    return _payment(payment_outline(payment), payment, insight, persona)


def time_line_view(
    line: TimeLine, shares: Sequence[Share], insight: Insight, persona: str
) -> Document:
    """A payment with its hops as `Insight.of_line` left it, and those of its shares that are seen."""
    document = payment_outline(line.payment) | hops_document(line)
    hops = document["hops"]
    assert isinstance(hops, list), "a time line has hops"
    document["hops"] = [redact("hop", persona, _hop(hop)) for hop in hops]
    document["shares"] = [redact("share", persona, share_document(share)) for share in shares]
    return _payment(document, line.payment, insight, persona)


def _payment(document: Document, payment: Payment, insight: Insight, persona: str) -> Document:
    pay_in = payment.pay_in
    document["pay_in"] = (
        None if pay_in is None else redact("pay_in", persona, pay_in_document(pay_in, insight))
    )
    document["payouts"] = [
        redact("payout", persona, payout_document(payout)) for payout in payment.payouts
    ]
    waiting = document["waiting"]
    assert isinstance(waiting, list), "a payment tells what stands still"
    document["waiting"] = [redact("waiting", persona, one) for one in waiting]
    if pay_in is None or insight.whole(pay_in):
        document["money"] = money_document(payment)
    return redact("payment", persona, document)


def _hop(hop: Document) -> Document:
    what = hop["what"]
    return hop | {"state": what.get("state") if isinstance(what, dict) else None}


def share_document(share: Share) -> Document:
    """What an allocation gave to one owner."""
    return {
        "account": share.account,
        "owner": share.owner,
        "role": share.role,
        "amount": {"currency": share.currency, "amount": share.amount},
        "pay_out": share.pay_out,
    }


def exception_document(subject: PayIn | Payout, insight: Insight) -> Document:
    """What is the matter with a pay-in or payout, since when, and who must act."""
    if isinstance(subject, PayIn):
        return pay_in_document(subject, insight) | {
            "kind": "pay_in",
            "id": subject.pay_in_id,
            "must_act": "operator" if subject.standing == "suspense" else None,
            "since": _time(subject.last_at),
        }
    return payout_document(subject) | {
        "kind": "payout",
        "id": subject.payout_id,
        "must_act": None if subject.state in FAILED else subject.must_act,
        "remedy": None,
        "since": _time(subject.changed_at),
    }


def party_document(row: Record, insight: Insight) -> Document:
    """A party; the one above it only where that is seen too."""
    return {
        "party_id": row["party_id"],
        "kind": row["kind"],
        "parent": row["parent"] if insight.sees(row["parent"]) else None,
        "alias": row["alias"],
        "external_id": row["external_id"],
        "country": row["country"],
        "state": row["state"],
        "registered_at": _time(row["registered_at"]),
    }


def total_document(currency: str, sums: Sums) -> Document:
    """What a sub-tree comes to in a currency; `resting` is what is neither reserved nor gone."""
    return {
        "currency": currency,
        "received": shown(sums.received, currency),
        "committed": shown(sums.committed, currency),
        "paid": shown(sums.paid, currency),
        "held": shown(sums.held, currency),
        "resting": shown(sums.available, currency),
        "budget": {
            "limit": shown(sums.budgeted, currency),
            "committed": shown(sums.reserved, currency),
            "spent": shown(sums.used, currency),
            "available": shown(sums.budgeted - sums.reserved - sums.used, currency),
        },
    }


def _money(amount: Money) -> Document:
    return dict(shown(amount.minor, amount.currency.code))


def _time(at: datetime | None) -> str | None:
    return None if at is None else time(at)
