"""Rows as one text per column: a batch reaches Postgres in a few long strings, not in 50,000 values.

The driver encodes arrays element by element, which costs three times as much as Postgres' splitting
of a string (bench/posting.py). `string_to_array(text, U+001F, U+001E)` gives the array back: U+001F
can occur in no value, and `texts` makes sure; no value is empty.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

SEPARATOR = "\x1f"
NULL = "\x1e"


def _plain(values: Iterable[Any]) -> str:
    return SEPARATOR.join(values)


def _numbers(values: Iterable[Any]) -> str:
    return SEPARATOR.join(map(str, values))


def _nullable(values: Iterable[Any]) -> str:
    return SEPARATOR.join([NULL if value is None else str(value) for value in values])


def _times(values: Iterable[datetime | None]) -> str:
    return SEPARATOR.join([NULL if value is None else value.isoformat() for value in values])


def _bytes(values: Iterable[bytes]) -> str:
    return SEPARATOR.join([rf"\x{value.hex()}" for value in values])


_WRITERS: Mapping[str, Callable[[Iterable[Any]], str]] = {
    "text": _plain,
    "bigint": _numbers,
    "numeric": _numbers,
    "boolean": _numbers,
    "text?": _nullable,
    "numeric?": _nullable,
    "timestamptz?": _times,
    "timestamptz": _times,
    "bytea": _bytes,
}


class Columns:
    """The columns of a set-based statement whose texts are the parameters from `first` on.

    Types are Postgres', with `?` where NULL may stand.
    """

    def __init__(self, first: int, /, **types: str) -> None:
        self._writers = [_WRITERS[kind] for kind in types.values()]
        columns = (
            f"unnest(string_to_array(${first + position}, E'\\x1f', E'\\x1e')::{kind.rstrip('?')}[])"
            f" AS {name}"
            for position, (name, kind) in enumerate(types.items())
        )
        self.names = ", ".join(types)
        # In the list of a SELECT rows come one by one; as a table in FROM each column is first kept whole
        # in a store of its own, which makes a row a fifth dearer (ADR 0005).
        self.rows = f"(SELECT {', '.join(columns)}) AS given"

    def texts(self, rows: Sequence[Sequence[object]]) -> list[str]:
        """The parameters for `rows`, which are not empty."""
        columns = zip(*rows, strict=True)
        texts = [write(column) for write, column in zip(self._writers, columns, strict=True)]
        separators = len(rows) - 1
        for text in texts:
            assert text.count(SEPARATOR) == separators, "a value holds a control character"
        return texts
