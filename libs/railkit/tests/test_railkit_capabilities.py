"""What a rail says it can do decides which amounts it takes."""

import pytest

from tally_money import Money
from tally_railkit import Action, Capabilities, EndpointClass, Limits, Rejected

DOLLARS = Capabilities(
    rail="ach",
    endpoint_class=EndpointClass.CASH,
    native_key="trace",
    currencies=frozenset({"USD"}),
    limits={"USD": Limits(Money.parse("1.00", "USD"), Money.parse("9.00", "USD"))},
)
ANY = Capabilities(rail="wallet", endpoint_class=EndpointClass.CASH, native_key="id")


@pytest.mark.parametrize(
    ("amount", "code", "refusal"),
    [
        ("1.00", "USD", None),
        ("9.00", "USD", None),
        ("0.99", "USD", Rejected("amount_below_limit", Action.OPERATOR)),
        ("9.01", "USD", Rejected("amount_above_limit", Action.OPERATOR)),
        ("5.00", "EUR", Rejected("currency_not_supported", Action.FIX_DETAILS)),
    ],
)
def test_amount_outside_currencies_and_limits_is_refused_with_a_code(amount, code, refusal):
    assert DOLLARS.refusal_of(Money.parse(amount, code)) == refusal


def test_rail_without_limits_takes_any_currency():
    assert ANY.refusal_of(Money.parse("0.001", "KWD")) is None


def test_limits_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="swap them"):
        Limits(Money.parse("2", "JPY"), Money.parse("1", "JPY"))
