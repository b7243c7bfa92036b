"""Sealed details open for exactly one instrument, and for nobody who changed a byte."""

import base64
import re
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tally_contracts.rails import Sealed
from tally_railkit.sealing import (
    Keyring,
    SealBroken,
    SealingKey,
    SealingKeyInvalid,
    SealingKeyUnknown,
    TextTooLong,
    seal,
    unseal,
)

OLD, NEW = SealingKey(b"o" * 32), SealingKey(b"n" * 32)
RING = Keyring(NEW, OLD)
HERE: typing.Final = {"instrument_id": "ins_01m3250v00e00800000000000h", "rail": "ach"}


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=8))
def test_details_come_back_and_the_text_is_what_the_contract_carries(details):
    sealed = seal(details, NEW, **HERE)
    assert unseal(sealed, RING, **HERE) == details
    assert TypeAdapter(Sealed).validate_python(sealed) == sealed


def test_same_details_are_never_sealed_to_the_same_text():
    assert seal({"a": "b"}, NEW, **HERE) != seal({"a": "b"}, NEW, **HERE)


def test_details_sealed_by_an_earlier_release_still_open():
    sealed = (
        "0L8hAgR4.Yt62pjRx4b7BH4cn.Xtr12hBc88DwOd3Ronjz8PvrlHFMzHO4qN-Z-he4g1tEnGWLYIJctE__4_T691c"
    )
    assert unseal(sealed, RING, **HERE) == {"account": "1", "name": "é"}


def test_text_sealed_with_the_key_before_still_opens():
    assert unseal(seal({"a": "b"}, OLD, **HERE), RING, **HERE) == {"a": "b"}


def test_key_that_is_neither_current_nor_previous_is_named():
    with pytest.raises(SealingKeyUnknown, match=re.escape(OLD.id)):
        unseal(seal({"a": "b"}, OLD, **HERE), Keyring(NEW), **HERE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"instrument_id": "ins_01m3250v00e00800000000000j", "rail": "ach"},
        {"instrument_id": HERE["instrument_id"], "rail": "wallet"},
    ],
)
def test_sealed_text_cannot_be_moved_to_another_instrument_or_rail(elsewhere):
    with pytest.raises(SealBroken):
        unseal(seal({"a": "b"}, NEW, **HERE), RING, **elsewhere)


@given(st.data())
def test_any_changed_character_breaks_the_seal(data):
    sealed = seal({"account": "123"}, NEW, **HERE)
    # The last character of a part may hold bits that carry nothing.
    ends = {at for at in range(len(sealed)) if sealed[at + 1 : at + 2] in {"", "."}}
    place = data.draw(st.sampled_from(sorted(set(range(len(sealed))) - ends)))
    other = data.draw(st.sampled_from("ABCxyz019_-").filter(lambda c: c != sealed[place]))
    changed = sealed[:place] + other + sealed[place + 1 :]
    with pytest.raises((SealBroken, SealingKeyUnknown)):
        unseal(changed, RING, **HERE)


@given(st.text(max_size=200))
def test_whatever_is_no_sealed_text_is_refused_with_a_code(text):
    with pytest.raises((SealBroken, SealingKeyUnknown)):
        unseal(text, RING, **HERE)


def test_details_too_long_to_carry_are_refused_when_sealed():
    with pytest.raises(TextTooLong):
        seal({"a": "x" * 5000}, NEW, **HERE)


@pytest.mark.parametrize("text", ["", "short", "!" * 44, base64.b64encode(b"x" * 31).decode()])
def test_key_that_is_not_32_bytes_in_base64_is_refused_with_the_remedy(text):
    with pytest.raises(SealingKeyInvalid, match="openssl rand -base64 32"):
        SealingKey.parse(text)


def test_key_reads_in_both_base64_alphabets_and_never_shows_itself():
    secret = bytes([251, 255] * 16)
    standard = SealingKey.parse(base64.b64encode(secret).decode())
    assert standard == SealingKey.parse(base64.urlsafe_b64encode(secret).decode())
    assert "251" not in repr(standard)
    assert str(secret) not in repr(standard)
