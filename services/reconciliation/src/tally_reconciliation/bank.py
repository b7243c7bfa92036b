"""The bank's own book, read page by page over its admin API into a temporary table."""

from typing import Any

import httpx

from tally_reconciliation.errors import BankUnreadable
from tally_reconciliation.evidence import BANK
from tally_reconciliation.snapshot import Snapshot, fill

_PAGE_ENTRIES = 5000
_TIMEOUT_S = 30


async def read_book(snap: Snapshot, url: str) -> str:
    """Fill `seen_bank` with the whole book; the bank's date. Raises `BankUnreadable`.

    To be read after the snapshot was taken: then the bank may be ahead of the rows, never behind.
    """
    try:
        async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S) as client:
            after, date = 0, ""
            while True:
                page = await _page(client, after)
                date = date or page["date"] or ""
                rows = [_row(entry) for entry in page["entries"]]
                await fill(snap.conn, "seen_bank", BANK, rows)
                if len(rows) < _PAGE_ENTRIES:
                    return date
                after = page["entries"][-1]["entry_id"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        raise BankUnreadable(url, f"{type(error).__name__}: {error}"[:200]) from error


async def _page(client: httpx.AsyncClient, after: int) -> Any:
    answer = await client.get("/book", params={"after": after, "limit": _PAGE_ENTRIES})
    answer.raise_for_status()
    return answer.json()


def _row(entry: Any) -> tuple[object, ...]:
    return (
        int(entry["entry_id"]),
        str(entry["trace"]),
        int(entry["amount_cents"]),
        str(entry["direction"]),
        str(entry["state"]),
        str(entry["history"][-1]["on"]),
    )
