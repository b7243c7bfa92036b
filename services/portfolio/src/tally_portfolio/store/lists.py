"""Pages of what somebody sees, the newest first, by index alone."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tally_portfolio.domain.records import RETURNED
from tally_portfolio.store.views import Place
from tally_postgres import Connection

_OF_KIND = """(
    SELECT at, subject FROM sight
    WHERE viewer = $1 AND kind = ($2::text[])[{nth}] AND (at, subject) < ($3, $4)
    ORDER BY at DESC, subject DESC LIMIT $5
)"""
_NOTICED = """
SELECT at, subject FROM sight
WHERE viewer = $1 AND attention AND kind = ANY($2::text[]) AND (at, subject) < ($3, $4)
ORDER BY at DESC, subject DESC LIMIT $5
"""
# Looks no further than the last one that is taken, or than $5 things.
_CHOSEN = """
SELECT at, subject, nth, chosen FROM (
    SELECT at, subject, row_number() OVER (ORDER BY at DESC, subject DESC) AS nth, {test} AS chosen
    FROM ({things}) s
) x
WHERE chosen OR nth = $5 ORDER BY at DESC, subject DESC LIMIT $6
"""
# Whether a thing may have a value: whoever loads it looks again. Each has one row asked for by the index;
# Postgres may answer EXISTS by reading all that have the value.
_ROW = "(SELECT true FROM {table} x WHERE x.{key} = s.subject AND x.{field} = {{value}} LIMIT 1)"
_TOLD = """(
    SELECT true FROM record x
    WHERE x.subject = s.subject AND x.kind = {kind} AND x.told ->> {field} = {value} LIMIT 1
)"""
_CURRENCY = [
    _ROW.format(table=table, key=key, field="currency")
    for table, key in (("account", "account_id"), ("wallet", "account"))
]
_PAY_IN_STATE = [
    _ROW.format(table="pay_in", key="pay_in_id", field="state"),
    _TOLD.replace("{kind}", f"'{RETURNED}'").replace("{field}", "'state'"),
]
_TESTS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("wallet", "currency"): f"({' OR '.join(_CURRENCY)})",
        ("wallet", "purpose"): _ROW.format(table="wallet", key="account", field="purpose"),
        ("pay_in", "state"): f"({' OR '.join(_PAY_IN_STATE)})",
        ("pay_in", "source"): _ROW.format(table="pay_in", key="pay_in_id", field="source"),
        ("payout", "state"): _ROW.format(table="payout", key="payout_id", field="state"),
        ("payout", "rail"): _ROW.format(table="payout", key="payout_id", field="rail"),
        ("party", "kind"): _ROW.format(table="party", key="party_id", field="kind"),
    }
)
"""By kind of thing and field. What is of no kind here is a record, and tells its fields by name."""


class Look(NamedTuple):
    """Things that were found, how many were looked at, where that ended, and whether there may be more."""

    places: list[Place]
    looked_at: int
    end: Place | None
    more: bool


async def newest(
    conn: Connection, viewer: str, kinds: Sequence[str], after: Place, limit: int
) -> Look:
    """Things of these kinds that somebody sees."""
    rows = await conn.fetch(_newest(len(kinds)), viewer, kinds, *after, limit)
    places = [Place(*row) for row in rows]
    end = places[-1] if places else None
    return Look(places, len(places), end, more=len(places) == limit)


async def chosen(
    conn: Connection,
    viewer: str,
    kinds: Sequence[str],
    wanted: Sequence[tuple[str, str]],
    after: Place,
    *,
    most: int,
    window: int,
    noticed: bool,
) -> Look:
    """Things that may have all the values wanted, `most` at most, among the next `window` of these kinds.

    `noticed`: among those alone that somebody should look at.
    """
    tests, values = _tests(kinds[0], wanted, first=7)
    things = _NOTICED if noticed else _newest(len(kinds))
    query = _CHOSEN.format(test=" AND ".join(tests), things=things)
    rows = await conn.fetch(query, viewer, kinds, *after, window, most, *values)
    places = [Place(row["at"], row["subject"]) for row in rows if row["chosen"]]
    if not rows:
        return Look([], 0, None, more=False)
    nth = rows[-1]["nth"]
    end = Place(rows[-1]["at"], rows[-1]["subject"])
    return Look(places, nth, end, more=len(rows) == most or nth == window)


def _newest(kinds: int) -> str:
    """Of each kind as many as may be needed, merged as the index gives them."""
    each = " UNION ALL ".join(_OF_KIND.format(nth=nth) for nth in range(1, kinds + 1))
    return f"SELECT at, subject FROM ({each}) x ORDER BY at DESC, subject DESC LIMIT $5"


def _tests(kind: str, wanted: Sequence[tuple[str, str]], first: int) -> tuple[list[str], list[str]]:
    tests: list[str] = []
    values: list[str] = []

    def given(value: str) -> str:
        values.append(value)
        return f"${first + len(values) - 1}::text"

    for field, value in wanted:
        test = _TESTS.get((kind, field))
        if test is None:
            tests.append(_TOLD.format(kind=given(kind), field=given(field), value=given(value)))
        else:
            tests.append(test.format(value=given(value)))
    return tests, values
