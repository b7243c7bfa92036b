"""A statement of a past time is the same bytes, whatever happens later and whoever rebuilds (X8, F53)."""

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_portfolio.domain.statement import canonical


@pytest.fixture
async def told(portfolio: Any, tree: Any, story: Any) -> Any:
    """A payee paid three times, an hour apart; two days have passed."""
    parties = tree().small().opens("ann", company="acme")
    parties.stories = [
        story(
            f"s{n}",
            at=story("x").at + timedelta(hours=n),
            owner=parties.party("ann"),
            company=parties.party("acme"),
        ).whole()
        for n in range(3)
    ]
    portfolio.clock.advance(timedelta(days=2))
    await portfolio.tell(parties, *parties.stories)
    return parties


async def _bytes(portfolio: Any, viewer: Any, account: str, query: str) -> bytes:
    async with portfolio.asks(viewer) as client:
        answer = await client.get(f"/wallets/{account}/statement?{query}")
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


async def test_x8_later_movements_and_another_order_leave_the_bytes_as_they_were(
    portfolio: Any, told: Any, story: Any, viewer_of: Any, fresh: Any
) -> None:
    viewer = viewer_of(told, "ann", "payee")
    account = told.stories[0].wallet
    queries = (
        "from=2026-09-21&until=2026-09-21T10:30:00Z",
        "at=2026-09-21T09:00:01Z",
        "from=2026-09-21T08:00:00Z&until=2026-09-21T09:00:00Z",
    )
    before = [await _bytes(portfolio, viewer, account, query) for query in queries]
    later = story(
        "late",
        at=told.stories[-1].at + timedelta(days=1),
        owner=told.party("ann"),
        company=told.party("zeta"),
    ).whole()
    await portfolio.tell(later)
    await portfolio.process(told.moves("ann", "root", "zeta").records[-1])
    assert [await _bytes(portfolio, viewer, account, query) for query in queries] == before

    records = [r for one in (told, *told.stories, later) for r in one.records]
    random.Random(5).shuffle(records)
    again = await fresh()
    again.clock.advance(timedelta(days=2))
    for record in records:
        await again.process(record)
    assert [await _bytes(again, viewer, account, query) for query in queries] == before


async def test_a_statement_adds_up_and_carries_the_digest_of_its_canonical_form(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told, "acme", "company")
    whole = await _bytes(
        portfolio, viewer, told.stories[0].wallet, "from=2026-09-21T08:30:00Z&until=2026-09-22"
    )
    answer = json.loads(whole)
    statement = answer["statement"]
    assert whole == canonical(answer)
    assert answer["sha256"] == hashlib.sha256(canonical(statement)).hexdigest()
    assert statement["opening"]["posted"]["amount"] == "0.00"
    assert [entry["kind"] for entry in statement["entries"]] == ["journal", "hold", "capture"] * 2
    assert [entry["balance"]["amount"] for entry in statement["entries"]] == [
        "100.00", "100.00", "0.00"
    ] * 2  # fmt: skip
    assert statement["closing"]["available"]["amount"] == "0.00"


async def _parts(portfolio: Any, viewer: Any, account: str, query: str) -> list[Any]:
    """All parts of a statement, each asked for by the `next` of the one before."""
    found = [json.loads(await _bytes(portfolio, viewer, account, query))]
    while found[-1]["next"] is not None:
        more = f"{query}&cursor={found[-1]['next']}"
        found.append(json.loads(await _bytes(portfolio, viewer, account, more)))
    return found


@pytest.mark.parametrize("limit", [1, 4, 8])
async def test_x8_parts_of_a_statement_are_a_chain_and_together_the_statement(
    portfolio: Any, told: Any, viewer_of: Any, limit: int
) -> None:
    viewer, account = viewer_of(told, "ann", "payee"), told.stories[0].wallet
    span = "from=2026-09-21&until=2026-09-22"
    (whole,) = await _parts(portfolio, viewer, account, span)
    assert (whole["statement"]["form"], len(whole["statement"]["entries"])) == (1, 9)
    parts = await _parts(portfolio, viewer, account, f"{span}&limit={limit}")
    statements = [part["statement"] for part in parts]
    sizes = [len(each["entries"]) for each in statements]
    assert sum(sizes) == 9
    assert all(size == limit for size in sizes[:-1])
    assert {each["form"] for each in statements} == {2}
    for part, before in zip(parts, [{"sha256": None}, *parts], strict=False):
        assert part["sha256"] == hashlib.sha256(canonical(part["statement"])).hexdigest()
        assert part["statement"].pop("follows") == before["sha256"]
    entries = [entry for each in statements for entry in each["entries"]]
    for each in statements:
        assert each | {"form": 1, "entries": entries} == whole["statement"]
    assert hashlib.sha256(canonical(whole["statement"])).hexdigest() == whole["sha256"]


async def test_a_statement_goes_on_only_where_its_span_has_movements(
    portfolio: Any, told: Any, viewer_of: Any
) -> None:
    viewer, account = viewer_of(told, "ann", "payee"), told.stories[0].wallet
    first = await _parts(portfolio, viewer, account, "from=2026-09-21&until=2026-09-22&limit=4")
    path = f"/wallets/{account}"
    async with portfolio.asks(viewer) as client:
        page = (await client.get(f"{path}/movements?limit=4")).json()
        for query in (
            f"from=2026-09-22&until=2026-09-23&cursor={first[0]['next']}",
            f"from=2026-09-20&until=2026-09-21&cursor={first[0]['next']}",
            f"at=2026-09-22&cursor={first[0]['next']}",
            f"from=2026-09-21&until=2026-09-22&cursor={page['next']}",
        ):
            answer = await client.get(f"{path}/statement?{query}")
            assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid"), query


async def test_f1_the_balance_at_any_past_time_is_the_sum_of_what_was_posted_before(
    portfolio: Any, told: Any, story: Any, viewer_of: Any
) -> None:
    viewer = viewer_of(told, "ann", "payee")
    resting = story("s5", at=told.stories[0].at + timedelta(hours=5), owner=told.party("ann"))
    await portfolio.tell(resting.posted())
    for at, posted in (
        ("2026-09-20", "0.00"),
        ("2026-09-21T13:00:00Z", "0.00"),
        ("2026-09-21T13:00:00.000001Z", "100.00"),
        ("2026-09-21T16:00:00+02:00", "100.00"),
        ("2026-09-30T00:00:00Z", None),
    ):
        if posted is None:
            async with portfolio.asks(viewer) as client:
                path = f"/wallets/{told.stories[0].wallet}/statement?at={at}"
                answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (409, "not_settled_yet")
        else:
            raw = await _bytes(
                portfolio, viewer, told.stories[0].wallet, f"at={at.replace('+', '%2B')}"
            )
            assert json.loads(raw)["statement"]["closing"]["posted"]["amount"] == posted


async def test_sums_of_hours_and_rows_agree_at_every_moment(portfolio: Any, told: Any) -> None:
    rows = await portfolio.rows("SELECT account, at, posted, held FROM movement")
    accounts = {row["account"] for row in rows}
    hours = await portfolio.rows("SELECT account, starts_at, posted, held FROM hour")
    for account in accounts:
        of_rows: dict[datetime, int] = {}
        for row in rows:
            if row["account"] == account:
                hour = row["at"].astimezone(UTC).replace(minute=0, second=0, microsecond=0)
                of_rows[hour] = of_rows.get(hour, 0) + row["posted"]
        kept = {h["starts_at"]: h["posted"] for h in hours if h["account"] == account}
        assert kept == of_rows


@given(
    st.dictionaries(
        st.text(alphabet="abcxyz_", min_size=1),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text()),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_the_canonical_form_reads_back_and_does_not_depend_on_the_order_of_names(
    document: dict[str, object],
) -> None:
    written = canonical(document)
    assert json.loads(written) == document
    assert canonical(dict(reversed(document.items()))) == written
