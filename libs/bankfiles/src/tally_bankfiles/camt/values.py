"""Amounts, dates and numbers as ISO 20022 writes them."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from tally_bankfiles.camt.document import Node
from tally_money import Money, MoneyError

_AMOUNT: Final = re.compile(r"\+?(?=[0-9.])([0-9]{0,18})(?:\.([0-9]{0,18}))?").fullmatch
_DIGITS: Final = re.compile(r"[0-9]{1,18}").fullmatch
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{0,17})?").fullmatch
_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?").fullmatch
_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0"})
_MAX_DIGITS: Final = 18


def amount_of(node: Node) -> Money:
    """An amount with its Ccy attribute, exact: digits beyond the currency's scale are an error.

    Zeros beyond it are not: 1.25000 EUR is 1.25 EUR.
    """
    text = node.own_text
    match = _AMOUNT(text)
    digits = "".join(match.groups("")) if match else ""
    if match is None or not digits or len(digits) > _MAX_DIGITS:
        raise node.broken(f"amount {text[:40]!a} is not a decimal of 18 digits", "amount_format")
    whole, fraction = match.groups("")
    exact = fraction.rstrip("0")
    plain = f"{whole.lstrip('0') or '0'}{'.' + exact if exact else ''}"
    try:
        return Money.parse(plain, node.element.get("Ccy", ""))
    except MoneyError as error:
        raise node.broken(str(error), error.code) from error


def is_credit(node: Node) -> bool:
    """The side a credit/debit indicator names."""
    if node.own_text not in {"CRDT", "DBIT"}:
        raise node.broken(f"CRDT or DBIT expected, found {node.own_text[:20]!a}")
    return node.own_text == "CRDT"


def flag_of(node: Node | None) -> bool:
    """An XML boolean; False where it is left out."""
    if node is None or node.own_text in _FALSE:
        return False
    if node.own_text not in _TRUE:
        raise node.broken(f"true or false expected, found {node.own_text[:20]!a}")
    return True


def number_of(node: Node | None) -> int | None:
    if node is None:
        return None
    if not _DIGITS(node.own_text):
        raise node.broken(f"a whole number expected, found {node.own_text[:40]!a}")
    return int(node.own_text)


def decimal_of(node: Node | None) -> Decimal | None:
    if node is None:
        return None
    if not _DECIMAL(node.own_text):
        raise node.broken(f"a decimal expected, found {node.own_text[:40]!a}")
    return Decimal(node.own_text)


def date_of(node: Node | None) -> date | None:
    """A choice of Dt and DtTm: the day as the bank wrote it, in its own zone."""
    if node is None:
        return None
    plain = node.child("Dt")
    if plain is None:
        moment = node.need("DtTm")
        return _datetime(moment).date()
    match = _DATE(plain.own_text)
    try:
        if match is not None:
            return date.fromisoformat(match.group(1))
    except ValueError:
        pass
    raise plain.broken(f"a date expected, found {plain.own_text[:40]!a}")


def moment_of(node: Node) -> datetime:
    """An ISO date and time in UTC; one without an offset is taken as UTC."""
    found = _datetime(node)
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise node.broken(f"a time within years 1-9999 expected: {found}") from error


def _datetime(node: Node) -> datetime:
    try:
        found = datetime.fromisoformat(node.own_text)
    except ValueError as error:
        detail = f"a date and time expected, found {node.own_text[:40]!a}"
        raise node.broken(detail) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
