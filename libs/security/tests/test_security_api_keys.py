"""API keys: made, read back, and refused when anything about them is off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_security.api_keys import ApiKey, ApiKeyMalformed

ID = "01h455vb4pex5vsknk084sn02q"


def test_a_key_reads_back_and_matches_what_was_kept_of_it() -> None:
    key = ApiKey.make(ID)
    again = ApiKey.parse(key.text)
    assert again == key
    assert again.matches(key.digest)
    assert key.text.startswith(f"tk_{ID}_")


def test_two_keys_of_one_id_differ_and_do_not_match_each_other() -> None:
    first, second = ApiKey.make(ID), ApiKey.make(ID)
    assert first.text != second.text
    assert not first.matches(second.digest)


def test_a_secret_kept_under_one_id_does_not_open_another() -> None:
    key = ApiKey.make(ID)
    moved = ApiKey("01h455vb4pex5vsknk084sn02r", key.secret)
    assert not moved.matches(key.digest)


def test_the_secret_is_in_no_repr_and_no_error() -> None:
    key = ApiKey.make(ID)
    assert key.secret not in repr(key)
    with pytest.raises(ApiKeyMalformed) as refused:
        ApiKey.parse(key.text[:-1])
    assert key.secret[:8] not in str(refused.value)


@given(st.integers(0, 107), st.sampled_from("0123456789abcdef"))
def test_a_changed_character_is_found_without_asking_anybody(place: int, other: str) -> None:
    text = ApiKey.make(ID, lambda count: bytes(range(count))).text
    changed = text[:place] + other + text[place + 1 :]
    if changed == text:
        assert ApiKey.parse(changed).id == ID
    else:
        with pytest.raises(ApiKeyMalformed):
            ApiKey.parse(changed)


@given(st.text(max_size=200))
def test_any_other_text_is_refused_with_a_code(text: str) -> None:
    with pytest.raises(ApiKeyMalformed) as refused:
        ApiKey.parse(text)
    assert refused.value.code == "api_key_malformed"


@pytest.mark.parametrize("key_id", ["", "short", ID.upper(), ID + "0"])
def test_an_id_that_is_none_makes_no_key(key_id: str) -> None:
    with pytest.raises(ValueError, match="no id of a key"):
        ApiKey.make(key_id)
