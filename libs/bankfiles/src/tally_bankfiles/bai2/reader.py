"""Reading BAI2: every control total and count agrees, or nothing is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Final

from tally_bankfiles.bai2.records import REMEDY, Fields, Record, read_day, read_whole, records_of
from tally_bankfiles.balanced import require_balanced
from tally_bankfiles.camt.errors import StatementError
from tally_bankfiles.camt.model import (
    Account,
    BankTransactionCode,
    EntryStatus,
    EntryTransaction,
    MessageKind,
    Statement,
    StatementEntry,
)
from tally_money import Currency, Money, UnknownCurrency, currency

MAX_BYTES: Final = 32 * 1024 * 1024
_VERSION: Final = "2"
_UPDATE: Final = "1"
_INTERIM: Final = frozenset({"1", "3"})
_OPENING: Final = "010"
_CLOSING: Final = "015"
_NON_MONETARY: Final = "890"
_CREDITS: Final = range(101, 400)
_DEBITS: Final = range(401, 700)
_DEFAULT_CURRENCY: Final = "USD"
_AVAILABILITIES: Final = 3


@dataclass(frozen=True, slots=True)
class _Group:
    day: date
    unit: str
    interim: bool
    line: int


@dataclass(slots=True)
class _Account:
    """An account as its records add up."""

    record: Record
    number: str
    unit: Currency
    balances: dict[str, int]
    total: int
    physical: int
    entries: list[StatementEntry] = field(default_factory=list)


@dataclass(slots=True)
class _Sums:
    """What the records so far add up to, for the next control record."""

    total: int = 0
    parts: int = 0
    physical: int = 0


class _File:
    """Reads the records in their order: file, groups, accounts."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records
        self._record: Record | None = next(records, None)
        self._file_id = ""

    def read(self) -> Iterator[Statement]:
        head = self._take("01")
        fields = Fields(head)
        fields.next()
        fields.next()
        fields.next()
        fields.next()
        self._file_id = fields.need("file id")
        fields.next()
        fields.next()
        version = fields.next()
        if version != _VERSION:
            raise head.wrong(f"version {version!a} is not read", "version", "unsupported_message")
        sums = _Sums(physical=head.physical)
        while self._is("02"):
            yield from self._group(sums)
        self._close("99", sums, "group")
        if self._record is not None:
            raise self._record.wrong("records follow the file's last", "code", "record_order")

    def _group(self, file: _Sums) -> Iterator[Statement]:
        record = self._take("02")
        fields = Fields(record)
        fields.next()
        fields.next()
        if fields.need("group status") != _UPDATE:
            raise record.wrong("only groups of status 1 (update) are read", "group status")
        day = read_day(record, fields.need("as-of date"), "as-of date")
        fields.next()
        unit, modifier = fields.next() or _DEFAULT_CURRENCY, fields.next()
        group = _Group(day, unit, modifier in _INTERIM, record.line)
        sums = _Sums(physical=record.physical)
        while self._is("03"):
            yield self._account(group, sums)
        self._close("98", sums, "account")
        file.total += sums.total
        file.parts += 1
        file.physical += sums.physical

    def _account(self, group: _Group, sums: _Sums) -> Statement:
        account = _open_account(self._take("03"), group)
        while self._is("16"):
            _add_entry(account, self._take("16"), group)
        own = _Sums(total=account.total, physical=account.physical)
        self._close("49", own, None)
        sums.total += own.total
        sums.parts += 1
        sums.physical += own.physical
        return _statement(account, group, self._file_id)

    def _close(self, code: str, sums: _Sums, parts: str | None) -> None:
        """Compare a control record with what was read; it counts itself among the records."""
        record = self._take(code)
        sums.physical += record.physical
        fields = Fields(record)
        stated = [("control total", fields.whole("control total"), sums.total)]
        if parts is not None:
            stated.append((f"number of {parts}s", fields.count(f"number of {parts}s"), sums.parts))
        stated.append(("number of records", fields.count("number of records"), sums.physical))
        for name, said, found in stated:
            if said != found:
                raise record.wrong(f"{said} is stated, {found} found", name, "statement_totals")

    def _is(self, code: str) -> bool:
        return self._record is not None and self._record.code == code

    def _take(self, code: str) -> Record:
        record = self._record
        if record is None or record.code != code:
            raise StatementError(
                "record_order",
                line=0 if record is None else record.line,
                field=code,
                detail=f"{'the end' if record is None else record.code} where {code} is due",
                remedy=REMEDY,
            )
        self._record = next(self._records, None)
        return record


def read_statements(data: bytes, *, max_bytes: int = MAX_BYTES) -> tuple[Statement, ...]:
    """The statements of one BAI2 file, one for each account of each group.

    Raises StatementError at the first thing that is wrong: then nothing of the file may be booked.
    Every control total and count must agree, and an account's opening ledger (010), its details and
    its closing ledger (015) must add up. Whatever the bytes are, nothing else is raised.
    """
    if len(data) > max_bytes:
        raise StatementError(
            "too_large",
            line=0,
            field="file",
            detail=f"{len(data)} bytes, at most {max_bytes} are read",
            remedy="ask the bank for a file per account or day",
        )
    # Every byte is a character of it: the structure is ASCII, texts may be whatever the bank has.
    statements = tuple(_File(records_of(data.decode("iso-8859-1"))).read())
    if not statements:
        raise StatementError(
            "field_missing",
            line=0,
            field="03",
            detail="there is no account in the file",
            remedy=REMEDY,
        )
    return statements


def _open_account(record: Record, group: _Group) -> _Account:
    fields = Fields(record)
    number = fields.need("account number")
    code = fields.next() or group.unit
    try:
        unit = currency(code)
    except UnknownCurrency as error:
        raise record.wrong(str(error), "currency", error.code) from error
    balances: dict[str, int] = {}
    total = 0
    while (kind := fields.next()) is not None:
        amount = fields.next()
        fields.next()
        _pass_funds(record, fields)
        if not amount:
            continue
        minor = read_whole(record, amount, f"amount of {kind}")
        total += minor
        if kind in balances:
            raise record.wrong(f"a second amount of {kind}", "type code", "balance_ambiguous")
        if kind:
            balances[kind] = minor
    return _Account(record, number, unit, balances, total, record.physical)


def _add_entry(account: _Account, record: Record, group: _Group) -> None:
    fields = Fields(record)
    kind = fields.need("type code")
    amount = fields.next()
    minor = read_whole(record, amount, "amount") if amount else 0
    value_date = _pass_funds(record, fields) or group.day
    bank_reference, customer_reference = fields.next() or None, fields.next() or None
    text = fields.rest()
    account.total += minor
    account.physical += record.physical
    credit = _is_credit(record, kind)
    if minor < 0:
        raise record.wrong(f"{minor} is negative, the type code says its side", "amount")
    money = Money(minor, account.unit)
    side = bool(credit)
    account.entries.append(
        StatementEntry(
            index=len(account.entries),
            line=record.line,
            amount=money,
            credit=side,
            status=EntryStatus.INFO if credit is None else EntryStatus.BOOKED,
            booking_date=group.day,
            value_date=value_date,
            account_servicer_ref=bank_reference,
            bank_transaction_code=BankTransactionCode(proprietary=kind, issuer="BAI"),
            transactions=(
                EntryTransaction(
                    amount=money,
                    credit=side,
                    end_to_end_id=customer_reference,
                    unstructured=(text,) if text else (),
                ),
            ),
        )
    )


def _is_credit(record: Record, kind: str) -> bool | None:
    """Which side a type code is on; None for one that moves no money."""
    if kind == _NON_MONETARY:
        return None
    number = int(kind) if kind.isascii() and kind.isdigit() and len(kind) == len("101") else 0
    if number in _CREDITS:
        return True
    if number in _DEBITS:
        return False
    raise record.wrong(
        f"{kind[:10]!a} is neither a credit (101-399) nor a debit (401-699)", "type code"
    )


def _pass_funds(record: Record, fields: Fields) -> date | None:
    """Pass over the availability, whose type says how many fields it takes; the value day if given."""
    kind = fields.next()
    match kind:
        case None | "" | "0" | "1" | "2" | "Z":
            return None
        case "V":
            day = read_day(record, fields.need("value date"), "value date")
            fields.next()
            return day
        case "S":
            for _ in range(_AVAILABILITIES):
                fields.next()
            return None
        case "D":
            for _ in range(fields.count("number of distributions")):
                if fields.next() is None:
                    break
                fields.next()
            return None
        case _:
            raise record.wrong(f"{kind[:10]!a} is no funds type", "funds type")


def _statement(account: _Account, group: _Group, file_id: str) -> Statement:
    opening, closing = (_balance(account, code) for code in (_OPENING, _CLOSING))
    entries: Sequence[StatementEntry] = account.entries
    require_balanced(opening, closing, entries, line=account.record.line, field=f"03/{_CLOSING}")
    return Statement(
        kind=MessageKind.REPORT if group.interim else MessageKind.STATEMENT,
        message_id=file_id,
        id=group.day.isoformat(),
        account=Account(account.number, is_iban=False),
        currency=account.unit,
        created_at=datetime.combine(group.day, time.min, UTC),
        opening=opening,
        opening_date=group.day,
        closing=closing,
        closing_date=group.day,
        entries=tuple(entries),
        line=account.record.line,
    )


def _balance(account: _Account, code: str) -> Money:
    if code not in account.balances:
        raise account.record.wrong(
            "an opening (010) and a closing (015) ledger balance are needed",
            code,
            "balance_missing",
        )
    return Money(account.balances[code], account.unit)
