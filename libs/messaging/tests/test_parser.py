"""The parser answers every record with a value: applied, refused with a reason, or not ours."""

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError

from tally_messaging import Router, Subscription, UnitOfWork
from tally_messaging import envelope as names
from tally_messaging.parser import Expected, _readable_headers, parse
from tally_messaging.records import Received, Refused, Skipped, UnfetchedRecord


class Sent(BaseModel):
    model_config = ConfigDict(frozen=True)
    TYPE: ClassVar[str] = "test.note.sent.v1"
    text: str
    amount: str = "1"

    @field_validator("text")
    @classmethod
    def _no_shouting(cls, value: str) -> str:
        if value.isupper():
            raise PydanticCustomError("shouting", "write it in lower case")
        return value


@dataclass(frozen=True)
class Raw:
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    key: bytes | None = b"k"
    topic: str = "t"
    partition: int = 0
    offset: int = 7


HEADERS: dict[str, bytes | None] = {
    "ce_specversion": b"1.0",
    "ce_id": b"018f2c4e-0000-7000-8000-000000000001",
    "ce_source": b"/test",
    "ce_type": Sent.TYPE.encode(),
}
OPEN = Expected(models={Sent.TYPE: Sent})
PUBLIC = Expected(models={Sent.TYPE: Sent}, open_to_unknown=False, untrusted=True)


def record(value: Any, **headers: bytes | None) -> Raw:
    merged = HEADERS | headers
    body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Raw(body, tuple((k, v) for k, v in merged.items() if v != b"-"))


def test_a_sound_record_is_received_with_its_envelope() -> None:
    parsed = parse(
        record({"text": "hello", "later": 1}, tally_correlation_id=b"c1", x_binary=b"\xff\x00"),
        OPEN,
    )
    assert isinstance(parsed, Received)
    assert parsed.event == Sent(text="hello")
    assert parsed.cause.correlation_id == "c1"
    assert parsed.cause.causation_id == "018f2c4e-0000-7000-8000-000000000001"


def test_a_record_no_broker_handed_over_is_received_as_one_that_was_fetched() -> None:
    fetched = record({"text": "hello"})
    told = UnfetchedRecord(fetched.topic, fetched.value, headers=fetched.headers)
    assert parse(told, OPEN) == replace(parse(fetched, OPEN), record=told)


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (record(None), "tombstone", None),
        (record(b""), "not_json", None),
        (record(b"{"), "not_json", None),
        (record(b"[" * 100_000), "too_deep", None),
        (record(b"\xff\xfe"), "not_json", None),
        (record(b'{"text": "\\ud800"}'), "not_json", None),
        (record([]), "wrong_type", None),
        (record({}), "missing_field", "text"),
        (record({"text": 5}), "wrong_type", "text"),
        (record(b'{"text": NaN}'), "not_finite", "text"),
        (record(b'{"text": "a", "amount": 1e400}'), "not_finite", "amount"),
        (record({"text": "LOUD"}), "shouting", "text"),
        (record({"text": "a"}, ce_id=None), "header_null", "ce_id"),
        (record({"text": "a"}, ce_id=b"\xff"), "header_not_utf8", "ce_id"),
        (record({"text": "a"}, ce_id=b"-"), "header_missing", "ce_id"),
        (record({"text": "a"}, ce_id=b"x" * 1_000_000), "header_malformed", "ce_id"),
        (record({"text": "a"}, ce_id=b"x" * 300), "header_malformed", "ce_id"),
        (record({"text": "a"}, ce_id=b"a\nb"), "header_malformed", "ce_id"),
        (record({"text": "a"}, ce_specversion=b"0.3"), "unsupported_specversion", "ce_specversion"),
        (
            record({"text": "a"}, **{"content-type": b"text/xml"}),
            "unsupported_content_type",
            "content-type",
        ),
        (record({"text": "a"}, ce_type=b"test.note.sent.v2"), "unsupported_version", "ce_type"),
    ],
)
def test_a_broken_record_is_refused_with_code_and_field(
    raw: Raw, code: str, field: str | None
) -> None:
    parsed = parse(raw, OPEN)
    assert isinstance(parsed, Refused)
    assert (parsed.code, parsed.field) == (code, field)
    assert parsed.detail
    assert parsed.record is raw


def test_an_unknown_type_is_skipped_on_a_shared_topic_and_refused_on_a_public_one() -> None:
    other = record({"text": "a"}, ce_type=b"test.other.sent.v1")
    assert isinstance(parse(other, OPEN), Skipped)
    refused = parse(other, PUBLIC)
    assert isinstance(refused, Refused)
    assert refused.code == "unknown_type"


def test_ids_of_two_public_topics_never_meet() -> None:
    mine = parse(record({"text": "a"}), PUBLIC)
    theirs = parse(Raw(b'{"text": "a"}', record({}).headers, topic="other"), PUBLIC)
    assert isinstance(mine, Received)
    assert isinstance(theirs, Received)
    assert mine.event_key != theirs.event_key
    assert str(parse(record({"text": "a"}), OPEN).event_key) == HEADERS["ce_id"].decode()  # type: ignore[union-attr]


def test_the_body_hash_tells_bodies_apart() -> None:
    hashes = {parse(record({"text": t}), OPEN).body_hash for t in ("a", "b", "a")}  # type: ignore[union-attr]
    assert len(hashes) == 2


@given(
    st.one_of(st.none(), st.binary(max_size=300), st.text().map(lambda t: t.encode("utf-8"))),
    st.lists(
        st.tuples(
            st.sampled_from([*HEADERS, "content-type", "traceparent", "tally_tenant", "other"]),
            st.one_of(st.none(), st.binary(max_size=60), st.sampled_from(list(HEADERS.values()))),
        ),
        max_size=12,
    ),
)
def test_whatever_comes_the_parser_answers(
    value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    raw = Raw(value, tuple(headers))
    parsed = parse(raw, PUBLIC)
    assert isinstance(parsed, Received | Refused | Skipped)
    if isinstance(parsed, Refused):
        assert parsed.code != "parser_failure", parsed.detail


def _headers_by_the_rule(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, str] | str:
    """The headers, or the code of the first one refused: judged one by one, as slowly as it takes."""
    read = {}
    for name, raw in headers:
        if name not in names.KNOWN:
            continue
        if raw is None:
            return f"header_null {name}"
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return f"header_not_utf8 {name}"
        if re.fullmatch(r"[\x20-\x7e\u00a0-\uffff]{1,512}", text) is None:
            return f"header_malformed {name}"
        read[name] = text
    missing = [name for name in names.REQUIRED if name not in read]
    return f"header_missing {missing[0]}" if missing else read


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*names.KNOWN, *names.REQUIRED, "other"]),
            st.one_of(
                st.sampled_from([None, b"", b"1.0", b"a\x7f", b"\xff", b"x" * 512, b"x" * 513]),
                st.sampled_from(["\u00e9", "\u00ad", "\u0085", "\U0001f600", "a\n"]).map(
                    str.encode
                ),
                st.binary(max_size=4),
            ),
        ),
        max_size=4,
    ),
    st.sampled_from([(), *((name,) for name in names.REQUIRED)]),
    st.booleans(),
)
def test_headers_are_judged_by_the_rule_however_quickly_they_are_read(
    odd: list[tuple[str, bytes | None]], missing: tuple[str, ...], before: bool
) -> None:
    sound = [(name, raw) for name, raw in HEADERS.items() if name not in missing]
    headers = [*odd, *sound] if before else [*sound, *odd]
    read = _readable_headers(Raw(b"{}", tuple(headers)))
    told = f"{read.code} {read.field}" if isinstance(read, Refused) else read
    assert told == _headers_by_the_rule(headers)


@pytest.mark.parametrize(
    "text",
    [
        "018f2c4e-0000-7000-8000-000000000001",
        "018F2C4E-0000-7000-8000-00000000000A",
        # What Python's UUID reads and the driver's does not: keys stay what they were.
        "{018f2c4e00007700--8000000000000001}",
    ],
)
def test_an_id_that_is_a_uuid_is_its_own_key_however_it_is_written(text: str) -> None:
    parsed = parse(record({"text": "a"}, ce_id=text.encode()), OPEN)
    assert isinstance(parsed, Received)
    assert parsed.event_key == uuid.UUID(text)
    assert hash(parsed.event_key) == hash(uuid.UUID(text))


def test_a_type_that_belongs_to_another_topic_is_unknown_on_this_one() -> None:
    router = Router(
        "r",
        [
            Subscription("mine", untrusted=True, types=()),
            Subscription("theirs", types=(Sent.TYPE,)),
        ],
    )

    @router.each(Sent)
    async def handle(uow: UnitOfWork, message: Received[Sent]) -> None:
        raise AssertionError("never called")

    expected = router.expected()
    slipped_in = parse(record({"text": "a"}), expected["mine"])
    assert isinstance(slipped_in, Refused)
    assert slipped_in.code == "unknown_type"
    assert isinstance(parse(record({"text": "a"}), expected["theirs"]), Received)


def test_an_event_that_is_not_heeded_is_skipped_and_a_broken_one_is_refused_all_the_same() -> None:
    def says_a(event: BaseModel) -> bool:
        return isinstance(event, Sent) and event.text == "a"

    expected = Expected(models={Sent.TYPE: Sent}, heeds=says_a)
    assert isinstance(parse(record({"text": "a"}), expected), Received)
    assert isinstance(parse(record({"text": "b"}), expected), Skipped)
    assert isinstance(parse(record({"text": 1}), expected), Refused)


def test_a_glance_skips_what_holds_nothing_of_note_unread_and_reads_the_rest() -> None:
    def says_a(event: BaseModel) -> bool:
        return isinstance(event, Sent) and event.text == "a"

    expected = Expected(
        models={Sent.TYPE: Sent},
        glance={Sent.TYPE.encode(): re.compile(rb'"text"\s*:\s*"a"')},
        heeds=says_a,
    )

    def made(value: Any, **headers: bytes | None) -> str:
        parsed = parse(record(value, **headers), expected)
        return parsed.code if isinstance(parsed, Refused) else type(parsed).__name__

    assert made({"text": "a"}) == made(b'{ "text" :\n"a"}') == "Received"
    assert made({"text": "b"}) == "Skipped"
    assert made({"text": "b", "more": {"text": "a"}}) == "Skipped"
    # Unread: what is broken is not found out where there is nothing to lose.
    assert made({"text": 1}) == made({"text": "b"}, ce_id=b"-") == "Skipped"
    assert made({"text": "a"}, ce_id=b"-") == "header_missing"


def test_a_glance_passes_over_nothing_that_could_be_heeded_or_is_of_another_type() -> None:
    expected = Expected(models={Sent.TYPE: Sent}, glance={Sent.TYPE.encode(): re.compile(rb'"a"')})
    escaped = parse(record(b'{"text": "\\u0061"}'), expected)
    assert isinstance(escaped, Received)
    assert escaped.event == Sent(text="a")
    for raw, code in (
        (record(None), "tombstone"),
        (record({"text": "b"}, ce_type=b"test.note.sent.v2"), "unsupported_version"),
        (record({"text": "b"}, ce_type=None), "header_null"),
        (record({"text": "b"}, ce_type=b"-"), "header_missing"),
    ):
        parsed = parse(raw, expected)
        assert isinstance(parsed, Refused)
        assert parsed.code == code
    # Of two types in one record the last counts: which is not for a glance to tell.
    twice = record({"text": "b"})
    for first, last, code in (
        (Sent.TYPE, "test.note.sent.v2", "unsupported_version"),
        ("test.note.sent.v2", Sent.TYPE, None),
    ):
        types = tuple(("ce_type", name.encode()) for name in (first, last))
        rest = tuple(header for header in twice.headers if header[0] != "ce_type")
        parsed = parse(replace(twice, headers=(*rest, *types)), expected)
        assert (parsed.code if isinstance(parsed, Refused) else None) == code
        assert not isinstance(parsed, Skipped)


def test_a_subscription_names_the_types_of_a_glance() -> None:
    glance = {Sent.TYPE: re.compile(rb'"a"')}
    router = Router("r", [Subscription("t", glance=glance)])
    router.fold(Sent)(_never)
    assert isinstance(parse(record({"text": "a"}), router.expected()["t"]), Received)
    assert isinstance(parse(record({"text": "b"}), router.expected()["t"]), Skipped)


async def _never(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
    raise AssertionError("never called")
