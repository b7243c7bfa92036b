"""Statements of an account: the same facts give the same bytes, whenever they are asked for (X8)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tally_portfolio.domain.books import Movement, shown

FORM, FORM_OF_A_PART = 1, 2
"""Versions of the form: a change of what a statement holds is another form, never one of these."""

Document = dict[str, object]


def statement(
    account: str,
    currency: str,
    *,
    since: datetime,
    until: datetime,
    opening: tuple[int, int],
    closing: tuple[int, int],
    entries: Sequence[Document],
) -> Document:
    """What happened on an account from `since` up to, not including, `until`, with all entries.

    `opening` and `closing` are posted and held, in minor units. It holds what facts say and nothing
    that may be said differently later: no alias, no purpose.
    """
    return {
        "form": FORM,
        "account": account,
        "currency": currency,
        "from": time(since),
        "until": time(until),
        "opening": _balances(currency, *opening),
        "closing": _balances(currency, *closing),
        "entries": entries,
    }


def part_of(document: Document, follows: str | None) -> Document:
    """A statement with some of its entries alone; `follows` is the digest of the part before.

    All parts together are the statement: their entries in one list, `form` 1 and no `follows`.
    """
    return document | {"form": FORM_OF_A_PART, "follows": follows}


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


class Written(NamedTuple):
    """A statement, or a part of one, in canonical form, and the digest of that."""

    text: bytes
    sha256: str

    def answer(self, after: str | None) -> bytes:
        """It and its digest, in canonical form; `after` is the cursor of the next part."""
        return b'{"next":%s,"sha256":"%s","statement":%s}' % (
            json.dumps(after).encode(),
            self.sha256.encode(),
            self.text,
        )


def written(document: Document) -> Written:
    """A statement with its SHA-256."""
    text = canonical(document)
    return Written(text, hashlib.sha256(text).hexdigest())


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
