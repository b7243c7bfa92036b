"""BAI2: all that a file says of money agrees, or nothing of it is read."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_bankfiles.bai2 import read_statements
from tally_bankfiles.camt import EntryStatus, MessageKind, StatementError
from tally_money import Money, currency

USD = currency("USD")
# 010 +10000, 015 +10750: 1000.00 in, 250.00 out; 8 records from 03 to 49.
DAY = """\
01,BANK,US,260922,0600,F1,,,2/
02,US,BANK,1,260921,2359,USD,2/
03,975312468,,010,1000000,,,015,1075000,,/
16,195,100000,V,260922,,WIRE-1,CUST-7,INVOICE INV-2026-0107
88,SECOND LINE, WITH A COMMA
16,475,20000,0,CHK-1,,/
16,495,5000,S,5000,0,0/
88,W-2,,OUTGOING WIRE
16,890,,,,,A NOTE, NO MONEY/
49,2200000,8/
98,2200000,1,10/
99,2200000,1,12/
"""


def code_of(text: str) -> tuple[str, int, str]:
    with pytest.raises(StatementError) as refused:
        read_statements(text.encode())
    assert refused.value.remedy
    return refused.value.code, refused.value.line, refused.value.field


def test_f12_a_days_credits_and_debits_are_read_with_their_words() -> None:
    (statement,) = read_statements(DAY.encode())
    assert (statement.kind, statement.account.number) == (MessageKind.STATEMENT, "975312468")
    assert (statement.opening, statement.closing) == (Money(1_000_000, USD), Money(1_075_000, USD))
    wire, check, out, note = statement.entries
    assert (wire.signed, wire.account_servicer_ref) == (Money(100_000, USD), "WIRE-1")
    assert (wire.booking_date, wire.value_date) == (date(2026, 9, 21), date(2026, 9, 22))
    (payment,) = wire.transactions
    assert payment.end_to_end_id == "CUST-7"
    assert payment.unstructured == ("INVOICE INV-2026-0107 SECOND LINE, WITH A COMMA",)
    assert (check.signed.minor, out.signed.minor) == (-20_000, -5_000)
    assert (out.account_servicer_ref, out.transactions[0].unstructured) == (
        "W-2",
        ("OUTGOING WIRE",),
    )
    assert note.status is EntryStatus.INFO
    assert wire.line == 4


def test_a_file_may_hold_several_groups_and_accounts() -> None:
    text = (
        "01,B,U,260922,0600,F2,,,2/\n"
        "02,U,B,1,260921,,EUR,2/\n03,A1,,010,0,,,015,0,,/\n49,0,2/\n"
        "03,A2,JPY,010,-500,,,015,-400,,/\n16,195,100,Z,,,/\n49,-800,3/\n98,-800,2,7/\n"
        "02,U,B,1,260921,,,1/\n03,A3,,010,5,,,015,5,,/\n49,10,2/\n98,10,1,4/\n"
        "99,-790,2,13/\n"
    )
    first, second, third = read_statements(text.encode())
    assert [s.currency.code for s in (first, second, third) if s.currency] == ["EUR", "JPY", "USD"]
    assert second.closing == Money(-400, currency("JPY"))
    assert third.kind is MessageKind.REPORT, "an interim day is not a statement"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (("015,1075000", "015,1075001"), ("statement_totals", 10, "49/control total")),
        (("49,2200000,8", "49,2200001,8"), ("statement_totals", 10, "49/control total")),
        (("49,2200000,8", "49,2200000,9"), ("statement_totals", 10, "49/number of records")),
        (("98,2200000,1,10", "98,2200000,2,10"), ("statement_totals", 11, "98/number of accounts")),
        (("98,2200000,1,10", "98,2200000,1,9"), ("statement_totals", 11, "98/number of records")),
        (("99,2200000,1,12", "99,0,1,12"), ("statement_totals", 12, "99/control total")),
        (("99,2200000,1,12/\n", ""), ("record_order", 0, "99")),
        (("01,BANK,US,260922,0600,F1,,,2/\n", ""), ("record_order", 1, "01")),
        ((",,2/\n02", ",,3/\n02"), ("unsupported_message", 1, "01/version")),
        (("1,260921", "2,260921"), ("field_format", 2, "02/group status")),
        (("1,260921", "1,261321"), ("field_format", 2, "02/as-of date")),
        (("USD,2", "ZZZ,2"), ("unknown_currency", 3, "03/currency")),
        (("16,195,100000", "16,195,1000.00"), ("field_format", 4, "16/amount")),
        (("16,195", "16,720"), ("field_format", 4, "16/type code")),
        (("100000,V", "100000,X"), ("field_format", 4, "16/funds type")),
        (("010,1000000,,,", ""), ("statement_totals", 10, "49/control total")),
        (("\n88,SECOND", "\n77,SECOND"), ("record_unknown", 5, "record code")),
    ],
)
def test_a_file_that_does_not_agree_is_refused_whole_with_its_place(
    change: tuple[str, str], refusal: tuple[str, int, str]
) -> None:
    assert change[0] in DAY
    assert code_of(DAY.replace(*change, 1)) == refusal


def test_entries_that_do_not_reach_the_closing_balance_are_refused() -> None:
    text = DAY.replace("015,1075000", "015,1075001").replace("2200000", "2200001")
    assert code_of(text) == ("statement_unbalanced", 3, "03/015")


def test_an_account_without_its_balances_is_refused() -> None:
    text = DAY.replace("010,1000000,,,", "").replace("2200000", "1200000")
    assert code_of(text) == ("balance_missing", 3, "03/010")


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    with pytest.raises(StatementError):
        read_statements(data)


@given(st.integers(0, len(DAY) - 1), st.sampled_from([",", "/", "\n", "9", "-", "A", ""]))
def test_one_changed_character_never_changes_the_money(at: int, put: str) -> None:
    """What still reads after a change says the same of balances and amounts."""
    (known,) = read_statements(DAY.encode())
    try:
        found = read_statements((DAY[:at] + put + DAY[at + 1 :]).encode())
    except StatementError:
        return
    assert sum(entry.signed.minor for entry in found[0].booked) == sum(
        entry.signed.minor for entry in known.booked
    )


def test_a_file_beyond_the_bound_is_refused_unread() -> None:
    with pytest.raises(StatementError) as refused:
        read_statements(b"0" * 101, max_bytes=100)
    assert refused.value.code == "too_large"
