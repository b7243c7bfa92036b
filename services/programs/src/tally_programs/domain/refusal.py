"""Why a command changes nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong where (`field`: a JSON pointer into the command), and what to do about it."""

    code: str
    field: str | None
    detail: str
    remedy: str
