from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_money import (
    MAX_MINOR,
    Currency,
    CurrencyMismatch,
    Fixed,
    InvalidShare,
    Money,
    Percent,
    Remainder,
    Rounding,
    Share,
    SplitExceedsTotal,
    SplitNoRemainder,
    Weight,
    allocate,
    currency,
    iso_currencies,
    split,
)

currencies = st.sampled_from(sorted(iso_currencies().values(), key=lambda unit: unit.code))
minors = st.integers(0, 10**6) | st.integers(0, MAX_MINOR)
weight_lists = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any)
percents = st.decimals(0, 100, places=6)
roundings = st.sampled_from(Rounding)


def usd(amount: str) -> Money:
    return Money.parse(amount, "USD")


def shares_in(unit: Currency) -> st.SearchStrategy[list[Share]]:
    fixed = st.builds(Fixed, st.builds(Money, st.integers(0, 10**6), st.just(unit)))
    parts = st.lists(fixed | st.builds(Percent, percents), max_size=4)
    takers = st.lists(st.builds(Weight, st.integers(0, 1000)), max_size=4) | st.just([Remainder()])
    return st.builds(lambda *lists: [*lists[0], *lists[1]], parts, takers).flatmap(st.permutations)


@given(currencies, minors, weight_lists)
def test_allocation_sums_exactly_and_stays_within_one_minor_unit(
    unit: Currency, minor: int, weights: list[int]
) -> None:
    parts = allocate(Money(minor, unit), weights)
    assert len(parts) == len(weights)
    assert sum(part.minor for part in parts) == minor
    assert {part.currency for part in parts} == {unit}
    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(minor * weight, sum(weights))
        assert part.minor >= 0
        assert abs(part.minor - exact) < 1


@given(currencies, minors, st.integers(1, 30))
def test_equal_weights_give_the_odd_units_to_the_earlier(
    unit: Currency, minor: int, count: int
) -> None:
    parts = [part.minor for part in allocate(Money(minor, unit), [1] * count)]
    assert parts == sorted(parts, reverse=True)
    assert parts[0] - parts[-1] <= 1


def _exact(total: Money, share: Share) -> Fraction:
    match share:
        case Fixed(amount):
            return Fraction(amount.minor)
        case Percent(percent):
            return total.minor * Fraction(percent) / 100
        case _:
            return Fraction(0)


def _takes_the_rest(share: Share) -> bool:
    return isinstance(share, Remainder) or (isinstance(share, Weight) and share.weight > 0)


@given(currencies, st.data(), roundings)
def test_split_sums_exactly_for_every_mix_of_shares_or_is_refused(
    unit: Currency, data: st.DataObject, rounding: Rounding
) -> None:
    shares = data.draw(shares_in(unit))
    total = Money(data.draw(minors), unit)
    try:
        parts = split(total, shares, rounding)
    except (SplitExceedsTotal, SplitNoRemainder):
        exact = sum(_exact(total, share) for share in shares)
        assert exact > total.minor or not any(_takes_the_rest(share) for share in shares)
        return
    assert len(parts) == len(shares)
    assert sum(part.minor for part in parts) == total.minor
    for part, share in zip(parts, shares, strict=True):
        assert part.minor >= 0
        assert part.currency == unit
        if isinstance(share, Fixed):
            assert part == share.amount
        if isinstance(share, Percent):
            assert abs(part.minor - total.minor * Fraction(share.percent) / 100) < 1
        if isinstance(share, Weight) and share.weight == 0:
            assert not part


@given(currencies, minors, st.lists(st.integers(0, 10**8), max_size=6), roundings)
def test_percentages_adding_to_100_always_take_the_whole(
    unit: Currency, minor: int, cuts: list[int], rounding: Rounding
) -> None:
    edges = [0, *sorted(cuts), 10**8]
    shares = [Percent(Decimal(b - a).scaleb(-6)) for a, b in pairwise(edges)]
    parts = split(Money(minor, unit), shares, rounding)
    assert sum(part.minor for part in parts) == minor


@given(currencies, minors, percents, roundings)
def test_percent_and_remainder_always_fit(
    unit: Currency, minor: int, percent: Decimal, rounding: Rounding
) -> None:
    part, rest = split(Money(minor, unit), [Percent(percent), Remainder()], rounding)
    assert part + rest == Money(minor, unit)


@given(minors, weight_lists)
def test_weights_alone_split_as_allocate_does(minor: int, weights: list[int]) -> None:
    total = Money(minor, currency("EUR"))
    assert split(total, [Weight(weight) for weight in weights]) == allocate(total, weights)


@pytest.mark.parametrize(
    ("rounding", "half_of_3", "half_of_5", "third_of_5"),
    [(Rounding.HALF_EVEN, 2, 2, 2), (Rounding.HALF_UP, 2, 3, 2), (Rounding.DOWN, 1, 2, 1)],
)
def test_percent_is_rounded_as_asked(
    rounding: Rounding, half_of_3: int, half_of_5: int, third_of_5: int
) -> None:
    def part(minor: int, percent: str) -> int:
        shares = [Percent(Decimal(percent)), Remainder()]
        return split(Money(minor, currency("JPY")), shares, rounding)[0].minor

    assert (part(3, "50"), part(5, "50"), part(5, "33.4")) == (half_of_3, half_of_5, third_of_5)


def test_fixed_percent_and_weights_take_their_turns_in_the_order_asked() -> None:
    shares = [Weight(2), Fixed(usd("10")), Percent(Decimal(25)), Weight(1)]
    assert split(usd("100.00"), shares) == (usd("43.33"), usd("10"), usd("25"), usd("21.67"))


@pytest.mark.parametrize(
    ("shares", "error"),
    [
        ([Fixed(usd("100.01"))], SplitExceedsTotal),
        ([Fixed(usd("60")), Percent(Decimal(50)), Remainder()], SplitExceedsTotal),
        ([Percent(Decimal(60)), Percent(Decimal(50)), Remainder()], SplitExceedsTotal),
        ([], SplitNoRemainder),
        ([Fixed(usd("99.99"))], SplitNoRemainder),
        ([Percent(Decimal("99.99"))], SplitNoRemainder),
        ([Weight(0)], SplitNoRemainder),
        ([Remainder(), Remainder()], InvalidShare),
        ([Weight(1), Remainder()], InvalidShare),
        ([Fixed(Money.parse("1", "EUR")), Remainder()], CurrencyMismatch),
    ],
)
def test_split_that_cannot_be_exact_is_refused(shares: list[Share], error: type[Exception]) -> None:
    with pytest.raises(error):
        split(usd("100.00"), shares)


def test_over_full_split_of_the_largest_amount_is_still_named_so() -> None:
    with pytest.raises(SplitExceedsTotal):
        split(Money(MAX_MINOR, currency("USD")), [Percent(Decimal(100)), Percent(Decimal(100))])


@pytest.mark.parametrize(
    "percent",
    ["-1", "-0", "100.000001", "0.0000001", "NaN", "sNaN", "Infinity", "1E-1000000", "1E+1000000"],
)
def test_percent_outside_its_bounds_is_refused(percent: str) -> None:
    with pytest.raises(InvalidShare):
        Percent(Decimal(percent))


@pytest.mark.parametrize("value", [12.5, 12, "12.5", None])
def test_percent_is_a_decimal_only(value: Decimal) -> None:
    with pytest.raises(InvalidShare):
        Percent(value)


@pytest.mark.parametrize("weight", [-1, 1.5, True, "1", None])
def test_weight_is_a_whole_number_only(weight: int) -> None:
    with pytest.raises(InvalidShare):
        Weight(weight)
    with pytest.raises(InvalidShare):
        allocate(usd("1"), [1, weight])


@pytest.mark.parametrize("weights", [[], [0], [0, 0]])
def test_allocation_needs_a_weight_above_zero(weights: list[int]) -> None:
    with pytest.raises(InvalidShare):
        allocate(usd("1"), weights)


def test_negative_amounts_are_neither_split_nor_allocated() -> None:
    with pytest.raises(InvalidShare):
        split(-usd("1"), [Remainder()])
    with pytest.raises(InvalidShare):
        allocate(-usd("1"), [1])
    with pytest.raises(InvalidShare):
        Fixed(-usd("1"))
