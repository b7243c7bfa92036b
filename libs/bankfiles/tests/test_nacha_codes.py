"""Code tables, routing numbers, texts and notices."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_bankfiles.nacha import (
    CHANGE_REASONS,
    RETURN_REASONS,
    TRANSACTION_CODES,
    AccountType,
    AchTextError,
    Addenda98,
    Addenda98Refused,
    Addenda99,
    Addenda99Contested,
    CorrectedDataError,
    CorrectedDetails,
    Entry,
    Purpose,
    ReasonAction,
    action_for,
    corrected_details,
    is_routing_number,
    notice_of,
    remittance_addenda,
    return_transaction_code,
    routing_check_digit,
    to_ach_text,
)

ACTIONS = {
    ReasonAction.FIX_DETAILS: ("R02", "R03", "R04", "R13", "C01", "C02", "C07", "C09"),
    ReasonAction.FREEZE_PARTY: ("R14", "R15", "R16"),
    ReasonAction.DISABLE_METHOD: ("R23",),
    ReasonAction.RETRY_LATER: ("R01", "R09"),
    ReasonAction.MANDATE_REVOKED: ("R05", "R07", "R10", "R11", "R29"),
    ReasonAction.OPERATOR: ("R06", "R24", "R61", "R70", "R71", "R77", "R85", "C13", "C61", "C69"),
}


@pytest.mark.parametrize(
    ("code", "action"), [(code, action) for action, codes in ACTIONS.items() for code in codes]
)
def test_a_reason_code_leads_to_its_action(code: str, action: ReasonAction) -> None:
    assert action_for(code) is action


@pytest.mark.parametrize("code", ["R00", "R48", "R99", "C10", "C70", "", "r01", "XYZ"])
def test_an_unknown_reason_code_is_for_an_operator(code: str) -> None:
    assert code not in RETURN_REASONS
    assert code not in CHANGE_REASONS
    assert action_for(code) is ReasonAction.OPERATOR


def test_each_reason_is_filed_under_its_own_code_with_a_title() -> None:
    for table in (RETURN_REASONS, CHANGE_REASONS):
        for code, reason in table.items():
            assert reason.code == code
            assert reason.title
    assert len(RETURN_REASONS) == 70
    assert len(CHANGE_REASONS) == 20


@pytest.mark.parametrize(
    ("code", "account_type", "credit", "purpose"),
    [
        (22, AccountType.CHECKING, True, Purpose.PAYMENT),
        (27, AccountType.CHECKING, False, Purpose.PAYMENT),
        (23, AccountType.CHECKING, True, Purpose.PRENOTE),
        (38, AccountType.SAVINGS, False, Purpose.PRENOTE),
        (34, AccountType.SAVINGS, True, Purpose.REMITTANCE_ONLY),
        (29, AccountType.CHECKING, False, Purpose.REMITTANCE_ONLY),
        (31, AccountType.SAVINGS, True, Purpose.RETURN),
        (26, AccountType.CHECKING, False, Purpose.RETURN),
        (55, AccountType.LOAN, False, Purpose.PAYMENT),
    ],
)
def test_a_transaction_code_says_account_side_and_purpose(
    code: int, account_type: AccountType, credit: bool, purpose: Purpose
) -> None:
    known = TRANSACTION_CODES[code]
    assert (known.account_type, known.credit, known.purpose) == (account_type, credit, purpose)


@pytest.mark.parametrize("code", [0, 20, 25, 30, 35, 45, 57, 58, 59, 61, 99])
def test_codes_outside_the_table_are_none(code: int) -> None:
    assert code not in TRANSACTION_CODES
    with pytest.raises(ValueError, match="transaction code"):
        return_transaction_code(code)


@given(st.sampled_from(sorted(TRANSACTION_CODES)))
def test_a_return_keeps_account_type_and_side(code: int) -> None:
    before, after = TRANSACTION_CODES[code], TRANSACTION_CODES[return_transaction_code(code)]
    assert after.purpose is Purpose.RETURN
    assert (after.account_type, after.credit) == (before.account_type, before.credit)


@pytest.mark.parametrize("number", ["231380104", "121042882", "031300012", "053200019"])
def test_routing_numbers_with_the_right_check_digit_pass(number: str) -> None:
    assert is_routing_number(number)


@pytest.mark.parametrize(
    "number",
    [
        "000000000",
        "231380105",
        "23138010",
        "2313801044",
        "23138010A",
        "",
        "\u0661" * 9,
        " 23138010",
    ],
)
def test_anything_else_is_no_routing_number(number: str) -> None:
    assert not is_routing_number(number)


@given(st.integers(1, 99_999_999), st.integers(0, 8), st.integers(1, 9))
def test_one_wrong_digit_is_always_caught(eight: int, place: int, shift: int) -> None:
    number = f"{eight:08}{routing_check_digit(f'{eight:08}')}"
    assert is_routing_number(number)
    wrong = str((int(number[place]) + shift) % 10)
    assert not is_routing_number(number[:place] + wrong + number[place + 1 :])


@pytest.mark.parametrize("bad", ["", "1234567", "123456789", "1234567x"])
def test_a_check_digit_needs_eight_digits(bad: str) -> None:
    with pytest.raises(ValueError, match="eight digits"):
        routing_check_digit(bad)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("Ren\u00e9e  M\u00fcller-O'Neil ", "Renee Muller-O'Neil"),
        ("\u0418\u0432\u0430\u043d", "Ivan"),
        ("Stra\u00dfe\t7\n", "Strasse 7"),
        ("\u0141\u00f3d\u017a", "Lodz"),
        ("A\x00B", "AB"),
    ],
)
def test_text_becomes_ascii(given_text: str, expected: str) -> None:
    assert to_ach_text(given_text) == expected


@given(st.text(), st.integers(1, 30))
def test_ach_text_is_printable_fits_and_is_never_empty(original: str, width: int) -> None:
    try:
        converted = to_ach_text(original, width)
    except AchTextError:
        return
    assert converted == converted.strip()
    assert 1 <= len(converted) <= width
    assert converted.isascii()
    assert converted.isprintable()


@pytest.mark.parametrize("nothing", ["", "   ", "\x00\x01", "\u200b"])
def test_text_of_nothing_is_refused_rather_than_left_empty(nothing: str) -> None:
    with pytest.raises(AchTextError):
        to_ach_text(nothing)


ENTRY = Entry(
    transaction_code=21,
    routing="231380104",
    account="1",
    amount_minor=500,
    name="N",
    trace="076401250000001",
)


def test_a_return_names_the_original_and_its_amount() -> None:
    addenda = Addenda99(
        return_reason_code="R16",
        original_entry_trace_number="123456780000007",
        original_receiving_dfi_identification="12345678",
    )
    notice = notice_of(replace(ENTRY, addenda=(addenda,)))
    assert notice is not None
    assert (notice.code, notice.action) == ("R16", ReasonAction.FREEZE_PARTY)
    assert (notice.original_trace, notice.original_rdfi) == ("123456780000007", "12345678")
    assert (notice.amount_minor, notice.is_return) == (500, True)


def test_a_contested_return_speaks_with_its_own_code() -> None:
    addenda = Addenda99Contested(
        contested_dishonored_return_reason_code="R74",
        original_entry_trace_number="1" * 15,
        original_receiving_dfi_identification="1" * 8,
        return_trace_number="2" * 15,
        return_reason_code="01",
        dishonored_return_trace_number="3" * 15,
        dishonored_return_reason_code="69",
    )
    notice = notice_of(replace(ENTRY, addenda=(addenda,)))
    assert notice is not None
    assert (notice.code, notice.action) == ("R74", ReasonAction.OPERATOR)


def test_a_change_is_no_return_and_carries_its_corrections() -> None:
    addenda = Addenda98(
        change_code="C05",
        original_entry_trace_number="1" * 15,
        original_receiving_dfi_identification="1" * 8,
        corrected_data="32",
    )
    notice = notice_of(replace(ENTRY, amount_minor=0, addenda=(addenda,)))
    assert notice is not None
    assert (notice.is_return, notice.corrected_data) == (False, "32")


def test_a_refused_change_corrects_nothing() -> None:
    addenda = Addenda98Refused(
        refused_change_code="C65",
        original_entry_trace_number="1" * 15,
        original_receiving_dfi_identification="1" * 8,
        corrected_data="32",
        change_code="C05",
        trace_sequence_number="1" * 7,
    )
    notice = notice_of(replace(ENTRY, amount_minor=0, addenda=(addenda,)))
    assert notice is not None
    assert (notice.code, notice.is_return, notice.corrected_data) == ("C65", False, "")


def test_a_payment_carries_no_notice() -> None:
    assert notice_of(replace(ENTRY, addenda=remittance_addenda("INVOICE 1"))) is None


@pytest.mark.parametrize(
    ("code", "data", "expected"),
    [
        ("C01", "1918171614", CorrectedDetails(account="1918171614")),
        ("C02", "231380104", CorrectedDetails(routing="231380104")),
        ("C03", "231380104   77-1", CorrectedDetails(routing="231380104", account="77-1")),
        ("C04", "PAYEE ONE", CorrectedDetails(name="PAYEE ONE")),
        ("C05", "32", CorrectedDetails(transaction_code=32)),
        ("C06", f"{'771':20}32", CorrectedDetails(account="771", transaction_code=32)),
        (
            "C07",
            f"231380104{'771':17}32",
            CorrectedDetails(routing="231380104", account="771", transaction_code=32),
        ),
        ("C09", "PAY-1", CorrectedDetails(individual_id="PAY-1")),
        ("C13", "ANYTHING", CorrectedDetails()),
        ("C99", "ANYTHING", CorrectedDetails()),
    ],
)
def test_corrected_data_is_read_by_its_change_code(
    code: str, data: str, expected: CorrectedDetails
) -> None:
    assert corrected_details(code, data) == expected


@pytest.mark.parametrize(
    ("code", "data"),
    [("C01", ""), ("C02", "231380105"), ("C03", "231380104"), ("C05", "2"), ("C06", "771")],
)
def test_corrected_data_that_lacks_what_its_code_promises_is_refused(code: str, data: str) -> None:
    with pytest.raises(CorrectedDataError, match=code):
        corrected_details(code, data)
