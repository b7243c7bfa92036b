"""Records as documents: what their parts tell together, and when they told it last."""

from collections.abc import Sequence

from tally_portfolio.domain.records import Record, merged
from tally_portfolio.domain.redaction import Document
from tally_portfolio.domain.statement import time, words

_WS = frozenset({"who", "where", "why"})


def record_document(parts: Sequence[Record]) -> Document | None:
    """A thing as its facts tell it; None if its first fact has not come yet."""
    told = merged(parts)
    if told is None:
        return None
    document = {name: value for name, value in told.items() if name not in _WS}
    return document | words(told) | {"changed_at": time(max(record.at for record in parts))}
