import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_runtime import (
    FixedClock,
    Ids,
    MalformedId,
    SeededIds,
    derived_id,
    derived_uuid,
    encode_id,
    parse_id,
    party_id_of,
)

# From valid.yml of the TypeID specification.
PUBLISHED = [
    ("", "00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
    ("", "00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
    ("", "0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a"),
    ("", "0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
    ("", "00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
    ("", "7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ("prefix", "prefix_0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"),
    ("prefix", "prefix_01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
]
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(("prefix", "text", "value"), PUBLISHED)
def test_published_typeids_are_read_and_written(prefix: str, text: str, value: str) -> None:
    assert parse_id(prefix, text) == uuid.UUID(value)
    assert encode_id(prefix, uuid.UUID(value)) == text


@given(st.uuids(), st.from_regex(r"[a-z]{0,63}", fullmatch=True))
def test_every_uuid_survives_being_written_and_read(value: uuid.UUID, prefix: str) -> None:
    assert parse_id(prefix, encode_id(prefix, value)) == value


@given(st.uuids(), st.uuids())
def test_texts_sort_as_their_uuids_do(first: uuid.UUID, second: uuid.UUID) -> None:
    assert (encode_id("po", first) < encode_id("po", second)) == (first.int < second.int)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "po_",
        "po_01h455vb4pex5vsknk084sn02",
        "po_01h455vb4pex5vsknk084sn02qq",
        "po_81h455vb4pex5vsknk084sn02q",
        "po_01H455VB4PEX5VSKNK084SN02Q",
        "po_01h455vb4pex5vsknk084sn02u",
        "po_01h455vb4pex5vsknk084sn02\n",
        "po_01h455vb4pex5vsknk084sn02q\n",
        "po_\u06601h455vb4pex5vsknk084sn02q",
        "po-01h455vb4pex5vsknk084sn02q",
        "wal_01h455vb4pex5vsknk084sn02q",
        "01h455vb4pex5vsknk084sn02q",
        "po_" + "0" * 10_000,
        None,
        7,
    ],
)
def test_text_that_is_no_such_id_is_refused_by_code(text: object) -> None:
    with pytest.raises(MalformedId) as raised:
        parse_id("po", text)
    assert raised.value.code == "malformed_id"
    assert len(str(raised.value)) < 300


@given(st.text(max_size=40))
def test_parsing_only_ever_answers_or_refuses(text: str) -> None:
    try:
        value = parse_id("po", text)
    except MalformedId:
        return
    assert encode_id("po", value) == text


@pytest.mark.parametrize("prefix", ["PO", "po_x", "p0", "é", "a" * 64, "po\n"])
def test_a_prefix_outside_the_specification_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="cannot start an id"):
        Ids().new(prefix)


def test_new_ids_are_version_7_and_each_is_greater_than_the_last() -> None:
    ids = Ids()
    made = [ids.new("po") for _ in range(20_000)]
    assert made == sorted(set(made))
    assert parse_id("po", made[0]).version == 7
    assert ids.uuid7().variant == uuid.RFC_4122


def test_derived_ids_are_the_same_in_another_process() -> None:
    code = "from tally_runtime import derived_id; print(derived_id('jr', 'po_1', 'capture'))"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert derived_id("jr", "po_1", "capture") == elsewhere.stdout.strip()
    # Frozen: a change of this value would make replays invent new journals.
    assert derived_id("jr", "po_1", "capture") == "jr_73zkf0g5gmand8avmwxg0j884f"


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_derived_ids_differ_whenever_their_parts_do(first: list[str], second: list[str]) -> None:
    assert (derived_uuid(*first) == derived_uuid(*second)) == (first == second)


def test_an_owner_that_is_no_party_names_the_same_one_everywhere() -> None:
    party = derived_id("party", "main", "user-42")
    assert party_id_of("user-42", "main") == party
    assert party_id_of(party, "main") == party, "an id names itself"
    assert party_id_of("user-42", "other") != party
    for reference in ("party_42", party.upper(), f"{party}x", f"x{party}", f"{party}\n"):
        assert party_id_of(reference, "main") == derived_id("party", "main", reference)


def test_moving_a_letter_between_parts_changes_the_derived_id() -> None:
    assert derived_id("x", "a", "bc") != derived_id("x", "ab", "c")
    assert derived_uuid("a").version == 5


def test_seeded_ids_repeat_for_the_same_seed_and_clock() -> None:
    def make(seed: int) -> list[str]:
        clock = FixedClock(START)
        ids = SeededIds(seed, clock)
        made = []
        for _ in range(500):
            made.append(ids.new("po"))
            clock.advance(timedelta(microseconds=300))
        return made

    made = make(7)
    assert made == make(7)
    assert made != make(8)
    assert made == sorted(set(made))
    first = parse_id("po", made[0])
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert first.int >> 80 == int(START.timestamp() * 1000)


def test_seeded_ids_keep_growing_when_the_clock_goes_back() -> None:
    clock = FixedClock(START)
    ids = SeededIds(1, clock)
    clock.advance(timedelta(days=1))
    before = ids.new("po")
    ids._clock = FixedClock(START)
    assert ids.new("po") > before
