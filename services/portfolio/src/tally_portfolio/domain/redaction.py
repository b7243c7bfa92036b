"""Which fields each persona sees: one table, for every document that leaves the service."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

Document = dict[str, object]

OPERATOR, AGGREGATOR, COMPANY, PARTNER, PAYEE = (
    "operator",
    "aggregator",
    "company",
    "partner",
    "payee",
)
_ALL = frozenset({OPERATOR, AGGREGATOR, COMPANY, PARTNER, PAYEE})
_BUSINESS = _ALL - {PAYEE}
_SENIOR = frozenset({OPERATOR, AGGREGATOR, COMPANY})
_TOP = frozenset({OPERATOR, AGGREGATOR})
_OPERATOR = frozenset({OPERATOR})


def _fields(**seen_by: Collection[str]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({name: frozenset(personas) for name, personas in seen_by.items()})


FIELDS: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "wallet": _fields(
            wallet_id=_ALL,
            account=_SENIOR,
            owner=_ALL,
            alias=_ALL,
            currency=_ALL,
            purpose=_ALL,
            reference=_ALL,
            company=_ALL,
            value_kind=_ALL,
            opened_at=_ALL,
            ledger=_OPERATOR,
            path=_OPERATOR,
            posted=_ALL,
            held=_ALL,
            available=_ALL,
        ),
        "movement": _fields(
            at=_ALL,
            effective_at=_ALL,
            kind=_ALL,
            code=_ALL,
            transfer_id=_SENIOR,
            journal=_SENIOR,
            log_seq=_OPERATOR,
            reference=_ALL,
            posted=_ALL,
            held=_ALL,
            balance=_ALL,
            balance_held=_ALL,
            counterparty=_ALL,
            counter_account=_TOP,
            actor=_SENIOR,
            principal=_ALL,
            channel=_BUSINESS,
            country=_ALL,
            program=_ALL,
            event=_ALL,
            reason=_ALL,
        ),
        "payout": _fields(
            payout_id=_ALL,
            pay_in_id=_ALL,
            owner=_ALL,
            company=_ALL,
            account=_SENIOR,
            amount=_ALL,
            sequence=_TOP,
            state=_ALL,
            rail=_ALL,
            reason_code=_ALL,
            must_act=_ALL,
            changed_at=_ALL,
        ),
        "pay_in": _fields(
            pay_in_id=_ALL,
            source=_SENIOR,
            external_id=_SENIOR,
            company=_ALL,
            owner=_ALL,
            amount=_ALL,
            state=_ALL,
            reason_code=_SENIOR,
            remedy=_SENIOR,
            received_at=_ALL,
            changed_at=_ALL,
        ),
        "payment": _fields(
            payment_id=_ALL,
            correlation_id=_TOP,
            complete=_ALL,
            allocated=_ALL,
            payouts_ended=_ALL,
            pay_in=_ALL,
            payouts=_ALL,
            shares=_ALL,
            money=_SENIOR,
            waiting=_ALL,
            hops=_ALL,
            truncated=_ALL,
            accounts=_SENIOR,
            set_aside=_OPERATOR,
        ),
        "waiting": _fields(
            subject=_ALL, state=_ALL, since=_ALL, reason_code=_ALL, must_act=_ALL, remedy=_SENIOR
        ),
        "share": _fields(owner=_ALL, role=_ALL, amount=_ALL, account=_SENIOR, pay_out=_BUSINESS),
        "hop": _fields(
            event_id=_TOP,
            at=_ALL,
            since_first_ms=_ALL,
            service=_ALL,
            type=_ALL,
            topic=_OPERATOR,
            subject=_ALL,
            caused_by=_TOP,
            occurred_at=_ALL,
            who=_SENIOR,
            where=_BUSINESS,
            why=_ALL,
            what=_SENIOR,
            state=_ALL,
        ),
        "exception": _fields(
            kind=_ALL,
            id=_ALL,
            owner=_ALL,
            state=_ALL,
            amount=_ALL,
            reason_code=_ALL,
            must_act=_ALL,
            remedy=_SENIOR,
            since=_ALL,
        ),
        "party": _fields(
            party_id=_ALL,
            kind=_ALL,
            parent=_ALL,
            alias=_ALL,
            external_id=_BUSINESS,
            country=_BUSINESS,
            state=_ALL,
            registered_at=_ALL,
        ),
        "total": _fields(
            currency=_ALL, received=_ALL, committed=_ALL, paid=_ALL, held=_ALL, resting=_ALL
        ),
        "entry": _fields(
            at=_ALL,
            effective_at=_ALL,
            kind=_ALL,
            code=_ALL,
            transfer_id=_ALL,
            journal=_SENIOR,
            reference=_ALL,
            posted=_ALL,
            held=_ALL,
            balance=_ALL,
            actor=_SENIOR,
            principal=_ALL,
            channel=_BUSINESS,
            country=_ALL,
            program=_ALL,
            event=_ALL,
            reason=_ALL,
        ),
    }
)
"""By kind of document and field: who sees it. A field that is not in the table is seen by nobody."""

GRANTED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "balance": frozenset({"posted", "held", "available"}),
        "purpose": frozenset({"purpose", "reference"}),
        "program": frozenset({"company"}),
        "status": frozenset({"opened_at", "value_kind"}),
        "history": frozenset(),
    }
)
"""What a grant's named field opens of a wallet; `history` opens its movements instead (F6)."""

_OF_ANY_GRANT = frozenset({"wallet_id", "currency"})
PRIVATE_UNTIL_CONSENT = frozenset({"external_id", "country"})
"""Fields of a payee that a company sees only once the payee consents (F26)."""


def redact(kind: str, persona: str, document: Document) -> Document:
    """The document without what this persona does not see."""
    table = FIELDS[kind]
    return {
        name: value for name, value in document.items() if persona in table.get(name, frozenset())
    }


def of_grant(fields: Collection[str], document: Document) -> Document:
    """The wallet without what a grant of these fields does not open."""
    opened = _OF_ANY_GRANT.union(*(GRANTED.get(name, frozenset()) for name in fields))
    return {name: value for name, value in document.items() if name in opened}
