"""MT940: dialects are read, and what does not add up is refused whole."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_bankfiles.camt import StatementError
from tally_bankfiles.mt940 import read_statements
from tally_money import Money, currency

EUR = currency("EUR")
DAY = """\
{1:F01BANKDEFFXXXX0000000000}{2:I940BANKDEFFXXXXN}{4:
:20:STARTUMSE
:25:DE89370400440532013000
:28C:00231/001
:60F:C260921EUR1000,00
:61:2609220921CR1250,50NTRFCUST-7//BANK-1
:86:166?00SEPA?20SVWZ+Invoice INV-2026-010?217 thanks
:61:2609220921DR250,NTRFNONREF//BANK-2
:86:Rent for September
over two lines
:61:2609220921RC,50NRTINONREF
:61:2609220921RD1,NRTINONREF
:62F:C260921EUR2001,00
-}
"""


def code_of(text: str) -> tuple[str, int, str]:
    with pytest.raises(StatementError) as refused:
        read_statements(text.encode())
    assert refused.value.remedy
    return refused.value.code, refused.value.line, refused.value.field


def test_f12_entries_are_read_with_their_side_days_references_and_words() -> None:
    (statement,) = read_statements(DAY.encode())
    assert (statement.account.number, statement.account.is_iban) == ("DE89370400440532013000", True)
    assert (statement.legal_sequence, statement.page and statement.page.number) == (231, 1)
    assert (statement.opening, statement.closing) == (Money(100_000, EUR), Money(200_100, EUR))
    paid, rent, back, again = statement.entries
    assert (paid.signed.minor, paid.account_servicer_ref) == (125_050, "BANK-1")
    assert (paid.booking_date, paid.value_date) == (date(2026, 9, 21), date(2026, 9, 22))
    assert paid.transactions[0].end_to_end_id == "CUST-7"
    assert "INV-2026-0107 thanks" in " ".join(paid.transactions[0].unstructured)
    assert (rent.signed.minor, rent.transactions[0].end_to_end_id) == (-25_000, None)
    assert rent.transactions[0].unstructured == ("Rent for September", "over two lines")
    assert (back.signed.minor, back.reversal) == (-50, True)
    assert (again.signed.minor, again.reversal) == (100, True)
    assert paid.line == 6


def test_the_days_around_new_year_are_told_apart() -> None:
    text = DAY.replace("2609220921C", "2601021231C").replace("C260921EUR1", "C251231EUR1")
    paid = read_statements(text.encode())[0].entries[0]
    assert (paid.booking_date, paid.value_date) == (date(2025, 12, 31), date(2026, 1, 2))


def test_pages_of_a_statement_open_and_close_with_interim_balances() -> None:
    pages = (
        ":20:A\n:25:1/2\n:28C:5/1\n:60F:C260921EUR10,00\n:61:260921C5,NTRFX//B1\n:62M:C260921EUR15,\n"
        ":20:A\n:25:1/2\n:28C:5/2\n:60M:C260921EUR15,00\n:61:260921D5,NTRFX//B2\n:62F:C260921EUR10,\n"
    )
    first, second = read_statements(pages.encode())
    assert first.page is not None
    assert second.page is not None
    assert (first.page.last, second.page.last) == (False, True)
    assert first.closing == second.opening


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (("EUR2001,00", "EUR2001,01"), ("statement_unbalanced", 2, ":62F:")),
        (("CR1250,50", "CR1250,505"), ("too_many_decimals", 6, ":61:")),
        (("C260921EUR2001", "C260921USD2001"), ("currency_mismatch", 2, ":62F:")),
        (("EUR1000", "ZZZ1000"), ("unknown_currency", 2, ":60F:")),
        ((":60F:C260921EUR1000,00\n", ""), ("balance_missing", 2, ":60F:")),
        ((":62F:C260921EUR2001,00\n", ""), ("balance_missing", 2, ":62F:")),
        ((":20:STARTUMSE\n", ""), ("tag_order", 2, ":20:")),
        (("2609220921CR", "2613220921CR"), ("tag_format", 2, ":20:")),
        ((":61:2609220921DR250", ":61:rubbish"), ("tag_format", 2, ":20:")),
        ((":25:DE89370400440532013000\n", ""), ("field_missing", 2, ":25:")),
        (
            (":62F:C260921EUR2001,00", ":62F:C260921EUR2001,00\n:62F:C260921EUR2001,00"),
            ("balance_ambiguous", 2, ":62F:"),
        ),
    ],
)
def test_a_statement_that_does_not_agree_is_refused_whole_with_its_place(
    change: tuple[str, str], refusal: tuple[str, int, str]
) -> None:
    assert change[0] in DAY
    assert code_of(DAY.replace(*change, 1)) == refusal


def test_one_bad_statement_refuses_its_whole_file() -> None:
    good = ":20:A\n:25:1/2\n:60F:C260921EUR10,00\n:62F:C260921EUR10,00\n"
    bad = ":20:B\n:25:1/2\n:60F:C260921EUR10,00\n:62F:C260921EUR10,01\n"
    assert code_of(good + bad) == ("statement_unbalanced", 5, ":62F:")


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    with pytest.raises(StatementError):
        read_statements(data)


@given(st.text(alphabet=":0123456789FMCDREUR,/\nNTRF-?", max_size=300))
def test_no_text_of_tags_raises_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(StatementError):
        read_statements((":20:A\n" + text).encode())


@given(st.integers(0, len(DAY) - 1), st.sampled_from([",", ":", "\n", "9", "C", "D", "R", ""]))
def test_one_changed_character_never_changes_the_sum_unseen(at: int, put: str) -> None:
    (known,) = read_statements(DAY.encode())
    try:
        (found,) = read_statements((DAY[:at] + put + DAY[at + 1 :]).encode())
    except StatementError:
        return
    assert found.closing is not None
    assert found.opening is not None
    assert known.closing is not None
    assert sum(e.signed.minor for e in found.booked) == (found.closing - found.opening).minor


def test_null_bytes_and_files_beyond_the_bound_are_refused() -> None:
    assert code_of(":20:A\x00") == ("encoding", 0, ":20:")
    with pytest.raises(StatementError) as refused:
        read_statements(b":20:A\n" * 50, max_bytes=100)
    assert refused.value.code == "too_large"
