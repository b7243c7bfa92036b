import pytest

from tally_money import (
    AssetKind,
    Currency,
    InvalidCurrency,
    UnknownCurrency,
    currency,
    iso_currencies,
)


@pytest.mark.parametrize(
    ("code", "exponent"),
    [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("UYW", 4), ("BHD", 3), ("XOF", 0)],
)
def test_exponent_is_the_one_of_iso_4217(code: str, exponent: int) -> None:
    assert currency(code) == Currency(code, exponent, AssetKind.FIAT)


@pytest.mark.parametrize(
    "code",
    ["AFN", "ALL", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SOS", "SYP", "YER"],
)
def test_currencies_shown_without_decimals_still_have_iso_minor_units(code: str) -> None:
    assert currency(code).exponent == 2


@pytest.mark.parametrize(
    "code",
    [
        "usd", "Usd", "XXX", "XTS", "XAU", "XDR", "DEM", "HRK", "BGN", "ZWL", "US", "USDD", "",
        " USD", "USD\n", "\uff35\uff33\uff24", "U\u0405D", "U" * 10_000, "\x00", None, 840, [], True,
    ],
)  # fmt: skip
def test_code_that_is_not_active_iso_4217_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency) as refused:
        currency(code)
    assert refused.value.code == "unknown_currency"
    assert not refused.value.retryable
    assert len(str(refused.value)) < 200
    assert str(refused.value).isascii()


def test_table_of_currencies_cannot_be_changed() -> None:
    table = iso_currencies()
    assert len(table) > 150
    with pytest.raises(TypeError):
        table["EUR"] = currency("JPY")  # type: ignore[index]


def test_other_assets_are_built_with_their_own_exponent() -> None:
    assert Currency("USDC", 6, AssetKind.CRYPTO).exponent == 6


@pytest.mark.parametrize(("code", "exponent"), [("usdc", 6), ("U", 2), ("USDC", -1), ("USDC", 19)])
def test_impossible_asset_is_refused(code: str, exponent: int) -> None:
    with pytest.raises(InvalidCurrency):
        Currency(code, exponent, AssetKind.CRYPTO)
