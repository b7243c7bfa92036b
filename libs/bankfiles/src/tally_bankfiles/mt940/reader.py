"""Reading MT940: tags and dialects are the library's, exactness and balances are ours."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from mt940.models import Transactions
from mt940.options import Options

from tally_bankfiles.balanced import require_balanced
from tally_bankfiles.camt.model import (
    Account,
    BankTransactionCode,
    EntryTransaction,
    Page,
    Statement,
    StatementEntry,
)
from tally_bankfiles.mt940.blocks import Block, blocks_of
from tally_money import Currency, Money, MoneyError, UnknownCurrency, currency

MAX_BYTES: Final = 32 * 1024 * 1024
_IBAN_CHARS_MIN: Final = 15
_OPTIONS: Final = Options(
    merge_keeps_values=True,
    case_insensitive_marks=True,
    unbounded_details=True,
    gvc_leading_text=True,
)
_NO_REFERENCE: Final = frozenset({"", "NONREF"})
_CREDIT: Final[Mapping[str, tuple[bool, bool]]] = {
    "C": (True, False),
    "D": (False, False),
    "RC": (False, True),
    "RD": (True, True),
}
"""By mark: whether money came in, and whether that undoes an earlier entry."""


def read_statements(data: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Statement, ...]:
    """The statements of one MT940 file, pages apart.

    Raises StatementError at the first thing that is wrong: then nothing of the file may be booked.
    Opening plus entries must be closing, in one currency. Whatever the bytes are, nothing else is
    raised.
    """
    return tuple(_statement(block) for block in blocks_of(data, max_bytes))


def _statement(block: Block) -> Statement:
    parsed = _parsed(block)
    data = parsed.data
    opening, opened_final = _balance(block, data, "opening", ":60F:")
    closing, closed_final = _balance(block, data, "closing", ":62F:")
    unit = _unit(block, str(opening.amount.currency))
    if str(closing.amount.currency) != unit.code:
        raise block.wrong("currency_mismatch", ":62F:", f"it is not in {unit.code}")
    start = _money(block, opening.amount.amount, unit, ":60F:", block.line, signed=True)
    end = _money(block, closing.amount.amount, unit, ":62F:", block.line, signed=True)
    if len(parsed.transactions) != len(block.entry_lines):
        raise block.wrong(
            "entry_unread",
            ":61:",
            f"{len(block.entry_lines)} entries, {len(parsed.transactions)} of them could be read",
        )
    entries = tuple(
        _entry(block, index, line, transaction.data, unit)
        for index, (line, transaction) in enumerate(
            zip(block.entry_lines, parsed.transactions, strict=True)
        )
    )
    require_balanced(start, end, entries, line=block.line, field=":62F:")
    closing_day = _day(closing.date)
    account = str(data.get("account_identification") or "").strip()
    if not account:
        raise block.wrong("field_missing", ":25:", "the account is missing")
    return Statement(
        message_id=str(data["transaction_reference"]),
        id=str(data["transaction_reference"]),
        account=Account(account, is_iban=_is_iban(account)),
        currency=unit,
        legal_sequence=_number(block, data.get("statement_number"), ":28C:"),
        page=_page(block, data, opened_final=opened_final, closed_final=closed_final),
        created_at=datetime.combine(closing_day, time.min, UTC),
        opening=start,
        opening_date=_day(opening.date),
        closing=end,
        closing_date=closing_day,
        entries=entries,
        line=block.line,
    )


def _parsed(block: Block) -> Transactions:
    # Not the library's parse(): that takes a text that happens to name a file for the file.
    parsed = Transactions(options=_OPTIONS)
    try:
        parsed.parse(block.text)
    except Exception as error:
        raise block.wrong("tag_format", ":20:", f"it is not MT940: {str(error)[:200]!a}") from error
    return parsed


def _balance(block: Block, data: Mapping[str, Any], which: str, tag: str) -> tuple[Any, bool]:
    """The final balance, or a page's interim one, and whether it is final."""
    count = block.text.count(f"\n{tag[:3]}")
    if count > 1:
        raise block.wrong("balance_ambiguous", tag, f"{count} {which} balances in one statement")
    final = data.get(f"final_{which}_balance")
    found = final or data.get(f"intermediate_{which}_balance")
    if found is None or found.amount is None or found.date is None:
        raise block.wrong("balance_missing", tag, f"there is no {which} balance")
    return found, final is not None


def _unit(block: Block, code: str) -> Currency:
    try:
        return currency(code)
    except UnknownCurrency as error:
        raise block.wrong(error.code, ":60F:", str(error)) from error


def _entry(
    block: Block, index: int, line: int, data: Mapping[str, Any], unit: Currency
) -> StatementEntry:
    mark = str(data.get("status")).upper()
    if mark not in _CREDIT:
        raise block.wrong("field_format", ":61:", f"{mark[:4]!a} is no mark", line)
    credit, reversal = _CREDIT[mark]
    amount = _money(block, abs(data["amount"].amount), unit, ":61:", line, signed=False)
    bank_reference = _reference(data.get("bank_reference"))
    value_date = _day(data["date"])
    booked = data.get("entry_date")
    said = _words(data)
    code = data.get("id")
    return StatementEntry(
        index=index,
        line=line,
        amount=amount,
        credit=credit,
        reversal=reversal,
        booking_date=value_date if booked is None else _day(booked),
        value_date=value_date,
        account_servicer_ref=bank_reference,
        bank_transaction_code=BankTransactionCode(proprietary=str(code), issuer="SWIFT")
        if code
        else None,
        transactions=(
            EntryTransaction(
                amount=amount,
                credit=credit,
                end_to_end_id=_reference(data.get("end_to_end_reference"))
                or _reference(data.get("customer_reference")),
                unstructured=said,
            ),
        ),
    )


def _words(data: Mapping[str, Any]) -> tuple[str, ...]:
    """What the payer wrote: banks that mark the parts of :86: have it in their purpose."""
    for names in (("purpose", "additional_purpose"), ("transaction_details",), ("extra_details",)):
        said = tuple(str(data[name]) for name in names if data.get(name))
        if said:
            return tuple(line for text in said for line in text.splitlines() if line.strip())
    return ()


def _reference(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return None if text.upper() in _NO_REFERENCE else text


def _money(
    block: Block, amount: Decimal, unit: Currency, field: str, line: int, *, signed: bool
) -> Money:
    """The exact amount; a digit beyond the currency's decimals is an error, never rounded."""
    if not amount.is_finite():
        raise block.wrong("amount_format", field, "this is no amount", line)
    try:
        found = Money.parse(f"{abs(amount):f}", unit.code)
    except MoneyError as error:
        raise block.wrong(error.code, field, str(error), line) from error
    return -found if signed and amount < 0 else found


def _day(value: date) -> date:
    return date(value.year, value.month, value.day)


def _number(block: Block, value: object, field: str) -> int | None:
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise block.wrong("field_format", field, f"{text[:20]!a} is no number")
    return int(text)


def _page(
    block: Block, data: Mapping[str, Any], *, opened_final: bool, closed_final: bool
) -> Page | None:
    number = _number(block, data.get("sequence_number"), ":28C:")
    if number is None:
        if opened_final and closed_final:
            return None
        raise block.wrong("page_missing", ":28C:", "a page of a longer statement has a number")
    return Page(number, closed_final)


def _is_iban(account: str) -> bool:
    return (
        len(account) >= _IBAN_CHARS_MIN
        and account[:2].isalpha()
        and account[2:4].isdigit()
        and account.isalnum()
    )
