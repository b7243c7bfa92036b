import json
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_runtime.redaction import REDACTED, TEXT_MAX, looks_like_card, redact, redact_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "key",
    [
        "account_number", "payee_account_number", "accountNumber", "iban", "routing_number", "email",
        "payer_email", "name", "payee_name", "first_name", "lastName", "phone", "address",
        "address_line1", "birth_date", "ssn", "tax_id", "password", "api_key", "X-Api-Key",
        "authorization", "cookie", "token", "dsn", "ledger_dsn", "card_number", "payload", "headers",
    ],
)  # fmt: skip
def test_personal_and_secret_keys_are_hidden_whatever_they_hold(key: str) -> None:
    assert redact(key, "Q") == REDACTED
    assert redact(key, 12) == REDACTED
    assert redact(key, {"a": 1}) == REDACTED
    assert redact("detail", {"inner": [{key: "Q"}]}) == {"inner": [{key: REDACTED}]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("payout_id", "po_01h455vb4pex5vsknk084sn02q"),
        ("event_id", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ("topic", "funding.inbound.shop.v1"),
        ("reason", "hold_not_open"),
        ("offset", 4111111111111111),
        ("amount_minor", 4111111111111111),
        ("attempt", 3),
        ("elapsed_s", 0.25),
        ("task_name", "relay"),
        ("status", None),
        ("retried", True),
        ("message", "5 of 12 partitions paused after 2026-11-24 13:32:18"),
    ],
)
def test_what_operators_need_stays_readable(key: str, value: object) -> None:
    assert redact(key, value) == value


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("mail to jo.doe+x@example.co.uk failed", "jo.doe"),
        ("card 4111 1111 1111 1111 refused", "1111"),
        ("card 4111-1111-1111-1111, ref 0007", "1111"),
        ("ref 99 4111111111111111 0000", "4111111111111111"),
        ("pan=378282246310005", "378282246310005"),
        ("iban DE89 3704 0044 0532 0130 00 unknown", "3704"),
        ("iban GB29NWBK60161331926819", "NWBK"),
        ("cannot reach postgresql://tally:s3cr:et@db/tally", "s3cr"),
        ("failed: password=s3cret host=db", "s3cret"),
        ('{"api_key": "s3cret"}', "s3cret"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh"),
        ("DETAIL:  Key (owner)=(Jo Doe) already exists.", "Jo Doe"),
        ("DETAIL:  Failing row contains (1, Jo (J.) Doe, 12345).", "Doe"),
    ],
)
def test_personal_data_and_secrets_inside_text_are_hidden(text: str, hidden: str) -> None:
    for key in ("message", "exception", "detail"):
        shown = redact(key, text)
        assert REDACTED in str(shown)
        assert hidden not in str(shown)
    assert hidden not in str(redact("causes", [text]))


def test_a_card_number_kept_as_a_number_is_hidden() -> None:
    assert redact("reference", 4111111111111111) == REDACTED
    assert redact("reference", 4111111111111112) == 4111111111111112


def test_only_luhn_numbers_of_a_cards_length_look_like_cards() -> None:
    assert looks_like_card("4222222222222")
    assert looks_like_card("4000000000000000006")
    assert not looks_like_card("4111111111111112")
    assert not looks_like_card("0" * 12)
    assert not looks_like_card("0" * 20)


def test_bytes_show_their_size_alone_and_long_text_is_cut() -> None:
    assert redact("raw", b"jo@example.com") == "[14 bytes]"
    assert len(redact_text("x " * TEXT_MAX)) < TEXT_MAX + 40


def test_values_without_a_text_do_not_break_the_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert redact("thing", Broken()) == "[Broken without a text]"


def test_nesting_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert REDACTED in json.dumps(redact("loop", endless))


def test_other_values_are_shown_as_their_text() -> None:
    assert redact("rate", Decimal("1.10")) == "1.10"
    assert redact("id", UUID(int=1)) == "00000000-0000-0000-0000-000000000001"


@given(st.text(), JSON)
def test_redaction_is_total_and_leaves_only_what_json_can_hold(key: str, value: object) -> None:
    json.dumps(redact(key, value))


@given(st.text(), st.sampled_from(["4111111111111111", "jo@example.com"]), st.text())
def test_no_surrounding_words_bring_a_card_or_address_back(
    before: str, secret: str, after: str
) -> None:
    assert secret not in redact_text(f"{before} {secret} {after}")
