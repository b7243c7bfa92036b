"""A question put to the book: the strictest of what the tables that bind it say."""

from collections.abc import Iterable, Mapping
from typing import Final

from tally_gates.book import GateBook, GateTable
from tally_gates.rows import Answer, EndpointClass, GateRow, LimitRow, MustAct, PartyKind, Window
from tally_gates.rulings import Closed, Limit, Open, OpenTo, Question
from tally_money import Money

NO_TABLE: Final = "no table is published"
_NOT_CONVERTIBLE: Final = "currency_not_convertible"
_LEVEL_REMEDY: Final = "reach a higher identity level: open and finish the tasks that the party's identity lists as missing"

Used = Mapping[tuple[Window, EndpointClass], Money]
"""What has been used of limits so far, the asked item left out; what is missing is nothing."""


def ask(book: GateBook, question: Question) -> Open | OpenTo | Closed:
    """The strictest answer of the tables that bind the question on its date.

    A jurisdiction without a table of its own is bound by the default table. Without any table all is
    open, and the answer says so.
    """
    tables = book.gates_for(question.jurisdictions, question.at)
    answers = [_of(table, question) for table in tables]
    closed = [answer for answer in answers if isinstance(answer, Closed)]
    if closed:
        return closed[0]
    narrowed = [answer for answer in answers if isinstance(answer, OpenTo)]
    if narrowed:
        return min(narrowed, key=lambda answer: answer.limit.minor)
    return answers[0] if answers else Open(None, NO_TABLE)


def _of(table: GateTable, question: Question) -> Open | OpenTo | Closed:
    """What one table says: of the party's level and those below, the most lenient row counts.

    What it names for no level is open; what it names for higher levels alone is not.
    """
    about = [row for row in table.rows if _about(row, question)]
    if not about:
        return Open(table.ruling)
    rows: dict[int, GateRow] = {}
    for row in about:
        # A row for the class itself goes before one for any.
        if row.rank not in rows or row.endpoint_class is not EndpointClass.ANY:
            rows[row.rank] = row
    reached = [
        row for rank, row in sorted(rows.items(), reverse=True) if rank <= question.level.rank
    ]
    said = [_said(table, row, question) for row in reached]
    if not said:
        return Closed("level_not_listed", table.ruling, _LEVEL_REMEDY, _party(question))
    opened = [answer for answer in said if isinstance(answer, Open)]
    if opened:
        return opened[0]
    narrowed = [answer for answer in said if isinstance(answer, OpenTo)]
    if narrowed:
        return max(narrowed, key=lambda answer: answer.limit.minor)
    return said[0]


def _party(question: Question) -> MustAct:
    """Who rises by a level: the party itself."""
    return MustAct.COMPANY if question.party_kind is PartyKind.COMPANY else MustAct.PAYEE


def _about(row: GateRow, question: Question) -> bool:
    return (
        row.party_kind is question.party_kind
        and row.act is question.act
        and row.endpoint_class in {question.endpoint_class, EndpointClass.ANY}
    )


def _said(table: GateTable, row: GateRow, question: Question) -> Open | OpenTo | Closed:
    if row.answer is Answer.OPEN:
        return Open(table.ruling)
    remedy, must_act = row.remedy or _LEVEL_REMEDY, row.who_must_act or _party(question)
    if row.limit is None:
        return Closed(row.code or "level_too_low", table.ruling, remedy, must_act)
    if row.limit.currency != question.amount.currency:
        return _not_convertible(Limit(table.ruling, Window.ITEM, row.endpoint_class, row.limit))
    return OpenTo(row.limit, table.ruling, row.code or "limit_item_exceeded", remedy, must_act)


def binding(book: GateBook, question: Question) -> list[Limit]:
    """All limits the question has to stay within, by table, window and class.

    Of each, the highest limit of the party's level and those below binds; where only higher levels
    have one, that of the lowest of them binds all below it too, so that a higher level never closes
    anything. One in the currency of the amount goes before those in others. Of one level the lowest
    counts: a table has two only where words not known here are read as the same.
    """
    found: dict[tuple[str, Window, EndpointClass], dict[int, Limit]] = {}
    for table in book.limits_for(question.jurisdictions, question.at):
        for row in table.rows:
            if not _limits(row, question):
                continue
            limit = Limit(table.ruling, row.window, row.endpoint_class, row.limit)
            by_rank = found.setdefault((table.name, row.window, row.endpoint_class), {})
            known = by_rank.setdefault(row.rank, limit)
            if _goes_first(
                limit, known, question.amount, same=limit.limit.minor < known.limit.minor
            ):
                by_rank[row.rank] = limit
    return [_bound(found[key], question) for key in sorted(found)]


def _bound(by_rank: Mapping[int, Limit], question: Question) -> Limit:
    """The one of the limits of one window and class by level that binds the question."""
    bound = by_rank[min(by_rank)]
    for rank, limit in by_rank.items():
        is_wider = limit.limit.minor > bound.limit.minor
        if rank <= question.level.rank and _goes_first(
            limit, bound, question.amount, same=is_wider
        ):
            bound = limit
    return bound


def _limits(row: LimitRow, question: Question) -> bool:
    return row.act is question.act and row.endpoint_class in {
        question.endpoint_class,
        EndpointClass.ANY,
    }


def _goes_first(limit: Limit, known: Limit, amount: Money, *, same: bool) -> bool:
    """Whether a limit goes before another: by its currency, or by `same` where they share it."""
    mine, theirs = limit.limit.currency, known.limit.currency
    if mine == theirs:
        return same
    if amount.currency in {mine, theirs}:
        return mine == amount.currency
    return mine.code < theirs.code


def exceeded(
    limits: Iterable[Limit], question: Question, used: Used
) -> tuple[Limit, Closed] | None:
    """The limit the item asked about would exceed beside what has been used, and what is said of it.

    A limit of another currency is never guessed at: without a dated rate it closes. An item's own
    limit comes before those that time gives room in again, the longest window first.
    """
    amount = question.amount
    over = [
        limit
        for limit in limits
        if limit.limit.currency != amount.currency or _after(limit, amount, used) > limit.limit
    ]
    if not over:
        return None
    worst = min(over, key=lambda limit: _PATIENCE[limit.window])
    if worst.limit.currency != amount.currency:
        return worst, _not_convertible(worst)
    remedy = f"{_LEVEL_REMEDY}, or ask for less"
    if worst.window in {Window.DAY, Window.MONTH, Window.YEAR}:
        remedy = f"wait for the next {worst.window}, or {_LEVEL_REMEDY}"
    code = f"limit_{worst.window}_exceeded"
    return worst, Closed(code, worst.ruling, remedy, _party(question))


_PATIENCE: Final[Mapping[Window, int]] = {
    Window.ITEM: 0,
    Window.LIFETIME: 1,
    Window.YEAR: 2,
    Window.MONTH: 3,
    Window.DAY: 4,
}


def _after(limit: Limit, amount: Money, used: Used) -> Money:
    """What would be used with the item; an item's limit counts nothing before it."""
    if limit.window is Window.ITEM:
        return amount
    before = used.get((limit.window, limit.endpoint_class))
    return amount if before is None else before + amount


def _not_convertible(limit: Limit) -> Closed:
    code = limit.limit.currency.code
    remedy = f"use {code}: limits are in {code}, and no dated rate into it is known here"
    return Closed(_NOT_CONVERTIBLE, limit.ruling, remedy, MustAct.OPERATOR)
