"""Write -> read identity over generated files, and the layouts a reader must take."""

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_bankfiles.nacha import (
    AccountType,
    AchFile,
    Addenda05,
    Addenda98,
    Addenda98Refused,
    Addenda99,
    Addenda99Contested,
    Addenda99Dishonored,
    Batch,
    BatchHeader,
    Credit,
    Entry,
    FileHeader,
    NachaFileError,
    Origin,
    TraceSequenceError,
    build_credit_file,
    iter_entries,
    iter_events,
    read_file,
    remittance_addenda,
    routing_check_digit,
    write_file,
)

ODFI = "07640125"
ORIGIN = Origin(
    immediate_destination="231380104",
    immediate_destination_name="RECEIVING POINT",
    immediate_origin="076401251",
    immediate_origin_name="SENDING POINT",
    odfi_identification=ODFI,
    company_name="SENDER",
    company_identification="1076401251",
)
CREATED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def credit(amount_minor: int = 12_345, **changes: object) -> Credit:
    plain = Credit(
        routing="231380104",
        account="744-5678-99",
        amount_minor=amount_minor,
        individual_id="PAY0001",
        name="PAYEE ONE",
    )
    return replace(plain, **changes)


def built(*credits_out: Credit, sec: str = "PPD", first_sequence: int = 1) -> AchFile:
    return build_credit_file(
        ORIGIN,
        credits_out or (credit(),),
        effective_date=date(2026, 3, 3),
        id_modifier="A",
        created_at=CREATED,
        first_sequence=first_sequence,
        sec=sec,
    )


printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def text(width: int, minimum: int = 0) -> st.SearchStrategy[str]:
    plain = st.text(printable, max_size=width).map(lambda s: s.strip(" "))
    return plain.filter(lambda s: len(s) >= minimum)


def digits(width: int) -> st.SearchStrategy[str]:
    return st.integers(0, 10**width - 1).map(lambda n: f"{n:0{width}}")


dfi = st.integers(1_000_000, 99_999_999).map(lambda n: f"{n:08}")
routing = dfi.map(lambda eight: f"{eight}{routing_check_digit(eight)}")
dates = st.dates(date(2000, 1, 1), date(2099, 12, 31))
free = st.text(printable, max_size=29).map(lambda s: s.rstrip(" "))
remittance = st.text(printable, max_size=80).map(lambda s: s.rstrip(" "))
julian = st.one_of(st.just(""), digits(3))

returned = st.builds(
    Addenda99,
    return_reason_code=st.sampled_from(["R01", "R02", "R14", "R16", "R85", "R99"]),
    original_entry_trace_number=digits(15),
    original_receiving_dfi_identification=digits(8),
    date_of_death=st.none() | dates,
    addenda_information=free,
)
dishonored = st.builds(
    Addenda99Dishonored,
    dishonored_return_reason_code=st.sampled_from(["R61", "R62", "R67", "R70"]),
    original_entry_trace_number=digits(15),
    original_receiving_dfi_identification=digits(8),
    return_trace_number=digits(15),
    return_settlement_date=julian,
    return_reason_code=digits(2),
    addenda_information=text(21),
)
contested = st.builds(
    Addenda99Contested,
    contested_dishonored_return_reason_code=st.sampled_from(["R71", "R74", "R77"]),
    original_entry_trace_number=digits(15),
    date_original_entry_returned=st.none() | dates,
    original_receiving_dfi_identification=digits(8),
    original_settlement_date=julian,
    return_trace_number=digits(15),
    return_settlement_date=julian,
    return_reason_code=digits(2),
    dishonored_return_trace_number=digits(15),
    dishonored_return_settlement_date=julian,
    dishonored_return_reason_code=digits(2),
)
changed = st.builds(
    Addenda98,
    change_code=st.sampled_from(["C01", "C03", "C13", "C99"]),
    original_entry_trace_number=digits(15),
    original_receiving_dfi_identification=digits(8),
    corrected_data=free,
)
change_refused = st.builds(
    Addenda98Refused,
    refused_change_code=st.sampled_from(["C61", "C69"]),
    original_entry_trace_number=digits(15),
    original_receiving_dfi_identification=digits(8),
    corrected_data=free,
    change_code=st.sampled_from(["C01", "C05"]),
    trace_sequence_number=digits(7),
)
RETURNS = returned | dishonored | contested
CHANGES = changed | change_refused
amounts = st.integers(1, 9_999_999_999)
SIDES = {220: (2,), 225: (7,), 200: (2, 7)}
NOTICE_SIDES = {220: (1,), 225: (6,), 200: (1, 6)}
ADDENDA_MAX = {"PPD": 1, "CCD": 1, "CTX": 3, "WEB": 1, "TEL": 0}


@st.composite
def entries_of(draw: st.DrawFn, sec: str, service_class: int, odfi: str) -> tuple[Entry, ...]:
    family = "change" if sec == "COR" else draw(st.sampled_from(["forward", "forward", "return"]))
    sequences = sorted(draw(st.sets(st.integers(0, 9_999_999), min_size=1, max_size=4)))
    entries = []
    for sequence in sequences:
        if family == "forward":
            amount, units = draw(amounts), SIDES[service_class]
            notes = draw(
                st.lists(
                    st.builds(Addenda05, payment_related_information=remittance),
                    max_size=ADDENDA_MAX[sec],
                )
            )
        else:
            amount = 0 if family == "change" else draw(st.just(0) | amounts)
            units = NOTICE_SIDES[service_class]
            notes = [draw(CHANGES if family == "change" else RETURNS)]
        entries.append(
            Entry(
                transaction_code=draw(st.sampled_from([20, 30])) + draw(st.sampled_from(units)),
                routing=draw(routing),
                account=draw(text(17, 1)),
                amount_minor=amount,
                individual_id=draw(text(15)),
                name=draw(text(16 if sec == "CTX" else 22, 1)),
                trace=f"{odfi}{sequence:07}",
                discretionary_data=draw(text(2)),
                addenda=tuple(notes),
            )
        )
    return tuple(entries)


@st.composite
def batches(draw: st.DrawFn, number: int) -> Batch:
    sec = draw(st.sampled_from(["PPD", "CCD", "CTX", "WEB", "TEL", "COR"]))
    service_class = 225 if sec == "TEL" else draw(st.sampled_from([200, 220, 225]))
    odfi = draw(dfi)
    header = BatchHeader(
        service_class_code=service_class,
        company_name=draw(text(16, 1)),
        company_identification=draw(text(10, 1)),
        standard_entry_class_code=sec,
        company_entry_description=draw(text(10, 1)),
        originating_dfi_identification=odfi,
        batch_number=number,
        effective_entry_date=draw(st.none() | dates),
        company_discretionary_data=draw(text(20)),
        company_descriptive_date=draw(text(6)),
        settlement_date=draw(julian),
        originator_status_code=draw(st.sampled_from("012")),
    )
    return Batch(header, draw(entries_of(sec, service_class, odfi)))


@st.composite
def ach_files(draw: st.DrawFn) -> AchFile:
    header = FileHeader(
        immediate_destination=draw(routing),
        immediate_origin=draw(st.from_regex(r"[A-Z1-9][A-Z0-9]{5,9}", fullmatch=True)),
        file_creation_date=draw(dates),
        file_creation_time=draw(st.none() | st.times().map(lambda t: time(t.hour, t.minute))),
        file_id_modifier=draw(st.sampled_from("ABYZ019")),
        immediate_destination_name=draw(text(23, 1)),
        immediate_origin_name=draw(text(23, 1)),
        reference_code=draw(text(8)),
    )
    numbers = sorted(draw(st.sets(st.integers(1, 9_999_999), min_size=1, max_size=3)))
    return AchFile(header, tuple(draw(batches(number)) for number in numbers))


@given(ach_files())
@settings(max_examples=150, deadline=None)
def test_what_is_written_reads_back_the_same(file: AchFile) -> None:
    data = write_file(file)
    lines = data.decode("ascii").splitlines()
    assert read_file(data) == file
    assert {len(line) for line in lines} == {94}
    assert len(lines) % 10 == 0


def _relaid(data: bytes, layout: str) -> bytes:
    lines = data.split(b"\n")[:-1]
    unpadded = [line for line in lines if line.strip(b"9")]
    match layout:
        case "crlf":
            return data.replace(b"\n", b"\r\n")
        case "cr":
            return data.replace(b"\n", b"\r")
        case "unbroken":
            return b"".join(lines)
        case "unbroken_unpadded":
            return b"".join(unpadded)
        case "unpadded":
            return b"\n".join(unpadded)
        case "trimmed":
            return b"\n".join(line.rstrip() for line in lines)
        case "blank_lines":
            return b"\n\n".join(lines) + b"\r\n  \n"
        case "overlong_blanks":
            return b"".join(line + b" " * 200 + b"\n" for line in lines)
    raise AssertionError(layout)


LAYOUTS = (
    "crlf",
    "cr",
    "unbroken",
    "unbroken_unpadded",
    "unpadded",
    "trimmed",
    "blank_lines",
    "overlong_blanks",
)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(file=ach_files(), chunk=st.integers(1, 400))
@settings(max_examples=15, deadline=None)
def test_every_line_layout_and_chunking_reads_as_the_same_file(
    layout: str, file: AchFile, chunk: int
) -> None:
    data = _relaid(write_file(file), layout)
    assert read_file(data) == file
    chunks = (data[start : start + chunk] for start in range(0, len(data), chunk))
    streamed = [located.entry for located in iter_entries(chunks)]
    assert streamed == [entry for batch in file.batches for entry in batch.entries]


def test_streamed_entries_name_their_line_and_their_batch() -> None:
    file = built(credit(addenda=remittance_addenda("INVOICE 17")), credit(), sec="CCD")
    located = list(iter_entries([write_file(file)]))
    assert [found.line for found in located] == [3, 5]
    assert {found.batch for found in located} == {file.batches[0].header}
    assert next(iter(iter_events([write_file(file)]))) == file.header


def test_built_traces_count_up_from_the_given_sequence() -> None:
    file = built(credit(), credit(), credit(), first_sequence=9_999_997)
    traces = [entry.trace for entry in file.batches[0].entries]
    assert traces == [f"{ODFI}9999997", f"{ODFI}9999998", f"{ODFI}9999999"]
    assert read_file(write_file(file)) == file


@pytest.mark.parametrize("first_sequence", [0, -1, 9_999_999])
def test_a_trace_sequence_outside_seven_digits_is_refused(first_sequence: int) -> None:
    with pytest.raises(TraceSequenceError):
        built(credit(), credit(), first_sequence=first_sequence)


def test_built_file_has_the_controls_of_the_standard() -> None:
    savings = credit(250, account_type=AccountType.SAVINGS, routing="031300012")
    lines = write_file(built(credit(100), savings)).decode().splitlines()
    assert lines[1][1:4] == "220"
    assert [line[1:3] for line in lines[2:4]] == ["22", "32"]
    assert lines[4][4:44] == "000002" + f"{23138010 + 3130001:010}" + "0" * 12 + f"{350:012}"
    assert lines[5][1:55] == "000001" + "000001" + "00000002" + lines[4][10:44]
    assert lines[6:] == ["9" * 94] * 4


@given(st.text(printable, max_size=600).map(lambda s: s.rstrip(" ")))
def test_remittance_of_any_length_survives_its_cutting_into_addenda(remittance_text: str) -> None:
    file = built(credit(addenda=remittance_addenda(remittance_text)), sec="CTX")
    (entry,) = read_file(write_file(file)).batches[0].entries
    assert entry.remittance == remittance_text


def _refusals(file: AchFile) -> set[tuple[str, int, str]]:
    with pytest.raises(NachaFileError) as caught:
        write_file(file)
    return {(error.code, error.line, error.field) for error in caught.value.errors}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "J\u00f6rg"}, ("character", 3, "individual_name")),
        ({"name": " JOERG"}, ("outer_blanks", 3, "individual_name")),
        ({"name": ""}, ("mandatory_field", 3, "individual_name")),
        ({"name": "N" * 23}, ("field_too_long", 3, "individual_name")),
        ({"account": "1" * 18}, ("field_too_long", 3, "dfi_account_number")),
        ({"account": "1\n2"}, ("character", 3, "dfi_account_number")),
        ({"individual_id": "I" * 16}, ("field_too_long", 3, "individual_identification_number")),
        ({"routing": "231380105"}, ("check_digit", 3, "receiving_dfi_identification")),
        ({"routing": "000000000"}, ("check_digit", 3, "receiving_dfi_identification")),
        ({"routing": "23138010"}, ("not_numeric", 3, "receiving_dfi_identification")),
        ({"amount_minor": 0}, ("amount_zero", 3, "amount")),
        ({"amount_minor": -1}, ("not_numeric", 3, "amount")),
        ({"amount_minor": 10**10}, ("field_too_long", 3, "amount")),
    ],
)
def test_writer_refuses_what_a_record_cannot_hold(
    changes: dict[str, object], expected: tuple[str, int, str]
) -> None:
    assert expected in _refusals(built(credit(**changes)))


def test_writer_refuses_a_file_or_batch_of_nothing() -> None:
    file = built()
    assert ("empty_file", 0, "batches") in _refusals(replace(file, batches=()))
    empty = replace(file.batches[0], entries=())
    assert ("empty_batch", 2, "entries") in _refusals(replace(file, batches=(empty,)))


def test_writer_refuses_an_addenda_whose_code_belongs_to_another_form() -> None:
    wrong = Addenda99(
        return_reason_code="R61",
        original_entry_trace_number="1" * 15,
        original_receiving_dfi_identification="1" * 8,
    )
    file = built()
    entry = replace(file.batches[0].entries[0], transaction_code=21, addenda=(wrong,))
    batch = replace(file.batches[0], entries=(entry,))
    assert ("reason_code", 4, "addenda_type_code") in _refusals(replace(file, batches=(batch,)))


def test_writer_refuses_seconds_that_the_header_cannot_hold() -> None:
    file = built()
    header = replace(file.header, file_creation_time=time(9, 30, 15))
    assert ("not_representable", 0, "file") in _refusals(replace(file, header=header))
