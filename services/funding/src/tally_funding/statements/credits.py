"""What each entry of a statement means for pay-ins; no I/O."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Final

from tally_bankfiles.camt import (
    EntryStatus,
    EntryTransaction,
    MessageKind,
    Statement,
    StatementEntry,
)
from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.funding import FundingReceived, Originator
from tally_funding.statements.matching import lines_of, match
from tally_money import Currency, Money
from tally_runtime import derived_id

UNMATCHED_PROGRAM: Final = "unmatched"
"""Program of bank money that names none; it stands in suspense."""

_TOKEN: Final = re.compile(r"[!-~]{1,128}")
_NOT_PRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]+")
_TEXT_CHARS_MAX: Final = 500
PLACEHOLDERS: Final = frozenset({"NONREF", "NOTPROVIDED", "NOREF", "NONE", "UNKNOWN", "0"})


class StatementKind(StrEnum):
    """NOTIFICATION: single entries, without balances; a statement repeats them."""

    STATEMENT = "statement"
    NOTIFICATION = "notification"


class Continuity(StrEnum):
    """How a statement follows the one before it of the same account."""

    FIRST = "first"
    IN_ORDER = "in_order"
    UNNUMBERED = "unnumbered"
    GAP = "gap"
    OUT_OF_ORDER = "out_of_order"
    BALANCE_BREAK = "balance_break"


CONTINUOUS: Final = frozenset({Continuity.FIRST, Continuity.IN_ORDER, Continuity.UNNUMBERED})


@dataclass(frozen=True, slots=True)
class StatementIdentity:
    """Account, number and period: the same three are the same statement, whatever file it came in.

    Notifications have identities of their own.
    """

    account: str
    currency: Currency
    number: str
    sequence: int | None
    page: int
    start: str
    end: str
    last_day: date
    kind: StatementKind = StatementKind.STATEMENT

    @property
    def statement_key(self) -> str:
        return derived_id(
            "stm" if self.kind is StatementKind.STATEMENT else "ntf",
            self.account,
            self.currency.code,
            self.number,
            str(self.page),
            self.start,
            self.end,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One entry, or one payment of an entry booked in parts, as it is kept.

    `credit_in`: money came in, so there is a pay-in for it. `entry_reference`: the bank's reference of
    the whole entry, where the line has another.
    """

    entry_index: int
    part: int
    amount: Money
    credit: bool
    reversal: bool
    status: EntryStatus
    booking_date: date | None
    value_date: date | None
    bank_reference: str | None
    end_to_end_id: str | None
    uetr: str | None
    remittance: tuple[str, ...]
    entry_reference: str | None = None

    @property
    def credit_in(self) -> bool:
        return (
            self.status is EntryStatus.BOOKED
            and self.credit
            and not self.reversal
            and bool(self.amount)
        )


def identify(statement: Statement) -> StatementIdentity:
    """The identity of a statement. Without a period, its balances' days stand for one."""
    sequence = statement.legal_sequence
    if sequence is None:
        sequence = statement.electronic_sequence
    period = statement.period
    unit = statement.currency
    assert unit is not None, "what says no currency has no entries, and is not read"
    notified = statement.kind is MessageKind.NOTIFICATION
    closing_day = statement.closing_date or statement.created_at.date()
    opening_day = statement.opening_date or closing_day
    return StatementIdentity(
        account=statement.account.number,
        currency=unit,
        number=statement.id if sequence is None else str(sequence),
        sequence=sequence,
        page=1 if statement.page is None else statement.page.number,
        start=(opening_day if period is None else period.start).isoformat(),
        end=(closing_day if period is None else period.end).isoformat(),
        last_day=closing_day if period is None else period.end.date(),
        kind=StatementKind.NOTIFICATION if notified else StatementKind.STATEMENT,
    )


def lines(statement: Statement) -> tuple[Line, ...]:
    """Every entry, those whose payments add up to it in parts."""
    return tuple(line for entry in statement.entries for line in _entry_lines(entry))


def _entry_lines(entry: StatementEntry) -> Iterator[Line]:
    parts = entry.transactions
    # A debit within a credit (a fee the bank kept) makes the parts more than what came in.
    in_parts = entry.splits_exactly and all(p.credit == entry.credit for p in parts)
    if not in_parts or len(parts) <= 1:
        only = parts[0] if len(parts) == 1 else None
        yield _line(entry, 0, entry.amount, only, entry.account_servicer_ref)
        return
    for position, part in enumerate(parts):
        assert part.amount is not None, "parts that add up have amounts"
        yield _line(entry, position, part.amount, part, None)


def _line(
    entry: StatementEntry,
    part: int,
    amount: Money,
    transaction: EntryTransaction | None,
    entry_reference: str | None,
) -> Line:
    said: tuple[str, ...] = () if transaction is None else lines_of(transaction)
    if not said and entry.additional_info is not None:
        said = (entry.additional_info,)
    reference = entry_reference
    if transaction is not None and transaction.account_servicer_ref is not None:
        reference = transaction.account_servicer_ref
    return Line(
        entry_index=entry.index,
        part=part,
        amount=amount,
        credit=entry.credit,
        reversal=entry.reversal,
        status=entry.status,
        booking_date=entry.booking_date,
        value_date=entry.value_date,
        bank_reference=reference,
        end_to_end_id=None if transaction is None else transaction.end_to_end_id,
        uetr=None if transaction is None else transaction.uetr,
        remittance=tuple(printable(text) for text in said),
        entry_reference=None
        if entry.account_servicer_ref == reference
        else entry.account_servicer_ref,
    )


def digest(statement: Statement, found: Sequence[Line]) -> bytes:
    """Digest of what a statement says of money: the same statement sent again has the same."""
    hashing = hashlib.blake2b(digest_size=16, person=b"tally-statement")
    hashing.update(f"{statement.opening} {statement.closing}\n".encode())
    for line in found:
        hashing.update(repr(_said(line)).encode("utf-8", "backslashreplace"))
    return hashing.digest()


def _said(line: Line) -> tuple[object, ...]:
    return (
        line.entry_index,
        line.part,
        str(line.amount),
        line.credit,
        line.reversal,
        line.status.value,
        str(line.booking_date),
        str(line.value_date),
        line.bank_reference,
        line.end_to_end_id,
        line.uetr,
        line.remittance,
    )


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that came in. `own_id`: the bank named it; else its id is derived from its content."""

    line: Line
    external_id: str
    own_id: bool


def credits_of(identity: StatementIdentity, found: Sequence[Line]) -> tuple[Credit, ...]:
    """An id per credit: the bank's reference, else the UETR, else one derived from the content.

    A reference that the bank gave to several credits of one statement identifies none of them.
    """
    money = [line for line in found if line.credit_in]
    given = [_bank_id(line) for line in money]
    uses = Counter(reference for reference in given if reference is not None)
    occurrences: Counter[str] = Counter()
    credited: list[Credit] = []
    for line, reference in zip(money, given, strict=True):
        if reference is not None and uses[reference] == 1:
            credited.append(Credit(line, reference, own_id=True))
            continue
        content = repr(_said(replace(line, entry_index=0, part=0)))
        occurrences[content] += 1
        derived = derived_id(
            "ent",
            identity.account,
            identity.currency.code,
            str(identity.sequence),
            content,
            str(occurrences[content]),
        )
        credited.append(Credit(line, derived, own_id=False))
    return tuple(credited)


def _bank_id(line: Line) -> str | None:
    for reference in (meant(line.bank_reference), meant(line.uetr)):
        if reference is not None and _TOKEN.fullmatch(reference):
            return reference
    return None


def meant(text: str | None) -> str | None:
    """A reference as said; None where a placeholder stands for none."""
    return None if text is None or text.upper() in PLACEHOLDERS else text


def booked_on(identity: StatementIdentity, line: Line) -> date:
    """The day a line counts as booked."""
    return line.booking_date or line.value_date or identity.last_day


@dataclass(frozen=True, slots=True)
class StatementTerms:
    """Who imports, and the program of money that names only a creditor reference."""

    who: Who
    reference_program: str | None


def announcement(
    identity: StatementIdentity, credit: Credit, terms: StatementTerms
) -> FundingReceived:
    """A credit in the one shape all money comes in (F12); the account holder is the company."""
    line, external_id = credit.line, credit.external_id
    booked = booked_on(identity, line)
    matched = match(line.remittance, terms.reference_program)
    return FundingReceived(
        who=terms.who,
        where=Where(channel="bank-statement", country=_iban_country(identity.account)),
        why=Why(
            program=UNMATCHED_PROGRAM if matched is None else matched.program,
            event=external_id,
            reason=f"Bank credit booked on {booked.isoformat()}",
        ),
        occurred_at=datetime.combine(booked, time.min, UTC),
        external_id=external_id,
        amount=PositiveAmount.of(line.amount),
        originator=Originator(reference=_originator(line, external_id)),
        company=terms.who.principal,
        beneficiary=None if matched is None else matched.beneficiary,
        value_date=line.value_date or booked,
        references=_references(identity, credit),
    )


def _originator(line: Line, external_id: str) -> str:
    """The payer's own reference of the payment: a statement's names and accounts stay out of events."""
    end_to_end_id = line.end_to_end_id
    if end_to_end_id is not None and _TOKEN.fullmatch(end_to_end_id):
        return end_to_end_id
    return external_id


def _references(identity: StatementIdentity, credit: Credit) -> dict[str, str]:
    line = credit.line
    named: Mapping[str, str | None] = {
        "bank": line.bank_reference,
        "end_to_end": line.end_to_end_id,
        "uetr": line.uetr,
        # The same content in another statement may be other money: not to be taken for the same.
        "statement": None if credit.own_id else identity.number,
    }
    return {name: printable(text) for name, text in named.items() if text is not None}


_IBAN: Final = re.compile(r"([A-Z]{2})[0-9]{2}[A-Z0-9]{11,30}")


def _iban_country(account: str) -> str | None:
    found = _IBAN.fullmatch(account)
    return None if found is None else found.group(1)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The newest statement of an account so far."""

    sequence: int | None
    last_day: date
    closing: Money


def continuity(
    identity: StatementIdentity, opening: Money, before: Predecessor | None
) -> Continuity:
    """Whether a statement follows the newest one; numbers may begin again in a new year."""
    if before is None:
        return Continuity.FIRST
    if identity.sequence is None or before.sequence is None:
        if identity.last_day < before.last_day:
            return Continuity.OUT_OF_ORDER
        return Continuity.UNNUMBERED if opening == before.closing else Continuity.BALANCE_BREAK
    begins_again = identity.sequence == 1 and identity.last_day.year > before.last_day.year
    # Pages of one statement share its number.
    another_page = identity.sequence == before.sequence and identity.page > 1
    if identity.sequence <= before.sequence and not begins_again and not another_page:
        return Continuity.OUT_OF_ORDER
    if identity.sequence > before.sequence + 1:
        return Continuity.GAP
    return Continuity.IN_ORDER if opening == before.closing else Continuity.BALANCE_BREAK


def printable(text: str) -> str:
    """A text as events and rows can hold it: one line, 1 to 500 characters."""
    return _NOT_PRINTABLE.sub(" ", text)[:_TEXT_CHARS_MAX] or " "
