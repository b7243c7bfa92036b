"""What the reader reports, and that no damage passes or crashes it."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tally_bankfiles.nacha import (
    AchFile,
    Addenda98,
    Addenda99,
    Batch,
    Credit,
    Entry,
    NachaError,
    NachaFileError,
    Origin,
    build_credit_file,
    iter_entries,
    read_file,
    remittance_addenda,
    write_file,
)

ORIGIN = Origin(
    immediate_destination="231380104",
    immediate_destination_name="RECEIVING POINT",
    immediate_origin="076401251",
    immediate_origin_name="SENDING POINT",
    odfi_identification="07640125",
    company_name="SENDER",
    company_identification="1076401251",
)
PAYEE = Credit(
    routing="231380104",
    account="744-5678-99",
    amount_minor=12_345,
    individual_id="PAY0001",
    name="PAYEE ONE",
    addenda=remittance_addenda("INVOICE 17"),
)
FILE = build_credit_file(
    ORIGIN,
    (PAYEE, replace(PAYEE, amount_minor=99)),
    effective_date=date(2026, 3, 3),
    id_modifier="A",
    created_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
    sec="CCD",
)
DATA = write_file(FILE)
LINES = tuple(DATA.decode().splitlines())
"""1 header, 2 batch, 3 entry, 4 addenda, 5 entry, 6 addenda, 7 batch and 8 file control, 9-10 fill"""


def errors_of(data: bytes) -> tuple[NachaError, ...]:
    with pytest.raises(NachaFileError) as caught:
        read_file(data)
    return caught.value.errors


def places(data: bytes) -> list[tuple[str, int, str]]:
    return [(error.code, error.line, error.field) for error in errors_of(data)]


def with_line(number: int, text: str) -> bytes:
    lines = list(LINES)
    lines[number - 1] = text
    return "\n".join(lines).encode("latin-1")


def altered(number: int, start: int, new: str) -> bytes:
    """The sample with other characters from a 1-based position of one line on."""
    old = LINES[number - 1]
    return with_line(number, old[: start - 1] + new + old[start - 1 + len(new) :])


def test_the_sample_itself_is_sound() -> None:
    assert read_file(DATA) == FILE


@pytest.mark.parametrize(
    ("number", "start", "new", "expected"),
    [
        (1, 2, "02", ("fixed_value", 1, "priority_code")),
        (1, 4, " 231380105", ("check_digit", 1, "immediate_destination")),
        (1, 14, "07640-1251", ("immediate_origin", 1, "immediate_origin")),
        (1, 24, "260231", ("date", 1, "file_creation_date")),
        (1, 30, "2460", ("time", 1, "file_creation_time")),
        (1, 34, "a", ("file_id_modifier", 1, "file_id_modifier")),
        (1, 35, "095", ("fixed_value", 1, "record_size")),
        (2, 2, "230", ("service_class", 2, "service_class_code")),
        (2, 5, " " * 16, ("mandatory_field", 2, "company_name")),
        (2, 51, "XYZ", ("sec_unsupported", 2, "standard_entry_class_code")),
        (2, 70, "26023A", ("date", 2, "effective_entry_date")),
        (3, 2, "25", ("transaction_code", 3, "transaction_code")),
        (3, 2, "27", ("service_class", 3, "transaction_code")),
        (3, 4, "231380105", ("check_digit", 3, "receiving_dfi_identification")),
        (3, 30, "00000x2345", ("not_numeric", 3, "amount")),
        (3, 79, "0", ("addenda_indicator", 3, "addenda_record_indicator")),
        (3, 79, "2", ("addenda_indicator", 3, "addenda_record_indicator")),
        (3, 80, "07640126", ("trace_odfi", 3, "trace_number")),
        (3, 94, "2", ("trace_order", 5, "trace_number")),
        (4, 2, "06", ("addenda_type", 4, "addenda_type_code")),
        (4, 84, "0002", ("addenda_sequence", 4, "addenda_sequence_number")),
        (4, 94, "9", ("addenda_sequence", 4, "entry_detail_sequence_number")),
        (4, 10, "\u00e9", ("character", 4, "payment_related_information")),
        (7, 2, "200", ("service_class", 7, "service_class_code")),
        (7, 5, "000005", ("entry_addenda_count", 7, "entry_addenda_count")),
        (7, 11, "0000000000", ("entry_hash", 7, "entry_hash")),
        (7, 21, "000000000001", ("total_debit", 7, "total_debit_entry_dollar_amount")),
        (7, 33, "000000000001", ("total_credit", 7, "total_credit_entry_dollar_amount")),
        (7, 45, "2", ("company_identification", 7, "company_identification")),
        (7, 80, "1", ("originating_dfi", 7, "originating_dfi_identification")),
        (7, 94, "2", ("batch_number", 7, "batch_number")),
        (8, 2, "000002", ("batch_count", 8, "batch_count")),
        (8, 8, "000002", ("block_count", 8, "block_count")),
        (8, 14, "00000005", ("entry_addenda_count", 8, "entry_addenda_count")),
        (8, 22, "0000000000", ("entry_hash", 8, "entry_hash")),
        (8, 32, "000000000001", ("total_debit", 8, "total_debit_entry_dollar_amount")),
        (8, 44, "000000000001", ("total_credit", 8, "total_credit_entry_dollar_amount")),
        (9, 50, "8", ("record_after_file_control", 9, "record_type_code")),
        (5, 1, "4", ("record_type", 5, "record_type_code")),
    ],
)
def test_damage_is_reported_with_line_and_field(
    number: int, start: int, new: str, expected: tuple[str, int, str]
) -> None:
    assert expected in places(altered(number, start, new))


def test_a_destination_padded_with_a_zero_is_the_same_routing_number() -> None:
    assert read_file(altered(1, 4, "0231380104")) == FILE


def test_an_effective_date_of_zeros_is_no_date() -> None:
    header = read_file(altered(2, 70, "000000")).batches[0].header
    assert header.effective_entry_date is None


@pytest.mark.parametrize(
    ("start", "new", "code"),
    [
        (4, "X03", "reason_code"),
        (4, "C01", "reason_code"),
        (94, "9", "addenda_trace"),
        (22, "260231", "date"),
    ],
)
def test_damage_to_a_return_is_reported(start: int, new: str, code: str) -> None:
    returned = _with_entry(lambda plain: replace(plain, transaction_code=21, addenda=(RETURN,)))
    lines = write_file(returned).decode().splitlines()
    lines[3] = lines[3][: start - 1] + new + lines[3][start - 1 + len(new) :]
    assert (code, 4) in {(error.code, error.line) for error in errors_of("\n".join(lines).encode())}


def test_no_entry_has_more_addenda_than_four_digits_count() -> None:
    many = FILE.batches[0].entries[0].addenda * 10_000
    header = replace(FILE.batches[0].header, standard_entry_class_code="CTX")
    entry = replace(FILE.batches[0].entries[0], addenda=many)
    with pytest.raises(NachaFileError) as caught:
        write_file(replace(FILE, batches=(Batch(header, (entry,)),)))
    assert "field_too_long" in {error.code for error in caught.value.errors}


def test_a_damaged_entry_is_reported_once_and_not_again_as_wrong_totals() -> None:
    assert places(altered(3, 30, "00000x2345")) == [("not_numeric", 3, "amount")]


def test_all_errors_of_a_file_come_together() -> None:
    lines = list(LINES)
    lines[0] = lines[0][:23] + "260231" + lines[0][29:]
    lines[2] = lines[2][:3] + "231380105" + lines[2][12:]
    lines[4] = lines[4][:3] + "231380106" + lines[4][12:]
    found = places("\n".join(lines).encode())
    assert [line for _, line, _ in found] == [1, 3, 5]


def test_message_of_a_refused_file_names_place_rule_and_remedy() -> None:
    with pytest.raises(NachaFileError, match=r"line 7, entry_hash: .*correct the named fields"):
        read_file(altered(7, 11, "0000000000"))


def _without(number: int) -> bytes:
    return "\n".join(line for n, line in enumerate(LINES, start=1) if n != number).encode()


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (1, ("record_order", 1, "record_type_code")),
        (2, ("record_order", 2, "record_type_code")),
        (3, ("record_order", 3, "record_type_code")),
        (4, ("addenda_missing", 3, "addenda_record_indicator")),
        (7, ("record_order", 7, "record_type_code")),
        (8, ("file_control_missing", 0, "file")),
    ],
)
def test_a_missing_record_is_reported(missing: int, expected: tuple[str, int, str]) -> None:
    assert expected in places(_without(missing))


@pytest.mark.parametrize("repeated", [1, 2, 3, 4, 7, 8])
def test_a_repeated_record_is_reported(repeated: int) -> None:
    lines = list(LINES)
    lines.insert(repeated, lines[repeated - 1])
    assert errors_of("\n".join(lines).encode())


@given(st.integers(1, 8), st.integers(1, 8))
def test_swapped_records_are_reported(one: int, other: int) -> None:
    if LINES[one - 1] == LINES[other - 1]:
        return
    lines = list(LINES)
    lines[one - 1], lines[other - 1] = lines[other - 1], lines[one - 1]
    assert errors_of("\n".join(lines).encode())


def test_an_inserted_character_is_reported_as_a_long_record() -> None:
    line = LINES[2]
    assert ("record_length", 3, "record") in places(with_line(3, line[:20] + "X" + line[20:]))


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"   ", b"9" * 94, b"\x00"])
def test_a_file_of_nothing_is_refused(data: bytes) -> None:
    assert {error.code for error in errors_of(data)} & {"empty_file", "file_control_missing"}


CONTROL_FIELDS = (
    [(7, position) for position in range(1, 55)]
    + [(7, position) for position in range(80, 95)]
    + [(8, position) for position in range(1, 56)]
)


@given(
    st.sampled_from(CONTROL_FIELDS),
    st.characters(min_codepoint=0, max_codepoint=255, exclude_characters="\n\r"),
)
@settings(max_examples=400)
def test_any_other_character_in_a_control_field_is_detected(
    place: tuple[int, int], new: str
) -> None:
    number, position = place
    if LINES[number - 1][position - 1] == new:
        return
    assert errors_of(altered(number, position, new))


@given(st.integers(3, 12), st.sampled_from("0123456789"), st.sampled_from([3, 5]))
def test_any_other_digit_of_a_routing_number_is_detected(
    position: int, digit: str, number: int
) -> None:
    position += 1
    if position > 12 or LINES[number - 1][position - 1] == digit:
        return
    assert errors_of(altered(number, position, digit))


@given(st.integers(30, 39), st.sampled_from("0123456789"), st.sampled_from([3, 5]))
def test_any_other_digit_of_an_amount_is_detected(position: int, digit: str, number: int) -> None:
    if LINES[number - 1][position - 1] == digit:
        return
    assert errors_of(altered(number, position, digit))


def _never_crashes(data: bytes) -> None:
    with contextlib.suppress(NachaFileError):
        read_file(data)
    with contextlib.suppress(NachaFileError):
        list(iter_entries([data[:50], data[50:]]))


@given(st.binary(max_size=2000))
@example(b"1" * 94 + b"5" * 94 + b"6" * 94 + b"7" * 94 + b"8" * 94)
@settings(max_examples=300)
def test_random_bytes_never_crash_the_reader(data: bytes) -> None:
    _never_crashes(data)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("156789"),
            st.text(st.sampled_from("0123456789 AR\n\xff"), max_size=99),
        ),
        max_size=30,
    )
)
@settings(max_examples=200)
def test_random_records_never_crash_the_reader(records: list[tuple[str, str]]) -> None:
    _never_crashes("\n".join(kind + rest for kind, rest in records).encode("latin-1"))


@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), max_size=12))
@settings(max_examples=300)
def test_a_shot_up_file_never_crashes_the_reader(hits: list[tuple[int, int]]) -> None:
    data = bytearray(DATA)
    for position, value in hits:
        data[position] = value
    _never_crashes(bytes(data))


def test_errors_of_rubbish_are_bounded() -> None:
    found = errors_of(b"rubbish\n" * 50_000)
    assert len(found) == 1001
    assert found[-1].code == "too_many_errors"


def test_a_stream_yields_sound_entries_and_then_raises() -> None:
    stream = iter_entries([altered(7, 11, "0000000000")])
    assert [located.entry for located in (next(stream), next(stream))] == list(
        FILE.batches[0].entries
    )
    with pytest.raises(NachaFileError):
        next(stream)


def _with_entry(change: Callable[[Entry], Entry], **header: object) -> AchFile:
    batch = FILE.batches[0]
    entries = (change(batch.entries[0]), *batch.entries[1:])
    return replace(FILE, batches=(Batch(replace(batch.header, **header), entries),))


RETURN = Addenda99(
    return_reason_code="R03",
    original_entry_trace_number="123456780000001",
    original_receiving_dfi_identification="12345678",
)
CHANGE = Addenda98(
    change_code="C01",
    original_entry_trace_number="123456780000001",
    original_receiving_dfi_identification="12345678",
    corrected_data="12345",
)
TWO = remittance_addenda("A" * 100)


@pytest.mark.parametrize(
    ("entry", "header", "code"),
    [
        ({"addenda": TWO}, {}, "addenda_count"),
        ({"addenda": TWO[:1]}, {"standard_entry_class_code": "TEL"}, "addenda_count"),
        ({"transaction_code": 22}, {"standard_entry_class_code": "TEL"}, "sec_direction"),
        ({"transaction_code": 23}, {}, "amount_not_zero"),
        ({"transaction_code": 24}, {}, "amount_not_zero"),
        ({"transaction_code": 24, "amount_minor": 0, "addenda": ()}, {}, "addenda_missing"),
        (
            {"transaction_code": 24, "amount_minor": 0},
            {"standard_entry_class_code": "PPD"},
            "sec_direction",
        ),
        ({"transaction_code": 21}, {}, "addenda_missing"),
        ({"addenda": (RETURN,)}, {}, "transaction_code"),
        ({"transaction_code": 21, "addenda": (RETURN, RETURN)}, {}, "addenda_count"),
        ({"transaction_code": 21, "addenda": (*TWO[:1], RETURN)}, {}, "addenda_count"),
        ({"transaction_code": 21, "amount_minor": 0, "addenda": (CHANGE,)}, {}, "addenda_type"),
        (
            {"transaction_code": 21, "addenda": (CHANGE,)},
            {"standard_entry_class_code": "COR"},
            "amount_not_zero",
        ),
        (
            {"transaction_code": 21, "addenda": (RETURN,)},
            {"standard_entry_class_code": "COR"},
            "addenda_type",
        ),
        ({}, {"standard_entry_class_code": "COR"}, "addenda_missing"),
        ({"transaction_code": 57}, {}, "transaction_code"),
        ({"trace": "076401250000003"}, {}, "trace_order"),
    ],
)
def test_an_entry_outside_the_rules_of_its_class_is_refused(
    entry: dict[str, object], header: dict[str, object], code: str
) -> None:
    with pytest.raises(NachaFileError) as caught:
        write_file(_with_entry(lambda plain: replace(plain, **entry), **header))
    assert code in {error.code for error in caught.value.errors}


@pytest.mark.parametrize(
    ("entry", "header"),
    [
        ({"transaction_code": 23, "amount_minor": 0, "addenda": ()}, {}),
        ({"transaction_code": 24, "amount_minor": 0}, {}),
        ({"transaction_code": 21, "addenda": (RETURN,)}, {}),
        ({"transaction_code": 21, "amount_minor": 0, "addenda": (RETURN,)}, {}),
        ({"addenda": TWO}, {"standard_entry_class_code": "CTX"}),
    ],
)
def test_an_entry_inside_the_rules_of_its_class_is_written(
    entry: dict[str, object], header: dict[str, object]
) -> None:
    file = _with_entry(lambda plain: replace(plain, **entry), **header)
    assert read_file(write_file(file)) == file


def test_reversing_credits_of_class_tel_are_written() -> None:
    batch = FILE.batches[0]
    header = replace(
        batch.header, standard_entry_class_code="TEL", company_entry_description="REVERSAL"
    )
    entries = tuple(replace(entry, addenda=()) for entry in batch.entries)
    file = replace(FILE, batches=(Batch(header, entries),))
    assert read_file(write_file(file)) == file


def test_batch_numbers_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(NachaFileError) as caught:
        write_file(replace(FILE, batches=(FILE.batches[0], FILE.batches[0])))
    assert [error.code for error in caught.value.errors] == ["batch_order"]
