"""What a banking day does: returns before settlement, settlement, returns and notices after it."""

import sqlite3
from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby

from tally_bank_simulator.banking_days import is_banking_day
from tally_bank_simulator.book import Book
from tally_bank_simulator.nacha_fields import AMOUNT_CENTS_MAX
from tally_bank_simulator.nacha_write import FileHeading, ReturnItem, build_return_file
from tally_bank_simulator.planning import corrected_data
from tally_bank_simulator.rules import TRUE_RETURNS, Behaviour

_SEQUENCE_MODULUS = 10**7
_DUE = """
SELECT p.plan_id, p.behaviour, p.code, p.amount_cents AS planned_cents, p.corrected, p.is_copy,
       p.same_reference, e.entry_id, e.trace, e.routing, e.account, e.amount_cents, e.state,
       e.transaction_code, e.raw, e.addenda, b.header AS batch_header, u.header AS file_header,
       substr(u.header, 4, 20) AS parties
FROM plans p JOIN entries e USING (entry_id) JOIN batches b USING (batch_id)
     JOIN uploads u USING (upload_id)
WHERE p.done = 0 AND p.due_on <= ? AND (p.before_settlement = 1 OR e.state <> 'accepted')
ORDER BY p.is_copy, parties, p.plan_id
"""


def run_day(book: Book, day: date, at: datetime) -> None:
    """Do what is due on a banking day and remember the date; runs inside a transaction.

    Safe to repeat: whatever was done for the day is not due any more.
    """
    if is_banking_day(day):
        _deliver_due(book, day, at)
        book.write(
            "UPDATE entries SET state = 'settled', settled_on = ?, changed_on = ? "
            "WHERE state = 'accepted' AND settles_on <= ?",
            day.isoformat(),
            day.isoformat(),
            day.isoformat(),
        )
        _deliver_due(book, day, at)
    book.keep("banking_date", day.isoformat())


def _deliver_due(book: Book, day: date, at: datetime) -> None:
    due = book.rows(_DUE, day.isoformat())
    for _, group in groupby(due, key=lambda row: (row["is_copy"], row["parties"])):
        rows = list(group)
        book_rows = [row for row in rows if _is_still_true(row)]
        if book_rows:
            _write_return_file(book, book_rows, day, at)
        for row in rows:
            book.write("UPDATE plans SET done = 1 WHERE plan_id = ?", row["plan_id"])


def _is_still_true(row: sqlite3.Row) -> bool:
    """A second rule for an entry that was returned meanwhile must not return it again."""
    return bool(row["is_copy"]) or row["state"] in {"accepted", "settled"}


def _write_return_file(book: Book, rows: Sequence[sqlite3.Row], day: date, at: datetime) -> None:
    nth = 1 + book.number(
        "SELECT count(*) FROM outfiles WHERE kind = 'return' AND created_on = ?", day.isoformat()
    )
    taken: set[int] = set()
    items: list[ReturnItem] = []
    records: list[dict[str, object]] = []
    for row in rows:
        true_return = row["behaviour"] in TRUE_RETURNS
        if true_return and not row["is_copy"]:
            if row["entry_id"] in taken:
                continue
            taken.add(row["entry_id"])
            _mark_returned(book, row, day)
        item = _item(book, row)
        items.append(item)
        records.append(
            {
                "entry_id": row["entry_id"],
                "behaviour": row["behaviour"],
                "code": item.code,
                "trace": item.trace,
                "original_trace": item.original_trace,
                "amount_cents": item.amount_cents,
                "is_copy": row["is_copy"],
            }
        )
    heading = FileHeading(rows[0]["file_header"], on=day, at=at, nth=nth)
    outfile_id = book.insert(
        "outfiles",
        name=f"RET-{day.isoformat()}-{nth}.ach",
        kind="return",
        created_on=day.isoformat(),
        content=build_return_file(heading, items),
        state="waiting",
    )
    book.insert_many("return_items", [{**record, "outfile_id": outfile_id} for record in records])


def _mark_returned(book: Book, row: sqlite3.Row, day: date) -> None:
    touched = book.write(
        "UPDATE entries SET state = 'returned', returned_on = ?, changed_on = ?, return_code = ? "
        "WHERE entry_id = ? AND state IN ('accepted', 'settled')",
        day.isoformat(),
        day.isoformat(),
        row["code"],
        row["entry_id"],
    )
    assert touched == 1


def _item(book: Book, row: sqlite3.Row) -> ReturnItem:
    behaviour = Behaviour(row["behaviour"])
    amount_cents, corrected, original_trace = row["amount_cents"], None, row["trace"]
    if behaviour is Behaviour.WRONG_AMOUNT_RETURN:
        planned = row["planned_cents"]
        wrong_by = 1 if amount_cents < AMOUNT_CENTS_MAX else -1
        amount_cents = amount_cents + wrong_by if planned is None else planned
    elif behaviour is Behaviour.UNKNOWN_TRACE_RETURN:
        original_trace = _unknown_trace(book, row["trace"])
    elif behaviour is Behaviour.NOTICE_OF_CHANGE:
        amount_cents = 0
        corrected = row["corrected"] or corrected_data(
            row["code"], row["routing"], row["account"], row["transaction_code"]
        )
    return ReturnItem(
        batch_header=row["batch_header"],
        entry=row["raw"],
        addenda=tuple(row["addenda"].split("\n")) if row["addenda"] else (),
        code=row["code"],
        amount_cents=amount_cents,
        trace=_own_trace(book, row),
        original_trace=original_trace,
        corrected=corrected,
    )


def _own_trace(book: Book, row: sqlite3.Row) -> str:
    if row["is_copy"] and row["same_reference"]:
        first = book.row(
            "SELECT trace FROM return_items WHERE entry_id = ? AND behaviour = ? AND is_copy = 0 "
            "ORDER BY item_id DESC",
            row["entry_id"],
            row["behaviour"],
        )
        if first is not None:
            return str(first["trace"])
    sequence = int(book.setting("return_sequence") or 0) % (_SEQUENCE_MODULUS - 1) + 1
    book.keep("return_sequence", str(sequence))
    return f"{row['routing'][:8]}{sequence:07d}"


def _unknown_trace(book: Book, trace: str) -> str:
    """A trace of the same originating bank that is in no file this bank has seen."""
    sequence = _SEQUENCE_MODULUS - 1
    while True:
        unknown = f"{trace[:8]}{sequence:07d}"
        if book.row("SELECT 1 FROM entries WHERE trace = ?", unknown) is None:
            return unknown
        sequence -= 1
