"""What the admin API shows of the book; money in integer cents, dates as ISO text."""

import sqlite3
from dataclasses import dataclass
from datetime import date

from tally_bank_simulator.book import Book


@dataclass(frozen=True, slots=True)
class BookFilter:
    """Which entries to show: by state, changed on or after a date, trace, and a page."""

    state: str | None = None
    since: date | None = None
    trace: str | None = None
    after: int = 0
    limit: int | None = None


def book_view(book: Book, wanted: BookFilter) -> dict[str, object]:
    """Entries, their history and returns, totals per day, and traces executed more than once."""
    where: list[str] = ["entry_id > ?"]
    values: list[object] = [wanted.after]
    if wanted.state is not None:
        where.append("state = ?")
        values.append(wanted.state)
    if wanted.since is not None:
        where.append("changed_on >= ?")
        values.append(wanted.since.isoformat())
    if wanted.trace is not None:
        where.append("trace = ?")
        values.append(wanted.trace)
    limit = -1 if wanted.limit is None else wanted.limit
    chosen = " AND ".join(where)
    rows = book.rows(
        "SELECT e.*, b.upload_id, b.number AS batch_number FROM entries e JOIN batches b "
        f"USING (batch_id) WHERE {chosen} ORDER BY entry_id LIMIT ?",
        *values,
        limit,
    )
    items = book.rows(
        "SELECT i.*, f.name AS file FROM return_items i JOIN outfiles f USING (outfile_id) "
        f"WHERE entry_id IN (SELECT entry_id FROM entries WHERE {chosen} "
        "ORDER BY entry_id LIMIT ?) ORDER BY item_id",
        *values,
        limit,
    )
    notices: dict[int, list[dict[str, object]]] = {}
    for item in items:
        notices.setdefault(item["entry_id"], []).append(_item_view(item))
    return {
        "date": None if (day := book.day()) is None else day.isoformat(),
        "entries": [_entry_view(row, notices.get(row["entry_id"], [])) for row in rows],
        "days": _days(book),
        "repeated_traces": [
            row["trace"]
            for row in book.rows(
                "SELECT trace FROM entries WHERE state <> 'rejected' "
                "GROUP BY trace HAVING count(*) > 1 ORDER BY trace"
            )
        ],
    }


def _item_view(item: sqlite3.Row) -> dict[str, object]:
    names = ("behaviour", "code", "trace", "original_trace", "amount_cents", "file")
    return {**{name: item[name] for name in names}, "is_copy": bool(item["is_copy"])}


def _entry_view(row: sqlite3.Row, notices: list[dict[str, object]]) -> dict[str, object]:
    accepted_on = None if row["state"] == "rejected" else row["received_on"]
    history = [
        ("received", row["received_on"]),
        ("accepted", accepted_on),
        ("rejected", None if accepted_on else row["received_on"]),
        ("settled", row["settled_on"]),
        ("returned", row["returned_on"]),
    ]
    names = (
        "entry_id",
        "upload_id",
        "batch_number",
        "trace",
        "routing",
        "account",
        "amount_cents",
        "individual_id",
        "name",
        "direction",
        "transaction_code",
        "sec",
        "state",
        "reason",
        "settles_on",
        "return_code",
    )
    return {
        **{name: row[name] for name in names},
        "history": [{"state": state, "on": on} for state, on in history if on is not None],
        "notices": notices,
    }


def _days(book: Book) -> list[dict[str, object]]:
    totals: dict[str, dict[str, object]] = {}
    for state, column, extra in (
        ("accepted", "received_on", "state <> 'rejected'"),
        ("settled", "settled_on", "settled_on IS NOT NULL"),
        ("returned", "returned_on", "returned_on IS NOT NULL"),
    ):
        for row in book.rows(
            f"SELECT {column} AS day, direction, count(*) AS entries, "
            f"sum(amount_cents) AS cents FROM entries WHERE {extra} GROUP BY 1, 2 ORDER BY 1, 2"
        ):
            day = totals.setdefault(row["day"], {"date": row["day"]})
            day[f"{state}_{row['direction']}_count"] = row["entries"]
            day[f"{state}_{row['direction']}_cents"] = row["cents"]
    return [totals[day] for day in sorted(totals)]


def files_view(book: Book) -> dict[str, object]:
    """Every upload with its outcome, every file the bank wrote with its state and text."""
    uploads = book.rows(
        "SELECT upload_id, name, sha256, bytes, identity, received_at, received_on, outcome, "
        "reason, line, ack_name FROM uploads ORDER BY upload_id"
    )
    outfiles = book.rows(
        "SELECT name, kind, upload_id, created_on, state, content FROM outfiles ORDER BY outfile_id"
    )
    return {
        "uploads": [dict(row) for row in uploads],
        "outbound": [{**dict(row), "content": row["content"].decode("ascii")} for row in outfiles],
    }


def rules_view(book: Book) -> dict[str, object]:
    """The posted rules and whether account suffixes count."""
    return {
        "account_suffixes": book.setting("account_suffixes") != "off",
        "rules": [
            {
                "rule_id": active.rule_id,
                "left": active.left,
                **active.rule.model_dump(mode="json", exclude_defaults=True),
            }
            for active in book.rules()
        ],
    }
