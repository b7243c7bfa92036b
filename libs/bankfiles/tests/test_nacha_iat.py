"""International entries: identity, and the order and number of their addenda."""

import contextlib
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_bankfiles.nacha import (
    AchFile,
    Addenda05,
    Addenda10,
    Addenda11,
    Addenda12,
    Addenda13,
    Addenda14,
    Addenda15,
    Addenda16,
    Addenda17,
    Addenda18,
    Addenda98Iat,
    Addenda99Iat,
    Batch,
    Entry,
    FileHeader,
    IatAddenda,
    IatBatchHeader,
    IatEntry,
    NachaFileError,
    ReasonAction,
    notice_of,
    read_file,
    write_file,
)

SEVEN: tuple[IatAddenda, ...] = (
    Addenda10(
        transaction_type_code="BUS",
        foreign_payment_amount=95_000,
        foreign_trace_number="FT-1",
        receiving_name="RECEIVER ABROAD",
    ),
    Addenda11(originator_name="ORIGINATOR", originator_street_address="1 FIRST STREET"),
    Addenda12(originator_city_state="ALBANY*NY\\", originator_country_postal_code="US*12207\\"),
    Addenda13(
        originating_dfi_name="ORIGINATING BANK",
        originating_dfi_identification_number_qualifier="01",
        originating_dfi_identification="121042882",
        originating_dfi_branch_country_code="US",
    ),
    Addenda14(
        receiving_dfi_name="RECEIVING BANK",
        receiving_dfi_identification_number_qualifier="02",
        receiving_dfi_identification="DEUTDEFF",
        receiving_dfi_branch_country_code="DE",
    ),
    Addenda15(receiver_identification_number="R-1", receiver_street_address="2 ZWEITE STRASSE"),
    Addenda16(receiver_city_state="BERLIN\\", receiver_country_postal_code="DE*10115\\"),
)
REMITTANCE = Addenda17(payment_related_information="INVOICE 17")
CORRESPONDENT = Addenda18(
    foreign_correspondent_bank_name="BANK BETWEEN",
    foreign_correspondent_bank_identification_number_qualifier="01",
    foreign_correspondent_bank_identification_number="12345",
    foreign_correspondent_bank_branch_country_code="FR",
)
RETURN = Addenda99Iat(
    return_reason_code="R03",
    original_entry_trace_number="121042880000009",
    original_receiving_dfi_identification="23138010",
    original_forward_entry_payment_amount=100_000,
    addenda_information="NO SUCH ACCOUNT",
)
CHANGE = Addenda98Iat(
    change_code="C01",
    original_entry_trace_number="121042880000009",
    original_receiving_dfi_identification="23138010",
    corrected_data="DE89370400440532013000",
)
HEADER = IatBatchHeader(
    service_class_code=220,
    foreign_exchange_indicator="FV",
    iso_destination_country_code="DE",
    originator_identification="231380104",
    company_entry_description="TRADEPAYMT",
    iso_originating_currency_code="USD",
    iso_destination_currency_code="EUR",
    effective_entry_date=date(2026, 3, 3),
    originating_dfi_identification="12104288",
    batch_number=1,
)
ENTRY = IatEntry(
    transaction_code=22,
    routing="231380104",
    account="DE89370400440532013000",
    amount_minor=100_000,
    trace="121042880000001",
    addenda=SEVEN,
)


def file_of(*entries: IatEntry | Entry, **header: object) -> AchFile:
    head = FileHeader(
        immediate_destination="231380104",
        immediate_origin="121042882",
        file_creation_date=date(2026, 3, 2),
        immediate_destination_name="RECEIVING POINT",
        immediate_origin_name="SENDING POINT",
    )
    return AchFile(head, (Batch(replace(HEADER, **header), entries),))


def codes_of(file: AchFile) -> set[str]:
    with pytest.raises(NachaFileError) as caught:
        write_file(file)
    return {error.code for error in caught.value.errors}


DATA = write_file(file_of(replace(ENTRY, addenda=(*SEVEN, REMITTANCE, CORRESPONDENT))))
LINES = DATA.decode().splitlines()


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 5), st.none() | st.integers(0, 10**18 - 1)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["FF", "FV", "VF"]),
    st.sampled_from([("3", ""), ("1", "0.92"), ("2", "FX-1")]),
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_back_the_same(
    counts: list[tuple[int, int, int | None]], exchange: str, reference: tuple[str, str]
) -> None:
    entries = tuple(
        replace(
            ENTRY,
            trace=f"12104288{number:07}",
            addenda=(
                replace(SEVEN[0], foreign_payment_amount=foreign),
                *SEVEN[1:],
                *[REMITTANCE] * remittances,
                *[CORRESPONDENT] * banks,
            ),
        )
        for number, (remittances, banks, foreign) in enumerate(counts)
    )
    file = file_of(
        *entries,
        foreign_exchange_indicator=exchange,
        foreign_exchange_reference_indicator=reference[0],
        foreign_exchange_reference=reference[1],
    )
    assert read_file(write_file(file)) == file


def test_the_records_are_the_documented_ones() -> None:
    assert [line[:3] for line in LINES[3:12]] == [str(type_code) for type_code in range(710, 719)]
    assert LINES[2][12:16] == "0009"
    assert LINES[2][39:74].rstrip() == ENTRY.account
    assert LINES[3][6:24] == "000000000000095000"
    assert {line[87:] for line in LINES[3:12]} == {"0000001"}
    assert LINES[10][83:87] == LINES[11][83:87] == "0001"


def test_the_receiver_is_named_by_the_first_addenda() -> None:
    assert ENTRY.name == "RECEIVER ABROAD"


@pytest.mark.parametrize("missing", range(7))
def test_each_of_the_seven_addenda_is_mandatory(missing: int) -> None:
    six = SEVEN[:missing] + SEVEN[missing + 1 :]
    assert codes_of(file_of(replace(ENTRY, addenda=six))) == {"addenda_order"}


@pytest.mark.parametrize(
    ("addenda", "code"),
    [
        ((*SEVEN[::-1],), "addenda_order"),
        ((*SEVEN, SEVEN[0]), "addenda_order"),
        ((*SEVEN, CORRESPONDENT, REMITTANCE), "addenda_order"),
        ((*SEVEN, *[REMITTANCE] * 3), "addenda_count"),
        ((*SEVEN, *[CORRESPONDENT] * 6), "addenda_count"),
        ((), "addenda_order"),
        ((*SEVEN, RETURN), "transaction_code"),
        ((*SEVEN, CHANGE), "addenda_type"),
    ],
)
def test_addenda_out_of_order_or_number_are_refused(
    addenda: tuple[IatAddenda, ...], code: str
) -> None:
    assert code in codes_of(file_of(replace(ENTRY, addenda=addenda)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount_minor": 0}, "amount_zero"),
        ({"transaction_code": 24, "amount_minor": 0}, "sec_direction"),
        ({"transaction_code": 27}, "service_class"),
        ({"transaction_code": 21}, "transaction_code"),
        ({"routing": "231380105"}, "check_digit"),
        ({"trace": "999999990000001"}, "trace_odfi"),
    ],
)
def test_an_entry_outside_the_rules_is_refused(change: dict[str, object], code: str) -> None:
    assert code in codes_of(file_of(replace(ENTRY, **change)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"foreign_exchange_indicator": "XX"}, "foreign_exchange"),
        ({"foreign_exchange_reference_indicator": "4"}, "foreign_exchange"),
        ({"foreign_exchange_reference": "0.92"}, "foreign_exchange"),
        ({"foreign_exchange_reference_indicator": "1"}, "foreign_exchange"),
        ({"iso_destination_country_code": "D3"}, "country"),
        ({"iso_originating_currency_code": "DEM"}, "currency"),
        ({"iso_destination_currency_code": "EU"}, "currency"),
        ({"iat_indicator": "OTHER"}, "iat_indicator"),
        ({"iat_indicator": "IATCOR"}, "sec_unsupported"),
        ({"service_class_code": 280}, "service_class"),
    ],
)
def test_a_header_outside_the_rules_is_refused(change: dict[str, object], code: str) -> None:
    assert code in codes_of(file_of(ENTRY, **change))


@pytest.mark.parametrize(
    ("number", "start", "new", "code"),
    [
        (4, 4, "XXX", "transaction_type"),
        (7, 39, "04", "bank_qualifier"),
        (8, 75, "d", "country"),
        (9, 94, "2", "addenda_sequence"),
        (11, 84, "0002", "addenda_sequence"),
        (12, 84, "0002", "addenda_sequence"),
        (5, 2, "05", "addenda_type"),
        (3, 13, "0008", "addenda_count"),
    ],
)
def test_damage_is_reported(number: int, start: int, new: str, code: str) -> None:
    lines = list(LINES)
    old = lines[number - 1]
    lines[number - 1] = old[: start - 1] + new + old[start - 1 + len(new) :]
    with pytest.raises(NachaFileError) as caught:
        read_file("\n".join(lines).encode())
    assert (code, 3 if code == "addenda_count" else number) in {
        (error.code, error.line) for error in caught.value.errors
    }


@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), max_size=8))
@settings(max_examples=200)
def test_a_shot_up_file_never_crashes_the_reader(hits: list[tuple[int, int]]) -> None:
    data = bytearray(DATA)
    for position, value in hits:
        data[position] = value
    with contextlib.suppress(NachaFileError):
        read_file(bytes(data))


@pytest.mark.parametrize(
    ("notice", "code"),
    [
        (replace(RETURN, return_reason_code="X03"), "reason_code"),
        (replace(CHANGE, change_code="R01"), "reason_code"),
    ],
)
def test_a_notice_with_a_code_of_another_kind_is_refused(notice: IatAddenda, code: str) -> None:
    entry = replace(ENTRY, transaction_code=21, addenda=(*SEVEN, notice))
    assert code in codes_of(file_of(entry))


def test_a_return_is_written_and_names_the_original() -> None:
    entry = replace(ENTRY, transaction_code=21, addenda=(*SEVEN, RETURN))
    file = file_of(entry)
    assert read_file(write_file(file)) == file
    notice = notice_of(entry)
    assert notice is not None
    assert (notice.code, notice.action) == ("R03", ReasonAction.FIX_DETAILS)
    assert (notice.original_trace, notice.is_return) == ("121042880000009", True)


@pytest.mark.parametrize("before", [(), SEVEN])
def test_a_notification_of_change_is_written_and_carries_its_data(
    before: tuple[IatAddenda, ...],
) -> None:
    entry = replace(ENTRY, transaction_code=21, amount_minor=0, addenda=(*before, CHANGE))
    file = file_of(entry, iat_indicator="IATCOR", standard_entry_class_code="COR")
    assert read_file(write_file(file)) == file
    notice = notice_of(entry)
    assert notice is not None
    assert (notice.is_return, notice.corrected_data) == (False, "DE89370400440532013000")


def test_a_control_without_company_is_read() -> None:
    blank = [line[:44] + " " * 10 + line[54:] if line[0] == "8" else line for line in LINES]
    assert read_file("\n".join(blank).encode()) == read_file(DATA)


def test_a_domestic_entry_under_an_international_header_is_refused() -> None:
    domestic = Entry(
        transaction_code=22,
        routing="231380104",
        account="1",
        amount_minor=1,
        name="N",
        trace="121042880000001",
        addenda=(Addenda05(payment_related_information="X"),),
    )
    assert "record_mix" in codes_of(file_of(domestic))
