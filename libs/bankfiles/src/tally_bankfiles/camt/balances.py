"""The booked balances of a statement, and whether its figures agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from tally_bankfiles.camt.document import Node
from tally_bankfiles.camt.errors import StatementError
from tally_bankfiles.camt.model import EntryStatus, MessageKind, StatementEntry
from tally_bankfiles.camt.values import amount_of, date_of, decimal_of, is_credit, number_of
from tally_money import Money

_OPENING: Final = "OPBD"
_PREVIOUS_CLOSING: Final = "PRCD"
_CLOSING: Final = "CLBD"
_INTERIM: Final = "ITBD"
_REMEDY: Final = "book nothing of it and ask the bank for a corrected statement"


@dataclass(frozen=True, slots=True)
class Balance:
    """`amount` is negative where the account is overdrawn."""

    amount: Money
    day: date | None
    line: int


@dataclass(frozen=True, slots=True)
class BookedBalances:
    opening: Balance | None
    closing: Balance | None


def booked_balances(node: Node, kind: MessageKind) -> BookedBalances:
    """Opening (or the previous closing) and closing booked balance.

    A page of a longer camt.053 begins or ends with an interim balance instead. Raises
    StatementError where a camt.053 has none, or where one is given twice.
    """
    found: dict[str, list[Node]] = {}
    for balance in node.children("Bal"):
        code = balance.text("Tp/CdOrPrtry/Cd")
        if code in {_OPENING, _PREVIOUS_CLOSING, _CLOSING, _INTERIM}:
            found.setdefault(code, []).append(balance)
    opening = _only(found, _OPENING) or _only(found, _PREVIOUS_CLOSING)
    closing = _only(found, _CLOSING)
    if kind is MessageKind.STATEMENT:
        interim = found.get(_INTERIM, [])
        if opening is None and interim:
            opening = interim.pop(0)
        if closing is None and interim:
            closing = interim.pop()
        if opening is None or closing is None:
            raise StatementError(
                "balance_missing",
                line=node.line,
                field=f"{node.tag}/Bal",
                detail="an opening (OPBD, PRCD) and a closing (CLBD) booked balance are needed",
                remedy=_REMEDY,
            )
    return BookedBalances(
        None if opening is None else _balance(opening),
        None if closing is None else _balance(closing),
    )


def check_balanced(balances: BookedBalances, entries: Sequence[StatementEntry]) -> None:
    """Opening plus booked entries must be closing, where both balances are there."""
    opening, closing = balances.opening, balances.closing
    if opening is None or closing is None:
        return
    reached = opening.amount
    for entry in entries:
        if entry.status is EntryStatus.BOOKED:
            reached += entry.signed
    if reached != closing.amount:
        raise StatementError(
            "statement_unbalanced",
            line=closing.line,
            field="Bal/Amt",
            detail=f"opening and booked entries give {reached}, the closing balance is "
            f"{closing.amount}",
            remedy=_REMEDY,
        )


def check_summary(node: Node, entries: Sequence[StatementEntry]) -> None:
    """The bank's own counts and sums, which cover either all entries or the booked ones."""
    summary = node.child("TxsSummry")
    if summary is None:
        return
    booked = [entry for entry in entries if entry.status is EntryStatus.BOOKED]
    for tag, sides in (
        ("TtlNtries", (True, False)),
        ("TtlCdtNtries", (True,)),
        ("TtlDbtNtries", (False,)),
    ):
        group = summary.child(tag)
        if group is None:
            continue
        stated = (number_of(group.child("NbOfNtries")), decimal_of(group.child("Sum")))
        readings = [_totals(some, sides) for some in (entries, booked)]
        if not any(_agrees(stated, reading) for reading in readings):
            raise StatementError(
                "statement_totals",
                line=group.line,
                field=f"TxsSummry/{tag}",
                detail=f"{stated[0]} entries of {stated[1]} announced, "
                f"{readings[0][0]} found, or their sum is another",
                remedy=_REMEDY,
            )


def _only(found: dict[str, list[Node]], code: str) -> Node | None:
    balances = found.get(code, [])
    if len(balances) > 1:
        raise balances[1].broken(f"a second balance {code}", "balance_ambiguous")
    return balances[0] if balances else None


def _balance(node: Node) -> Balance:
    amount = amount_of(node.need("Amt"))
    if not is_credit(node.need("CdtDbtInd")):
        amount = -amount
    return Balance(amount, date_of(node.child("Dt")), node.line)


def _totals(entries: Sequence[StatementEntry], sides: tuple[bool, ...]) -> tuple[int, Fraction]:
    chosen = [entry.amount for entry in entries if entry.credit in sides]
    scale = 10 ** chosen[0].currency.exponent if chosen else 1
    return len(chosen), Fraction(sum(amount.minor for amount in chosen), scale)


def _agrees(stated: tuple[int | None, Decimal | None], found: tuple[int, Fraction]) -> bool:
    count, total = stated
    return count in {None, found[0]} and (total is None or Fraction(total) == found[1])
