"""Amounts built from exact money, and amounts read from the wire."""

import copy
import pickle

import pytest
from pydantic import ValidationError

from tally_contracts.base import Amount, AskedAmount, AssetAmount, PositiveAmount
from tally_money import AmountFormat, Money, currency


@pytest.mark.parametrize("shape", [AskedAmount, AssetAmount, Amount, PositiveAmount])
def test_amount_of_money_is_the_one_that_is_read(shape: type[AskedAmount]) -> None:
    read = shape(currency="JPY", amount="1250")
    made = shape.of(Money(1250, currency("JPY")))
    assert made == read
    assert hash(made) == hash(read)
    assert made.model_fields_set == read.model_fields_set
    assert made.model_dump_json() == read.model_dump_json()
    assert made.money() == Money(1250, currency("JPY"))
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(ValidationError, match="frozen"):
        made.amount = "1"


def test_amount_that_is_refused_is_refused_again_after_others_were_read() -> None:
    for _ in range(2):
        Amount(currency="USD", amount="1.25")
        with pytest.raises(ValidationError) as refused:
            Amount(currency="JPY", amount="1.25")
        assert refused.value.errors()[0]["type"] == "too_many_decimals"
        with pytest.raises(AmountFormat):
            AskedAmount(currency="USD", amount="1.2.5").money()
