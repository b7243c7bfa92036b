"""A sealed text opens with its key at its place, and in no other way."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_security.blind_index import BlindIndex
from tally_security.sealing import (
    Keyring,
    Place,
    SealBroken,
    SealingKey,
    SealingKeyInvalid,
    SealingKeyUnknown,
    TextTooLong,
    seal,
    unseal,
)

KEY, OTHER = SealingKey(b"k" * 32), SealingKey(b"o" * 32)
PLACE = Place("party_a", "contact", "value", "contact_1")


@given(st.text(max_size=300))
def test_what_is_sealed_opens_again(text: str) -> None:
    assert unseal(seal(text, KEY, PLACE), Keyring(KEY), PLACE) == text


@pytest.mark.parametrize("part", ["tenant", "table", "column", "row"])
def test_a_text_moved_to_another_tenant_table_column_or_row_does_not_open(part: str) -> None:
    sealed = seal("ann@example.com", KEY, PLACE)
    with pytest.raises(SealBroken, match="another place"):
        unseal(sealed, Keyring(KEY), replace(PLACE, **{part: "elsewhere"}))


def test_parts_of_a_place_cannot_run_into_each_other() -> None:
    sealed = seal("x", KEY, Place("a", "bc", "d", "e"))
    with pytest.raises(SealBroken):
        unseal(sealed, Keyring(KEY), Place("ab", "c", "d", "e"))


def test_texts_of_the_previous_key_open_while_it_is_kept_and_not_after() -> None:
    sealed = seal("x", KEY, PLACE)
    assert unseal(sealed, Keyring(OTHER, previous=KEY), PLACE) == "x"
    with pytest.raises(SealingKeyUnknown, match="current key"):
        unseal(sealed, Keyring(OTHER), PLACE)


def test_equal_texts_look_different_each_time() -> None:
    assert seal("x", KEY, PLACE) != seal("x", KEY, PLACE)


@given(st.text(max_size=80))
def test_whatever_is_no_sealed_text_is_refused_by_code(text: str) -> None:
    with pytest.raises((SealBroken, SealingKeyUnknown)):
        unseal(text, Keyring(KEY), PLACE)


@given(st.integers(min_value=0, max_value=200))
def test_a_text_changed_in_any_character_does_not_open(position: int) -> None:
    sealed = seal("a secret", KEY, PLACE)
    position %= len(sealed) - 1
    other = "A" if sealed[position] != "A" else "B"
    changed = sealed[:position] + other + sealed[position + 1 :]
    with pytest.raises((SealBroken, SealingKeyUnknown)):
        unseal(changed, Keyring(KEY), PLACE)


def test_a_text_too_long_to_carry_is_refused() -> None:
    with pytest.raises(TextTooLong, match="shorten"):
        seal("x" * 4000, KEY, PLACE)


@pytest.mark.parametrize("text", ["", "short", "*" * 44, base64.b64encode(b"x" * 31).decode()])
def test_a_key_that_is_none_says_how_to_make_one(text: str) -> None:
    with pytest.raises(SealingKeyInvalid, match="openssl rand"):
        SealingKey.parse(text)
    with pytest.raises(SealingKeyInvalid, match="openssl rand"):
        BlindIndex.parse(text)


def test_keys_are_read_from_either_base64_and_never_shown() -> None:
    raw = bytes([251, 255]) * 16
    plain, safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert SealingKey.parse(plain) == SealingKey.parse(safe.rstrip("="))
    assert "\\xfb" not in repr(SealingKey.parse(plain)) + repr(BlindIndex.parse(plain))


def test_equal_values_meet_in_one_token_and_only_under_one_key_and_label() -> None:
    index = BlindIndex(b"i" * 32)
    token = index.token("email", "ann@example.com")
    assert token == index.token("email", "ann@example.com")
    assert len(token) == 32
    assert token.isascii()
    others = {
        index.token("phone", "ann@example.com"),
        index.token("email", "bob@example.com"),
        index.token("emaila", "nn@example.com"),
        BlindIndex(b"j" * 32).token("email", "ann@example.com"),
    }
    assert len(others | {token}) == 5
