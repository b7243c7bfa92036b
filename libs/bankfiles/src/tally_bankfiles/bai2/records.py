"""From lines to logical records: a record and the 88 lines that continue it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from tally_bankfiles.camt.errors import StatementError

_CODES: Final = frozenset({"01", "02", "03", "16", "49", "88", "98", "99"})
_DIGITS_MAX: Final = 18
REMEDY: Final = "book nothing of it and ask the bank for a corrected file"


@dataclass(frozen=True, slots=True)
class Record:
    """One logical record. `lines` are its physical lines without code and delimiter."""

    code: str
    line: int
    lines: tuple[str, ...]

    @property
    def physical(self) -> int:
        """How many lines it takes, as the control records count them."""
        return len(self.lines)

    def wrong(self, detail: str, field: str, code: str = "field_format") -> StatementError:
        """An error in this record; `field` is the name the standard gives it."""
        return StatementError(
            code, line=self.line, field=f"{self.code}/{field}", detail=detail, remedy=REMEDY
        )


def records_of(text: str) -> Iterator[Record]:
    """The logical records of a file, in order; blank lines are passed over."""
    code, first = "", 0
    lines: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        physical = raw.strip()
        if not physical:
            continue
        kind, _, rest = physical.partition(",")
        kind = kind.removesuffix("/")
        if kind not in _CODES:
            raise StatementError(
                "record_unknown",
                line=number,
                field="record code",
                detail=f"{kind[:10]!a} is no BAI2 record",
                remedy="send BAI2, one record to a line",
            )
        if kind != "88":
            if code:
                yield Record(code, first, tuple(lines))
            code, first, lines = kind, number, []
        elif not code:
            raise StatementError(
                "record_order",
                line=number,
                field="88",
                detail="it continues nothing",
                remedy=REMEDY,
            )
        lines.append(rest.removesuffix("/"))
    if code:
        yield Record(code, first, tuple(lines))


class Fields:
    """The fields of a record, one after the other, over its continuations."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lines: list[list[str]] = [line.split(",") for line in record.lines]
        self._line = 0
        self._at = 0

    def next(self) -> str | None:
        """The next field without outer blanks; None at the end."""
        while self._line < len(self._lines):
            if self._at < len(self._lines[self._line]):
                self._at += 1
                return self._lines[self._line][self._at - 1].strip()
            self._line, self._at = self._line + 1, 0
        return None

    def rest(self) -> str:
        """All that is left as one text: commas belong to it, and every continuation."""
        parts = [",".join(line[self._at if n == 0 else 0 :]) for n, line in enumerate(self._left())]
        self._line, self._at = len(self._lines), 0
        return " ".join(part.strip() for part in parts if part.strip())

    def _left(self) -> Sequence[list[str]]:
        return self._lines[self._line :]

    def need(self, name: str) -> str:
        found = self.next()
        if not found:
            raise self._record.wrong("the field is missing or empty", name, "field_missing")
        return found

    def whole(self, name: str) -> int:
        """A whole number with an optional sign, as amounts and totals are written."""
        return read_whole(self._record, self.need(name), name)

    def count(self, name: str) -> int:
        number = self.whole(name)
        if number < 0:
            raise self._record.wrong(f"{number} is no count", name)
        return number


def read_whole(record: Record, text: str, name: str) -> int:
    """A whole number; amounts have no point, the currency says their decimals."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise record.wrong(f"{text[:40]!a} is no whole number", name)
    return int(text)


def read_day(record: Record, text: str, name: str) -> date:
    """A day written YYMMDD, in this century."""
    if len(text) == len("YYMMDD") and text.isascii() and text.isdigit():
        try:
            return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
        except ValueError as error:
            raise record.wrong(f"{text} is no day: {error}", name) from error
    raise record.wrong(f"{text[:40]!a} is no day written YYMMDD", name)
