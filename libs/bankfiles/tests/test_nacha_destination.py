"""A return file is addressed to the id the bank gave its customer, not to a routing number."""

from dataclasses import replace
from datetime import date, datetime

import pytest

from tally_bankfiles.nacha import (
    Credit,
    NachaFileError,
    Origin,
    build_credit_file,
    read_file,
    write_file,
)

ORIGIN = Origin(
    immediate_destination="121042882",
    immediate_destination_name="BANK",
    immediate_origin="1234567890",
    immediate_origin_name="US",
    odfi_identification="12104288",
    company_name="US",
    company_identification="1234567890",
)
CREDIT = Credit(
    routing="121042882", account="1", amount_minor=100, individual_id="one", name="Payee"
)


def built():
    return build_credit_file(
        ORIGIN,
        [CREDIT],
        effective_date=date(2026, 11, 25),
        id_modifier="A",
        created_at=datetime(2026, 11, 24, 9, 0),  # noqa: DTZ001 - the bank's wall clock
    )


def test_a_file_addressed_to_a_customers_id_is_read() -> None:
    file = built()
    turned = replace(
        file,
        header=replace(
            file.header, immediate_destination="1234567890", immediate_origin="121042882"
        ),
    )
    assert read_file(write_file(turned)) == turned


def test_nine_digits_with_a_wrong_check_digit_are_still_an_error() -> None:
    data = write_file(built()).replace(b" 121042882", b" 121042883", 1)
    with pytest.raises(NachaFileError, match="check digit"):
        read_file(data)
