"""Text for ACH fields: ASCII is all they hold."""

import re
from typing import ClassVar, Final

from anyascii import anyascii

_BLANKS: Final = re.compile(r"\s+")
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class AchTextError(ValueError):
    """A text of which nothing is left in ASCII: the caller must ask for another spelling."""

    code: ClassVar[str] = "ach_text_empty"
    retryable: ClassVar[bool] = False


def to_ach_text(text: str, width: int | None = None) -> str:
    """Transliterate to printable ASCII, with single blanks inside and none around.

    With `width`, cut to the field. Keep the original beside it: the way back does not exist.
    Raises AchTextError where nothing readable is left, so no payee is paid without a name.
    """
    spaced = _BLANKS.sub(" ", text)
    ascii_text = _UNPRINTABLE.sub("", anyascii(spaced))
    cleaned = _BLANKS.sub(" ", ascii_text).strip()
    if width is not None:
        cleaned = cleaned[:width].rstrip()
    if not cleaned:
        raise AchTextError(
            f"text {text[:40]!a} has no ASCII form; give a spelling in Latin letters"
        )
    return cleaned
