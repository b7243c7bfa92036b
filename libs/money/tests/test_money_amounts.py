import copy
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_money import (
    MAX_MINOR,
    AmountFormat,
    AmountTooLarge,
    Currency,
    CurrencyMismatch,
    Money,
    TooManyDecimals,
    UnknownCurrency,
    currency,
    iso_currencies,
)

currencies = st.sampled_from(sorted(iso_currencies().values(), key=lambda unit: unit.code))
minors = st.integers(0, MAX_MINOR)
signed = st.integers(-(10**30), 10**30)


@given(currencies, minors)
def test_wire_form_reads_back_as_the_same_money(unit: Currency, minor: int) -> None:
    money = Money(minor, unit)
    assert Money.parse(money.wire_amount, unit.code) == money


@given(currencies, minors)
def test_wire_form_has_exactly_the_decimals_of_the_currency(unit: Currency, minor: int) -> None:
    whole, _, decimals = Money(minor, unit).wire_amount.partition(".")
    assert len(decimals) == unit.exponent
    assert whole == str(int(whole))
    assert int(whole + decimals) == minor


@given(currencies, st.data())
def test_fewer_decimals_mean_the_same_amount(unit: Currency, data: st.DataObject) -> None:
    places = data.draw(st.integers(0, unit.exponent))
    value = data.draw(st.decimals(0, 10**12, places=places))
    assert Money.parse(f"{value:f}", unit.code).minor == int(value.scaleb(unit.exponent))


@pytest.mark.parametrize(
    ("amount", "code", "minor", "wire"),
    [
        ("0", "USD", 0, "0.00"),
        ("0.5", "USD", 50, "0.50"),
        ("1.25", "KWD", 1250, "1.250"),
        ("7", "JPY", 7, "7"),
        ("0.0001", "CLF", 1, "0.0001"),
        ("9" * 38, "JPY", 10**38 - 1, "9" * 38),
        ("9" * 36 + ".99", "USD", 10**38 - 1, "9" * 36 + ".99"),
    ],
)
def test_amount_is_read_and_written(amount: str, code: str, minor: int, wire: str) -> None:
    money = Money.parse(amount, code)
    assert (money.minor, money.wire_amount) == (minor, wire)


@pytest.mark.parametrize(
    "amount",
    [
        "-1", "-0", "+1", "NaN", "sNaN", "Infinity", "-Infinity", "inf", "1e400", "1E2", "1e-2",
        "", " ", " 1", "1 ", "1\n", "\t1", "1.", ".5", ".", "1..2", "1.2.3", "01", "00", "00.5",
        "1,000", "1_000", "1'000", "0x10", "\uff11\uff12", "1\u066b5", "\u0663", "1\u00a0000", "1\u200b", "\x001",
        "²", "½", "null", "true", "$1",
        1, 1.5, 0.1, True, None, Decimal(1), b"1", ["1"], {"amount": "1"},
    ],
)  # fmt: skip
def test_amount_that_is_no_plain_decimal_string_is_refused(amount: str) -> None:
    with pytest.raises(AmountFormat) as refused:
        Money.parse(amount, "USD")
    assert refused.value.code == "amount_format"
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("amount", "code"),
    [("1.0", "JPY"), ("0.001", "USD"), ("1.2345", "KWD"), ("1.00000", "CLF"), ("0.000", "EUR")],
)
def test_more_decimals_than_the_currency_has_are_refused_even_if_zero(
    amount: str, code: str
) -> None:
    with pytest.raises(TooManyDecimals) as refused:
        Money.parse(amount, code)
    assert refused.value.code == "too_many_decimals"


@pytest.mark.parametrize(
    ("amount", "code"),
    [("1" + "0" * 38, "JPY"), ("1" + "0" * 36, "USD"), ("1" + "0" * 36 + ".1", "USD"),
     ("9" * 10_000, "USD"), ("9" * 100_000, "JPY")],
)  # fmt: skip
def test_more_than_38_digits_are_refused_at_any_length(amount: str, code: str) -> None:
    with pytest.raises(AmountTooLarge) as refused:
        Money.parse(amount, code)
    assert refused.value.code == "amount_too_large"
    assert len(str(refused.value)) < 200


def test_unknown_currency_is_refused_before_the_amount_is_read() -> None:
    with pytest.raises(UnknownCurrency):
        Money.parse("1.00", "usd")


@given(st.text(), st.sampled_from(["USD", "JPY", "CLF"]))
def test_any_text_is_read_exactly_or_refused(amount: str, code: str) -> None:
    try:
        money = Money.parse(amount, code)
    except (AmountFormat, TooManyDecimals, AmountTooLarge):
        return
    assert Decimal(amount) == Decimal(money.wire_amount)


@pytest.mark.parametrize("minor", [1.0, 0.1, True, "1", Decimal(1), None])
def test_minor_units_are_integers_only(minor: int) -> None:
    with pytest.raises(AmountFormat):
        Money(minor, currency("USD"))


@pytest.mark.parametrize("minor", [MAX_MINOR + 1, -MAX_MINOR - 1])
def test_money_never_exceeds_what_the_database_holds(minor: int) -> None:
    with pytest.raises(AmountTooLarge):
        Money(minor, currency("USD"))
    with pytest.raises(AmountTooLarge):
        Money(MAX_MINOR, currency("USD")) + Money(1, currency("USD"))


def test_negative_amount_has_no_wire_form() -> None:
    with pytest.raises(AmountFormat):
        _ = Money(-1, currency("USD")).wire_amount


@given(currencies, signed, signed)
def test_arithmetic_and_order_are_those_of_the_minor_units(unit: Currency, a: int, b: int) -> None:
    left, right = Money(a, unit), Money(b, unit)
    assert (left + right).minor == a + b
    assert (left - right).minor == a - b
    assert (-left).minor == -a
    assert (left < right, left <= right, left > right, left >= right, left == right) == (
        a < b, a <= b, a > b, a >= b, a == b,
    )  # fmt: skip
    assert bool(left) == (a != 0)


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_two_currencies_never_mix(operator: str) -> None:
    with pytest.raises(CurrencyMismatch) as refused:
        getattr(Money.parse("1", "USD"), operator)(Money.parse("1", "EUR"))
    assert refused.value.code == "currency_mismatch"
    assert Money.parse("1", "USD") != Money.parse("1", "EUR")


def test_text_form_shows_sign_and_currency() -> None:
    assert str(Money(-5, currency("KWD"))) == "-0.005 KWD"
    assert str(Money(1234, currency("JPY"))) == "1234 JPY"


def test_money_is_immutable_and_survives_copy_and_pickle() -> None:
    money = Money.parse("1.25", "EUR")
    with pytest.raises(AttributeError):
        money.minor = 2  # type: ignore[misc]
    assert copy.deepcopy(money) == pickle.loads(pickle.dumps(money)) == money
    assert len({money, copy.copy(money)}) == 1
