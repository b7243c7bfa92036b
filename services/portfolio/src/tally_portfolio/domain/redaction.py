"""Which fields each persona sees: one table, for every document that leaves the service."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from tally_portfolio.domain.personas import ALL, BUSINESS, OPERATOR_ALONE, SENIOR, TOP, fields
from tally_portfolio.domain.record_fields import RECORD_FIELDS

Document = dict[str, object]

FIELDS: Mapping[str, Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "wallet": fields(
            wallet_id=ALL,
            account=SENIOR,
            owner=ALL,
            alias=ALL,
            currency=ALL,
            purpose=ALL,
            reference=ALL,
            company=ALL,
            value_kind=ALL,
            opened_at=ALL,
            ledger=OPERATOR_ALONE,
            path=OPERATOR_ALONE,
            posted=ALL,
            held=ALL,
            available=ALL,
        ),
        "movement": fields(
            at=ALL,
            effective_at=ALL,
            kind=ALL,
            code=ALL,
            transfer_id=SENIOR,
            journal=SENIOR,
            log_seq=OPERATOR_ALONE,
            ledger=OPERATOR_ALONE,
            reference=ALL,
            posted=ALL,
            held=ALL,
            balance=ALL,
            balance_held=ALL,
            counterparty=ALL,
            counter_account=TOP,
            brought=ALL,
            actor=SENIOR,
            principal=ALL,
            channel=BUSINESS,
            country=ALL,
            program=ALL,
            event=ALL,
            reason=ALL,
        ),
        "payout": fields(
            payout_id=ALL,
            pay_in_id=ALL,
            owner=ALL,
            company=ALL,
            account=SENIOR,
            amount=ALL,
            sequence=TOP,
            state=ALL,
            rail=ALL,
            reason_code=ALL,
            must_act=ALL,
            changed_at=ALL,
        ),
        "pay_in": fields(
            pay_in_id=ALL,
            source=SENIOR,
            external_id=SENIOR,
            company=ALL,
            owner=ALL,
            amount=ALL,
            returned=ALL,
            state=ALL,
            reason_code=SENIOR,
            remedy=SENIOR,
            received_at=ALL,
            changed_at=ALL,
        ),
        "payment": fields(
            payment_id=ALL,
            correlation_id=TOP,
            complete=ALL,
            allocated=ALL,
            payouts_ended=ALL,
            pay_in=ALL,
            payouts=ALL,
            shares=ALL,
            returns=SENIOR,
            money=SENIOR,
            waiting=ALL,
            hops=ALL,
            truncated=ALL,
            accounts=SENIOR,
            set_aside=OPERATOR_ALONE,
        ),
        "waiting": fields(
            subject=ALL, state=ALL, since=ALL, reason_code=ALL, must_act=ALL, remedy=SENIOR
        ),
        "share": fields(owner=ALL, role=ALL, amount=ALL, account=SENIOR, pay_out=BUSINESS),
        "hop": fields(
            event_id=TOP,
            at=ALL,
            since_first_ms=ALL,
            service=ALL,
            type=ALL,
            topic=OPERATOR_ALONE,
            subject=ALL,
            caused_by=TOP,
            occurred_at=ALL,
            who=SENIOR,
            where=BUSINESS,
            why=ALL,
            what=SENIOR,
            state=ALL,
        ),
        "exception": fields(
            kind=ALL,
            id=ALL,
            owner=ALL,
            state=ALL,
            amount=ALL,
            reason_code=ALL,
            must_act=ALL,
            remedy=SENIOR,
            since=ALL,
        ),
        "party": fields(
            party_id=ALL,
            kind=ALL,
            parent=ALL,
            alias=ALL,
            external_id=BUSINESS,
            country=BUSINESS,
            state=ALL,
            registered_at=ALL,
        ),
        "total": fields(
            currency=ALL,
            received=ALL,
            committed=ALL,
            paid=ALL,
            held=ALL,
            resting=ALL,
            budget=BUSINESS,
        ),
        "entry": fields(
            at=ALL,
            effective_at=ALL,
            kind=ALL,
            code=ALL,
            transfer_id=ALL,
            journal=SENIOR,
            reference=ALL,
            posted=ALL,
            held=ALL,
            balance=ALL,
            actor=SENIOR,
            principal=ALL,
            channel=BUSINESS,
            country=ALL,
            program=ALL,
            event=ALL,
            reason=ALL,
        ),
        **RECORD_FIELDS,
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
        "contacts": frozenset(),
    }
)
"""What a grant's named field opens of a wallet; `history` opens its movements instead (F6), and
`contacts` its owner's contacts, which the directory shows."""

_OF_ANY_GRANT = frozenset({"wallet_id", "currency"})
PRIVATE_UNTIL_CONSENT = frozenset({"external_id", "country"})
"""Fields of a payee that a company sees only once the payee consents (F26)."""


# The table the other way round, since it is asked for every document: what each persona sees of a kind.
_SEEN: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        (kind, persona): frozenset(name for name, seers in table.items() if persona in seers)
        for kind, table in FIELDS.items()
        for persona in ALL
    }
)


def shows(kind: str, persona: str, name: str) -> bool:
    """Whether this persona sees this field of a kind of document."""
    return name in _SEEN[kind, persona]


def redact(kind: str, persona: str, document: Document) -> Document:
    """The document without what this persona does not see."""
    seen = _SEEN[kind, persona]
    return {name: value for name, value in document.items() if name in seen}


def of_grant(fields: Collection[str], document: Document) -> Document:
    """The wallet without what a grant of these fields does not open."""
    opened = _OF_ANY_GRANT.union(*(GRANTED.get(name, frozenset()) for name in fields))
    return {name: value for name, value in document.items() if name in opened}
