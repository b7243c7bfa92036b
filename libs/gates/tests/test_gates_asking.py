"""Gate tables asked: the strictest over jurisdictions, the most lenient up to the level (X4)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tally_gates import (
    Act,
    Answer,
    Closed,
    EndpointClass,
    GateBook,
    GateRow,
    GateTable,
    Level,
    MustAct,
    Open,
    OpenTo,
    PartyKind,
    Question,
    Ruling,
    ask,
)
from tally_money import Money, currency

AT = datetime(2026, 6, 15, 12, tzinfo=UTC)
USD, EUR = currency("USD"), currency("EUR")


def usd(minor: int) -> Money:
    return Money(minor, USD)


def row(level=Level.NONE, answer=Answer.OPEN, found=EndpointClass.ANY, limit=None, **more):
    fields = {"act": Act.EXIT, "party_kind": PartyKind.PERSON, **more}
    return GateRow(level=level, endpoint_class=found, answer=answer, limit=limit, **fields)


def table(name, *rows, jurisdiction="*", version=1, begins=AT - timedelta(days=30), ends=None):
    return GateTable(name, version, frozenset(jurisdiction.split()), begins, rows, ends)


def question(*jurisdictions, level=Level.NONE, **more):
    asked = Question(
        frozenset(jurisdictions),
        PartyKind.PERSON,
        level,
        Act.EXIT,
        EndpointClass.CASH,
        usd(500),
        AT,
    )
    return replace(asked, **more)


def test_without_any_table_all_is_open_and_the_answer_says_so():
    assert ask(GateBook(), question("US")) == Open(None, "no table is published")


def test_x4_the_strictest_of_two_jurisdictions_decides_and_names_its_table():
    closed = row(
        answer=Answer.CLOSED, code="ask_first", remedy="show a paper", who_must_act=MustAct.COMPANY
    )
    book = GateBook(
        (table("usa", row(), jurisdiction="US"), table("eea", closed, jurisdiction="FR DE"))
    )
    assert ask(book, question("US")) == Open(Ruling("usa", 1))
    expected = Closed("ask_first", Ruling("eea", 1), "show a paper", MustAct.COMPANY)
    assert ask(book, question("US", "FR")) == expected


def test_default_table_binds_where_no_other_does_and_nowhere_else():
    book = GateBook((table("all", row(Level.BASIC)), table("usa", row(), jurisdiction="US")))
    assert ask(book, question("US")) == Open(Ruling("usa", 1))
    for jurisdictions in (["BR"], ["US", "BR"], []):
        answer = ask(book, question(*jurisdictions))
        assert isinstance(answer, Closed)
        assert (answer.code, answer.ruling) == ("level_not_listed", Ruling("all", 1))


def test_x8_a_question_is_answered_by_the_version_of_its_date():
    later = table("all", row(Level.ADVANCED), version=2, begins=AT)
    book = GateBook((later, table("all", row())))
    assert ask(book, question("US", at=AT - timedelta(microseconds=1))) == Open(Ruling("all", 1))
    assert ask(book, question("US")).ruling == Ruling("all", 2)
    before = question("US", at=AT - timedelta(days=31))
    assert ask(book, before) == Open(None, "no table is published")


def test_row_of_the_class_goes_before_one_for_any():
    rows = row(answer=Answer.CLOSED), row(found=EndpointClass.CLOSED_LOOP)
    for both in (rows, rows[::-1]):
        book = GateBook((table("all", *both),))
        assert isinstance(ask(book, question("US")), Closed)
        asked = question("US", endpoint_class=EndpointClass.CLOSED_LOOP)
        assert isinstance(ask(book, asked), Open)


def test_f27_what_a_table_names_for_no_level_is_open_and_for_higher_levels_alone_is_not():
    book = GateBook((table("all", row(Level.BASIC), row(Level.STANDARD, act=Act.CONVERT)),))
    assert ask(book, question("US", act=Act.RECEIVE)) == Open(Ruling("all", 1))
    assert isinstance(ask(book, question("US")), Closed)
    assert isinstance(ask(book, question("US", act=Act.CONVERT, level=Level.BASIC)), Closed)
    assert ask(book, question("US", party_kind=PartyKind.COMPANY)) == Open(Ruling("all", 1))


def test_who_can_rise_is_the_party_itself():
    for kind, must_act in ((PartyKind.PERSON, MustAct.PAYEE), (PartyKind.COMPANY, MustAct.COMPANY)):
        unlisted = row(Level.BASIC, party_kind=kind)
        for one in (unlisted, row(answer=Answer.CLOSED, party_kind=kind)):
            answer = ask(GateBook((table("all", one),)), question("US", party_kind=kind))
            assert isinstance(answer, Closed)
            assert answer.who_must_act is must_act
            assert "lists as missing" in answer.remedy


def test_table_that_has_ended_binds_no_more_and_its_older_version_does_not_come_back():
    ended = table("all", row(Level.BASIC), version=2, begins=AT - timedelta(days=1), ends=AT)
    book = GateBook((table("all", row(Level.ADVANCED)), ended))
    assert isinstance(ask(book, question("US", at=AT - timedelta(microseconds=1))), Closed)
    assert ask(book, question("US")) == Open(None, "no table is published")
    assert book.next_change(AT - timedelta(days=2)) == AT - timedelta(days=1)
    assert book.next_change(AT - timedelta(hours=2)) == AT
    assert book.next_change(AT) is None


def test_of_two_ceilings_the_lower_counts_and_it_covers_its_own_amount():
    def to(limit):
        return row(answer=Answer.OPEN_TO, limit=usd(limit))

    book = GateBook(
        (table("a", to(400), jurisdiction="US"), table("b", to(500), jurisdiction="FR"))
    )
    answer = ask(book, question("US", "FR"))
    assert isinstance(answer, OpenTo)
    assert (answer.limit, answer.ruling.table) == (usd(400), "a")
    assert answer.covers(usd(400))
    assert not answer.covers(usd(401))


def test_ceiling_in_another_currency_closes_rather_than_guesses():
    book = GateBook((table("all", row(answer=Answer.OPEN_TO, limit=Money(10_000, EUR))),))
    answer = ask(book, question("US"))
    assert isinstance(answer, Closed)
    assert (answer.code, answer.who_must_act) == ("currency_not_convertible", MustAct.OPERATOR)
    assert ask(book, question("US", amount=Money(1, EUR))).limit == Money(10_000, EUR)


LEVELS = list(Level)
ROWS = st.builds(
    lambda level, answer, found, limit, unit: row(
        level, answer, found, Money(limit, unit) if answer is Answer.OPEN_TO else None
    ),
    st.sampled_from(LEVELS),
    st.sampled_from(list(Answer)),
    st.sampled_from([EndpointClass.CASH, EndpointClass.ANY, EndpointClass.CLOSED_LOOP]),
    st.integers(1, 1_000),
    st.sampled_from([USD, EUR]),
)


def distinct(rows):
    """No two rows for the same level and class: a published table has none."""
    return {(one.level, one.endpoint_class): one for one in rows}.values()


PLACES = ["US", "FR", "DE", "BR"]
BOOKS = st.lists(
    st.tuples(
        st.sampled_from(["*", "FR DE", *PLACES]),
        st.integers(-3, 1),
        st.lists(ROWS, max_size=6).map(distinct),
    ),
    max_size=6,
).map(
    lambda found: [
        table(f"t{place}", *rows, jurisdiction=place, version=n, begins=AT + timedelta(days=days))
        for n, (place, days, rows) in enumerate(found, 1)
    ]
)


def strictness(answer) -> tuple[int, int]:
    """Greater is stricter."""
    if isinstance(answer, Open):
        return (0, 0)
    return (1, -answer.limit.minor) if isinstance(answer, OpenTo) else (2, 0)


@settings(max_examples=60, deadline=None)
@given(BOOKS, st.sets(st.sampled_from(PLACES), min_size=1), st.sampled_from(PLACES))
def test_one_more_jurisdiction_never_opens(tables, places, another):
    book = GateBook(tuple(tables))
    fewer, more = question(*places), question(*places, another)
    assert strictness(ask(book, more)) >= strictness(ask(book, fewer))


@settings(max_examples=60, deadline=None)
@given(BOOKS, st.sampled_from(PLACES), st.integers(0, 2))
def test_a_higher_level_never_closes(tables, place, below):
    book = GateBook(tuple(tables))
    lower, higher = (question(place, level=LEVELS[n]) for n in (below, below + 1))
    assert strictness(ask(book, higher)) <= strictness(ask(book, lower))


@settings(max_examples=40, deadline=None)
@given(BOOKS.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_order_of_tables_does_not_matter(both):
    one, other = (GateBook(tuple(tables)) for tables in both)
    asked = question("US", "FR", level=Level.STANDARD)
    assert ask(one, asked) == ask(other, asked)
