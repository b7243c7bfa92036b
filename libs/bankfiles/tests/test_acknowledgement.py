"""The acknowledgement format: identity, and nothing half-true is read."""

import contextlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_bankfiles.nacha import (
    Acknowledgement,
    AcknowledgementError,
    AckStatus,
    BatchAck,
    EntryAck,
    read_acknowledgement,
    write_acknowledgement,
)

ACK = Acknowledgement(
    immediate_origin="076401251",
    file_creation_date=date(2026, 3, 2),
    file_id_modifier="A",
    status=AckStatus.ACCEPTED,
    batches=(
        BatchAck(batch_number=1, status=AckStatus.ACCEPTED),
        BatchAck(batch_number=2, status=AckStatus.REJECTED, reason="company not enrolled"),
    ),
    entries=(
        EntryAck(
            batch_number=1, trace="076401250000003", status=AckStatus.REJECTED, reason="limit"
        ),
    ),
)
DATA = write_acknowledgement(ACK)

reasons = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="|"), min_size=1
).filter(str.strip)
fates = st.one_of(
    st.just((AckStatus.ACCEPTED, "")), reasons.map(lambda reason: (AckStatus.REJECTED, reason))
)


@st.composite
def acknowledgements(draw: st.DrawFn) -> Acknowledgement:
    status, reason = draw(fates)
    refused = st.tuples(st.just(AckStatus.REJECTED), reasons)
    batches = []
    for number in sorted(draw(st.sets(st.integers(0, 9_999_999), max_size=3))):
        fate, why = draw(fates if status is AckStatus.ACCEPTED else refused)
        batches.append(BatchAck(batch_number=number, status=fate, reason=why))
    entries = []
    for number in sorted(draw(st.sets(st.integers(0, 9_999_999), max_size=3))):
        parent = draw(st.sampled_from(batches)) if batches else None
        inherited = status if parent is None else parent.status
        fate, why = draw(fates if inherited is AckStatus.ACCEPTED else refused)
        batch = 7 if parent is None else parent.batch_number
        entries.append(
            EntryAck(batch_number=batch, trace=f"12345678{number:07}", status=fate, reason=why)
        )
    return Acknowledgement(
        immediate_origin=draw(st.from_regex(r"[A-Z0-9]{1,10}", fullmatch=True)),
        file_creation_date=draw(st.dates(date(2000, 1, 1), date(2099, 12, 31))),
        file_id_modifier=draw(st.sampled_from("AZ09")),
        status=status,
        reason=reason,
        batches=tuple(batches),
        entries=tuple(entries),
    )


@given(acknowledgements())
def test_what_is_written_reads_back_the_same(ack: Acknowledgement) -> None:
    data = write_acknowledgement(ack)
    assert read_acknowledgement(data) == ack
    assert read_acknowledgement(data.replace(b"\n", b"\r\n")) == ack


def test_the_format_is_the_documented_one() -> None:
    assert DATA.decode().splitlines() == [
        "ACK|1|076401251|260302|A|ACCEPTED|",
        "BATCH|1|ACCEPTED|",
        "BATCH|2|REJECTED|company not enrolled",
        "ENTRY|1|076401250000003|REJECTED|limit",
        "END|2|1",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("ACK|1", "ACK|2", 1, "version"),
        ("ACK|1|076401251", "ACK|1|", 1, "immediate_origin"),
        ("260302", "260231", 1, "file_creation_date"),
        ("260302", "2603", 1, "file_creation_date"),
        ("|A|", "|a|", 1, "file_id_modifier"),
        ("A|ACCEPTED|", "A|OK|", 1, "status"),
        ("A|ACCEPTED|", "A|ACCEPTED|why", 1, "reason"),
        ("A|ACCEPTED|", "A|REJECTED|", 1, "reason"),
        ("A|ACCEPTED|", "A|REJECTED|no funds", 0, "status"),
        ("BATCH|1|ACCEPTED", "BATCH|01|ACCEPTED", 2, "batch_number"),
        ("BATCH|1|ACCEPTED", "BATCH|2|ACCEPTED", 0, "file"),
        ("BATCH|1|ACCEPTED|", "BATCH|1|ACCEPTED", 2, "record"),
        ("company", "comp\u00e4ny", 3, "reason"),
        ("ENTRY|1|076", "ENTRY|1|76", 4, "trace"),
        ("ENTRY|1|", "BATCH|1|", 4, "record"),
        ("END|2|1", "END|2|2", 5, "counts"),
        ("END|2|1", "", 4, "record"),
    ],
)
def test_a_broken_line_is_refused_with_its_place(old: str, new: str, line: int, field: str) -> None:
    with pytest.raises(AcknowledgementError) as caught:
        read_acknowledgement(DATA.decode().replace(old, new).encode("latin-1"))
    assert (caught.value.line, caught.value.field) == (line, field)


@pytest.mark.parametrize("length", range(len(DATA)))
def test_a_cut_off_acknowledgement_is_refused(length: int) -> None:
    if length == len(DATA) - 1:  # only the last line break is missing
        assert read_acknowledgement(DATA[:length]) == ACK
        return
    with pytest.raises(AcknowledgementError):
        read_acknowledgement(DATA[:length])


@given(st.binary(max_size=300))
def test_random_bytes_never_crash_the_reader(data: bytes) -> None:
    with contextlib.suppress(AcknowledgementError):
        read_acknowledgement(data)


def test_a_reason_with_the_separator_is_not_written() -> None:
    split = BatchAck(batch_number=1, status=AckStatus.REJECTED, reason="a|b")
    with pytest.raises(AcknowledgementError):
        write_acknowledgement(
            Acknowledgement(
                immediate_origin="1",
                file_creation_date=date(2026, 3, 2),
                file_id_modifier="A",
                status=AckStatus.REJECTED,
                reason="no",
                batches=(split,),
            )
        )
