"""F12: statements in BAI2 and MT940 become pay-ins as camt.053 does, whole or not at all."""

import base64
import gzip
from typing import Any

import pytest

from tally_bankfiles.camt import StatementError
from tally_contracts.funding import ImportStatement, StatementImported, StatementRefused
from tally_funding.statements.content import read_content

BAI2 = b"""\
01,BANK,US,260922,0600,F1,,,2/
02,US,BANK,1,260921,2359,USD,2/
03,975312468,,010,0,,,015,100000,,/
16,195,100000,V,260922,,WIRE-1,CUST-7,TALLY:supplier-payments:pty_7
49,200000,3/
98,200000,1,5/
99,200000,1,7/
"""
MT940 = b"""\
:20:STARTUMSE
:25:DE89370400440532013000
:28C:00231/001
:60F:C260921EUR0,00
:61:2609220921CR1000,00NTRFCUST-7//WIRE-1
:86:TALLY:supplier-payments:pty_7
:62F:C260921EUR1000,00
"""


def packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data)).decode()


async def imported(funding: Any, data: bytes, number: int = 1) -> tuple[Any, list[Any]]:
    command = ImportStatement(
        import_id=f"imp_0000000000000000000000000{number}",
        file_name="day.txt",
        content=packed(data),
        who={"actor": "user:treasury", "principal": "co_holder"},
    )
    await funding.process(
        funding.record(ImportStatement.TYPE, command, topic="funding.commands.v1")
    )
    *told, answer = await funding.told()
    return answer, told


@pytest.mark.parametrize(("data", "currency"), [(BAI2, "USD"), (MT940, "EUR")])
async def test_f12_a_credit_of_either_format_is_a_pay_in_once(
    funding: Any, data: bytes, currency: str
) -> None:
    answer, (received, journal) = await imported(funding, data)
    assert isinstance(answer, StatementImported)
    assert (answer.pay_ins, answer.already_known) == (1, 0)
    assert (received.source, received.external_id) == ("bank", "WIRE-1")
    assert (received.amount.currency, received.amount.amount) == (currency, "1000.00")
    assert str(received.value_date) == "2026-09-22"
    assert f"wallet/pty_7/{currency}" in [account.path for account in journal.open_accounts]
    again, told = await imported(funding, data, 2)
    assert (again.pay_ins, again.already_known, told) == (0, 1, [])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (BAI2.replace(b"015,100000", b"015,100001"), "statement_totals"),
        (
            BAI2.replace(b"015,100000", b"015,100001").replace(b"200000", b"200001"),
            "statement_unbalanced",
        ),
        (BAI2.replace(b"USD,2/", b"USD,3/"), "unsupported_message"),
        (MT940.replace(b"EUR1000,00\n", b"EUR1000,01\n"), "statement_unbalanced"),
        (MT940.replace(b":62F:", b":62X:"), "balance_missing"),
        (b"01;not;BAI2", "xml_encoding"),
    ],
)
async def test_a_file_that_does_not_balance_changes_nothing(
    funding: Any, data: bytes, code: str
) -> None:
    answer, told = await imported(funding, data)
    assert isinstance(answer, StatementRefused)
    assert (answer.code, told) == (code, [])
    assert answer.field
    assert answer.remedy
    assert await funding.value("SELECT count(*) FROM statement") == 0


def test_the_format_is_told_by_how_the_file_begins() -> None:
    assert read_content(packed(b"\n" + BAI2))[0].account.number == "975312468"
    assert read_content(packed(b"\xef\xbb\xbf" + MT940))[0].account.is_iban
    with pytest.raises(StatementError):
        read_content(packed(b"<a/>"))
