"""A batch as a few texts: what goes in comes out of Postgres' side, and nothing can shift a row."""

from datetime import UTC
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tally_ledger.store.columns import Columns

ALL = Columns(
    1,
    name="text",
    number="bigint",
    amount="numeric",
    flag="boolean",
    note="text?",
    rest="numeric?",
    due="timestamptz?",
    at="timestamptz",
    digest="bytea",
)
_texts = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=("Cs",), exclude_characters="\x7f")
)
_times = st.datetimes(timezones=st.just(UTC))
_rows = st.tuples(
    _texts.filter(bool),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.booleans(),
    st.none() | _texts.filter(bool),
    st.none() | st.integers(0, 10**38 - 1),
    st.none() | _times,
    _times,
    st.binary(),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(_rows, min_size=1, max_size=5))
def test_every_value_arrives_as_it_was(ledger_rows: Any, rows: list[tuple[object, ...]]) -> None:
    assert ledger_rows(f"SELECT * FROM {ALL.rows}", ALL.texts(rows)) == rows


@pytest.fixture
def ledger_rows(postgres_stack: Any) -> Any:
    """Ask Postgres from a test that cannot await."""
    with psycopg.connect(postgres_stack.address.postgres_dsn, autocommit=True) as session:
        session.execute("SET timezone = 'UTC'")

        def ask(query: str, texts: list[str]) -> list[tuple[object, ...]]:
            for position in range(len(texts), 0, -1):
                query = query.replace(f"${position},", "%s::text,")
            found = session.execute(query.encode(), texts).fetchall()
            return [
                (*row[:2], int(row[2]), *row[3:5], *_integral(row[5:6]), *row[6:]) for row in found
            ]

        yield ask


def _integral(values: Any) -> Any:
    return [None if value is None else int(value) for value in values]


@pytest.mark.parametrize("value", ["a\x1fb", "\x1f"])
def test_a_separator_within_a_value_never_shifts_a_column(value: str) -> None:
    columns = Columns(1, first="text", second="text?")
    for row in ((value, "x"), ("x", value)):
        with pytest.raises(AssertionError, match="control character"):
            columns.texts([row, ("a", "b")])


def test_rows_must_be_of_one_width() -> None:
    with pytest.raises(ValueError, match="zip"):
        Columns(1, first="text", second="text").texts([("a", "b"), ("c",)])
