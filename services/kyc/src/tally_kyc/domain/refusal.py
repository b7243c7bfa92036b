"""How a decision says no: a code, the field at fault, and what to do."""

from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Refusal:
    """`field` is a JSON pointer into the command; None where no single field is at fault."""

    code: str
    field: str | None
    detail: str
    remedy: str


class Refused(Exception):  # noqa: N818 - an outcome, which the caller answers with
    """Raised by a decision before it has changed anything."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code} at {refusal.field}: {refusal.detail}")
        self.refusal = refusal


def refuse(code: str, field: str | None, detail: str, remedy: str) -> NoReturn:
    """Say no."""
    raise Refused(Refusal(code, field, detail, remedy))
