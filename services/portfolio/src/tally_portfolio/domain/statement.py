"""Statements of an account: the same facts give the same bytes, whenever they are asked for (X8)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tally_portfolio.domain.books import Movement, shown

FORM = 1
"""The version of the form: a change of what a statement holds is another form, never this one."""

Document = dict[str, object]


def statement(
    account: str,
    currency: str,
    *,
    since: datetime,
    until: datetime,
    opening: tuple[int, int],
    movements: Sequence[Movement],
    entries: Sequence[Document],
) -> Document:
    """What happened on an account from `since` up to, not including, `until`.

    It holds what facts say and nothing that may be said differently later: no alias, no purpose.
    """
    posted = opening[0] + sum(movement.posted for movement in movements)
    held = opening[1] + sum(movement.held for movement in movements)
    return {
        "form": FORM,
        "account": account,
        "currency": currency,
        "from": time(since),
        "until": time(until),
        "opening": _balances(currency, *opening),
        "closing": _balances(currency, posted, held),
        "entries": entries,
    }


def entry(movement: Movement, posted: int) -> Document:
    """A movement in a statement; `posted` is the balance after it."""
    return {
        "at": time(movement.at),
        "effective_at": time(movement.effective_at),
        "kind": movement.kind,
        "code": movement.code,
        "transfer_id": movement.transfer_id,
        "journal": movement.journal,
        "reference": movement.reference,
        "posted": shown(movement.posted, movement.currency),
        "held": shown(movement.held, movement.currency),
        "balance": shown(posted, movement.currency),
        **words(movement.five_ws),
    }


def signed(document: Document) -> bytes:
    """A statement and its SHA-256, in canonical form: written once, since it may be long."""
    written = canonical(document)
    return b'{"sha256":"%s","statement":%s}' % (
        hashlib.sha256(written).hexdigest().encode(),
        written,
    )


def canonical(document: Mapping[str, object]) -> bytes:
    """The one way to write a document: RFC 8785, for objects, lists, strings and whole numbers."""
    # Names are ASCII, so that order by character is order by UTF-16 unit as well.
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def time(at: datetime) -> str:
    """A moment as documents show it: UTC, microseconds only where there are some."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


_WORDS = (
    ("who", ("actor", "principal")),
    ("where", ("channel", "country")),
    ("why", ("program", "event", "reason")),
)


def words(five_ws: Mapping[str, object]) -> Document:
    """Who, where and why as fields of their own."""
    told: Document = {}
    for group, parts in _WORDS:
        values = five_ws.get(group)
        if isinstance(values, list):
            told.update(zip(parts, values, strict=True))
    return told


def _balances(currency: str, posted: int, held: int) -> Document:
    return {
        "posted": shown(posted, currency),
        "held": shown(held, currency),
        "available": shown(posted - held, currency),
    }
