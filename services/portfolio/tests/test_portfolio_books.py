"""Amounts are exact, sums follow from movements, and no persona is shown what the table does not name."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_money import MoneyError
from tally_portfolio.domain.books import Flow, Movement, flow_of, minor_of, running, shown
from tally_portfolio.domain.redaction import FIELDS, GRANTED, of_grant, redact
from tally_portfolio.domain.tree import PartyNews, version

AT = datetime(2026, 9, 21, 8, tzinfo=UTC)
_PERSONAS = ("operator", "aggregator", "company", "partner", "payee")


@given(minor=st.integers(-(10**37), 10**37), code=st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_a_currencys_amount_is_shown_and_read_back_exactly(minor: int, code: str) -> None:
    text = shown(minor, code)["amount"]
    assert minor_of(text.removeprefix("-"), code) * (-1 if text.startswith("-") else 1) == minor


@given(amount=st.decimals(0, 10**12, places=8))
def test_a_registered_asset_keeps_every_decimal_and_shows_no_more_than_it_has(
    amount: Decimal,
) -> None:
    text = shown(minor_of(f"{amount:f}", "XBT"), "XBT")["amount"]
    assert Decimal(text) == amount
    assert not ("." in text and text.endswith("0"))


@pytest.mark.parametrize("text", ["", "1,5", "-1", "1e3", "0.0000000000000000001"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        minor_of(text, "XBT")


def _movement(posted: int, held: int, seq: int) -> Movement:
    return Movement(
        "acc", AT, seq, f"trf_{seq}", "journal", "main", "USD", posted, held, Flow.MOVED, None,
        "jrn", "ref", "code", AT, {}, f"event-{seq}",
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(-999, 999), st.integers(-999, 999)), max_size=20))
def test_balances_run_back_from_the_newest_to_nothing(deltas: list[tuple[int, int]]) -> None:
    movements = [_movement(*delta, n) for n, delta in enumerate(deltas)]
    posted, held = (sum(delta[side] for delta in deltas) for side in (0, 1))
    after = list(running((posted, held), reversed(movements)))
    so_far = [
        tuple(sum(delta[side] for delta in deltas[: n + 1]) for side in (0, 1))
        for n in range(len(deltas))
    ]
    assert after == so_far[::-1]


def test_a_movement_is_money_in_money_out_or_neither_by_what_it_refers_to() -> None:
    assert [flow_of(f"{prefix}_1") for prefix in ("pin", "po", "agr", "")] == [
        Flow.RECEIVED, Flow.PAID, Flow.MOVED, Flow.MOVED
    ]  # fmt: skip


_news = st.builds(
    PartyNews,
    party_id=st.just("party_1"),
    tenant=st.just("t"),
    described=st.none() | st.sampled_from("abc"),
    placed=st.none() | st.sampled_from("abc"),
    merged_into=st.none() | st.just("party_2"),
    registered_at=st.none() | st.sampled_from([AT, AT + timedelta(hours=1)]),
)


def _of_one_telling(news: PartyNews) -> PartyNews:
    """The same fact always tells the same: fields follow from the versions."""
    fields = news.described and f"alias-{news.described}"
    return PartyNews(
        news.party_id, news.tenant, described=news.described, alias=fields,
        kind=fields, placed=news.placed, parent=news.placed and f"parent-{news.placed}",
        merged_into=news.merged_into, registered_at=news.registered_at,
    )  # fmt: skip


@given(st.lists(_news.map(_of_one_telling), min_size=1, max_size=6), st.randoms())
def test_news_of_a_party_come_to_the_same_in_any_order(news: list[PartyNews], order: Any) -> None:
    def merged(told: list[PartyNews]) -> PartyNews:
        first, *others = told
        for other in others:
            first = first.merged(other)
        return first

    straight = merged(news)
    order.shuffle(news)
    assert merged(news) == straight


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_versions_sort_as_time_does(one: datetime, other: datetime) -> None:
    if one.year > 999 < other.year and one != other:
        assert (version(one, "x") < version(other, "x")) == (one < other)


@pytest.mark.parametrize("persona", _PERSONAS)
@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_a_field_the_table_does_not_give_a_persona_is_never_shown(kind: str, persona: str) -> None:
    document: dict[str, object] = dict.fromkeys([*FIELDS[kind], "something_new"], "x")
    kept = redact(kind, persona, document).keys()
    assert kept == {name for name, seen_by in FIELDS[kind].items() if persona in seen_by}
    if persona == "operator":
        assert kept == FIELDS[kind].keys()


def test_each_tier_sees_no_less_than_the_one_below() -> None:
    for fields in FIELDS.values():
        for seen_by in fields.values():
            ranks = [persona in seen_by for persona in _PERSONAS]
            assert ranks == sorted(ranks, reverse=True)


def test_a_grant_opens_no_field_it_does_not_name() -> None:
    document: dict[str, object] = dict.fromkeys(FIELDS["wallet"], "x")
    for name, opened in GRANTED.items():
        assert of_grant([name], document).keys() == {"wallet_id", "currency"} | opened
    assert of_grant(["something_new"], document).keys() == {"wallet_id", "currency"}
