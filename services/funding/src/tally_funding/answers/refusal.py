"""What a command that changes nothing is answered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """An order that changes nothing: `field` is a JSON pointer into it, `remedy` what to do."""

    code: str
    field: str | None
    detail: str
    remedy: str
