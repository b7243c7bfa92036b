"""What can be wrong with an ACH file, with its place."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

MAX_ERRORS: Final = 1000
"""A file that breaks more rules than this is not an ACH file; reading stops there."""


@dataclass(frozen=True, slots=True, order=True)
class NachaError:
    """One broken rule.

    `line` counts from 1 as an editor does, and counts records in a file without line breaks; 0 is
    the file as a whole. `field` is the standard's field name in snake case, `rule` says what the
    standard asks for and what was found.
    """

    code: str
    line: int
    field: str
    rule: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.field}: {self.rule} ({self.code})"


class NachaFileError(ValueError):
    """A file that breaks rules; `errors` holds all of them in the order of the file."""

    code: ClassVar[str] = "nacha_file_invalid"
    retryable: ClassVar[bool] = False

    def __init__(self, errors: Iterable[NachaError]) -> None:
        self.errors = tuple(errors)
        shown = "; ".join(str(error) for error in self.errors[:3])
        more = len(self.errors) - 3
        tail = f" and {more} more" if more > 0 else ""
        super().__init__(f"ACH file refused: {shown}{tail}; correct the named fields")


class ErrorLog:
    """Collects errors up to MAX_ERRORS, then says so once and is `full`."""

    def __init__(self) -> None:
        self._errors: list[NachaError] = []

    def add(self, code: str, line: int, field: str, rule: str) -> None:
        if self.full:
            return
        self._errors.append(NachaError(code, line, field, rule))
        if len(self._errors) == MAX_ERRORS:
            rule = f"at most {MAX_ERRORS} errors are listed; this is no ACH file"
            self._errors.append(NachaError("too_many_errors", line, "file", rule))

    @property
    def errors(self) -> tuple[NachaError, ...]:
        return tuple(self._errors)

    @property
    def full(self) -> bool:
        return len(self._errors) > MAX_ERRORS

    def __len__(self) -> int:
        return len(self._errors)
