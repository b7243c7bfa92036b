"""Reading camt.052, camt.053 and camt.054."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tally_bankfiles.camt.balances import (
    BookedBalances,
    booked_balances,
    check_balanced,
    check_summary,
)
from tally_bankfiles.camt.document import MAX_BYTES, Node, parse_document
from tally_bankfiles.camt.entries import read_entry
from tally_bankfiles.camt.errors import StatementError
from tally_bankfiles.camt.model import Account, MessageKind, Page, Period, Statement, StatementEntry
from tally_bankfiles.camt.values import flag_of, moment_of, number_of
from tally_money import Currency, UnknownCurrency, currency

_NAMESPACE: Final = re.compile(
    r"urn:iso:std:iso:20022:tech:xsd:(camt\.05[234])\.001\.(?:0[2-9]|1[0-4])"
).fullmatch
_BODIES: Final[Mapping[MessageKind, tuple[str, str]]] = MappingProxyType(
    {
        MessageKind.REPORT: ("BkToCstmrAcctRpt", "Rpt"),
        MessageKind.STATEMENT: ("BkToCstmrStmt", "Stmt"),
        MessageKind.NOTIFICATION: ("BkToCstmrDbtCdtNtfctn", "Ntfctn"),
    }
)


def read_statements(data: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Statement, ...]:
    """The statements of one camt.052, .053 or .054 file, versions .02 to .14.

    Raises StatementError at the first thing that is wrong: then nothing of the file may be booked.
    In a camt.053, opening plus booked entries must be closing. Whatever the bytes are, nothing
    else is raised.
    """
    root = parse_document(data, max_bytes=max_bytes)
    kind = _kind(root)
    body_tag, statement_tag = _BODIES[kind]
    body = root.need(body_tag)
    statements = tuple(_statement(node, body, kind) for node in body.children(statement_tag))
    if not statements:
        raise body.missing(statement_tag)
    return statements


def _kind(root: Node) -> MessageKind:
    match = _NAMESPACE(root.namespace)
    if match is None or root.tag != "Document":
        raise StatementError(
            "unsupported_message",
            line=root.line,
            field="Document",
            detail=f"{root.tag[:40]!a} in namespace {root.namespace[:80]!a} is not read",
            remedy="send camt.052, camt.053 or camt.054 in a version from .02 to .14",
        )
    return MessageKind(match.group(1))


def _statement(node: Node, body: Node, kind: MessageKind) -> Statement:
    balances = booked_balances(node, kind)
    entries = tuple(read_entry(entry, index) for index, entry in enumerate(node.children("Ntry")))
    unit = _currency(node, balances, entries)
    check_summary(node, entries)
    check_balanced(balances, entries)
    opening, closing = balances.opening, balances.closing
    return Statement(
        kind=kind,
        message_id=body.need_text("GrpHdr/MsgId"),
        id=node.need_text("Id"),
        account=_account(node),
        currency=unit,
        electronic_sequence=number_of(node.child("ElctrncSeqNb")),
        legal_sequence=number_of(node.child("LglSeqNb")),
        page=_page(node.child("StmtPgntn") or body.child("GrpHdr/MsgPgntn")),
        created_at=moment_of(node.child("CreDtTm") or body.need("GrpHdr/CreDtTm")),
        period=_period(node.child("FrToDt")),
        copy_duplicate=node.text("CpyDplctInd"),
        opening=None if opening is None else opening.amount,
        opening_date=None if opening is None else opening.day,
        closing=None if closing is None else closing.amount,
        closing_date=None if closing is None else closing.day,
        entries=entries,
        line=node.line,
    )


def _account(node: Node) -> Account:
    iban = node.text("Acct/Id/IBAN")
    if iban is not None:
        return Account(iban, is_iban=True)
    return Account(node.need_text("Acct/Id/Othr/Id"), is_iban=False)


def _currency(
    node: Node, balances: BookedBalances, entries: Sequence[StatementEntry]
) -> Currency | None:
    """The one currency of account, booked balances and entries."""
    stated = node.child("Acct/Ccy")
    unit = None
    if stated is not None:
        try:
            unit = currency(stated.own_text)
        except UnknownCurrency as error:
            raise stated.broken(str(error), error.code) from error
    amounts = [
        (balance.amount, balance.line)
        for balance in (balances.opening, balances.closing)
        if balance is not None
    ]
    amounts += [(entry.amount, entry.line) for entry in entries]
    for amount, line in amounts:
        unit = unit or amount.currency
        if amount.currency != unit:
            raise StatementError(
                "currency_mismatch",
                line=line,
                field=f"{node.tag}/Amt",
                detail=f"{amount} in an account kept in {unit.code}",
                remedy="book nothing of it and ask the bank for a statement per currency",
            )
    return unit


def _page(node: Node | None) -> Page | None:
    if node is None:
        return None
    number = number_of(node.need("PgNb"))
    assert number is not None, "the element is there"
    return Page(number, flag_of(node.need("LastPgInd")))


def _period(node: Node | None) -> Period | None:
    if node is None:
        return None
    return Period(moment_of(node.need("FrDtTm")), moment_of(node.need("ToDtTm")))
