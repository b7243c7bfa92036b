"""What an id leads to and somebody sees, the newest first, found in the shorter of two lists."""

from enum import StrEnum
from typing import NamedTuple

from tally_portfolio.store.views import NEWEST, Place
from tally_postgres import Connection

FIRST_WINDOW = 200
"""So much of both lists is looked at first, then four times as much, and so on."""
_WIDER = 4
_ALL = 2**31 - 1
_KINDS = ("pay_in", "withdrawal", "designation")


class Way(StrEnum):
    """Which list is gone through: what the id leads to, or what the viewer sees.

    A page goes on by the way of the one before: a thing may be of another time in either list.
    """

    OF_THE_ID = "id"
    OF_THE_VIEWER = "viewer"


class Asked(NamedTuple):
    """An id, who looks, and which page: `limit` things at most, after a place."""

    key: str
    viewer: str
    limit: int
    after: Place = NEWEST


class Found(NamedTuple):
    """Things that were found, by which way, and where a page after them begins, None if none does."""

    subjects: list[str]
    way: Way
    after: Place | None


# Planned anew each time: one id leads to three things, another to half of all.
_PLAN_ANEW = "SET LOCAL plan_cache_mode = force_custom_plan"
_PLAN_AS_EVER = "SET LOCAL plan_cache_mode = auto"
_OF_KIND = """(
    SELECT at, subject FROM sight WHERE viewer = $2 AND kind = '{kind}' AND (at, subject) < ($3, $4)
    ORDER BY at DESC, subject DESC LIMIT $5
)"""
_LOOK = """
SELECT at, subject, nth, chosen FROM (
    SELECT at, subject, row_number() OVER (ORDER BY at DESC, subject DESC) AS nth,
           ({test} LIMIT 1) AS chosen
    FROM ({things} ORDER BY at DESC, subject DESC LIMIT $5) s
) x
WHERE chosen OR nth = $5 ORDER BY at DESC, subject DESC LIMIT $6
"""
_LOOKS = {
    Way.OF_THE_ID: _LOOK.format(
        test="SELECT true FROM sight x WHERE x.subject = s.subject AND x.viewer = $2",
        things="""
            SELECT at, subject FROM payment_key
            WHERE id = $1 AND shared AND (at, subject) < ($3, $4)
        """,
    ),
    Way.OF_THE_VIEWER: _LOOK.format(
        test="SELECT true FROM payment_key x WHERE x.id = $1 AND x.shared AND x.subject = s.subject",
        things=f"""
            SELECT at, subject FROM (
                {" UNION ALL ".join(_OF_KIND.format(kind=kind) for kind in _KINDS)}
            ) k
        """,
    ),
}


async def led_to_and_seen(conn: Connection, asked: Asked, way: Way | None = None) -> Found:
    """Things that an id leads to and somebody sees; `way` is that of the page before, if there is one.

    Neither list is a good one to go through for everybody: a payee sees a few things of an event of
    a hundred thousand, an operator millions beside those of a small one. None that is seen is left out.
    """
    await conn.execute(_PLAN_ANEW)
    found = await _found(conn, asked, way)
    # A page asks a dozen more statements, whose plans are the same for everybody.
    await conn.execute(_PLAN_AS_EVER)
    return found


async def _found(conn: Connection, asked: Asked, way: Way | None) -> Found:
    if way is not None:
        return await _look(conn, asked, way, _ALL) or Found([], way, None)
    window = FIRST_WINDOW
    while True:
        for each in Way:
            found = await _look(conn, asked, each, window)
            if found is not None:
                return found
        window *= _WIDER


async def _look(conn: Connection, asked: Asked, way: Way, window: int) -> Found | None:
    """A whole page, or all there is; None if the window ends before either."""
    limit = asked.limit
    rows = await conn.fetch(_LOOKS[way], asked.key, asked.viewer, *asked.after, window, limit + 1)
    found = [Place(row["at"], row["subject"]) for row in rows if row["chosen"]]
    if len(found) <= limit and rows and rows[-1]["nth"] == window:
        return None
    page = found[:limit]
    return Found([one.subject for one in page], way, page[-1] if len(found) > limit else None)
