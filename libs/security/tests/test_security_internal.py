"""What the gateway says of a caller is believed only if it said so, and only for 30 seconds."""

import base64
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_security.internal import (
    ALL_TENANTS,
    LIFE,
    InternalKeyInvalid,
    InternalKeys,
    Persona,
    Viewer,
    ViewerExpired,
    ViewerRefused,
    ViewerTooLong,
    read_viewer,
    sign_viewer,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEYS = InternalKeys(b"k" * 32)
VIEWER = Viewer("party_ann", "party_root", Persona.COMPANY, frozenset({"read", "pay"}))

tokens = st.text(min_size=1, max_size=40)
viewers = st.builds(
    Viewer,
    party=tokens,
    tenant=tokens.filter(lambda tenant: tenant != ALL_TENANTS),
    persona=st.sampled_from([one for one in Persona if one is not Persona.OPERATOR]),
    scopes=st.frozensets(st.text(max_size=20), max_size=8),
    actor=st.none() | tokens,
)


@given(viewer=viewers, age=st.timedeltas(timedelta(0), LIFE))
def test_what_was_signed_is_read(viewer: Viewer, age: timedelta) -> None:
    assert read_viewer(sign_viewer(viewer, KEYS, now=NOW), KEYS, now=NOW + age) == viewer


def test_an_operator_looks_across_tenants() -> None:
    operator = Viewer("op-7", ALL_TENANTS, Persona.OPERATOR, frozenset())
    assert read_viewer(sign_viewer(operator, KEYS, now=NOW), KEYS, now=NOW) == operator


@pytest.mark.parametrize(
    ("party", "tenant", "persona"),
    [
        ("party_ann", ALL_TENANTS, Persona.AGGREGATOR),
        ("op-7", "party_root", Persona.OPERATOR),
        ("", "party_root", Persona.PAYEE),
        ("party_ann", "", Persona.PAYEE),
    ],
)
def test_nobody_else_does(party: str, tenant: str, persona: Persona) -> None:
    with pytest.raises(ViewerRefused):
        Viewer(party, tenant, persona, frozenset())


@given(place=st.integers(min_value=0), other=st.characters(codec="utf-8"))
def test_a_changed_text_is_refused(place: int, other: str) -> None:
    token = sign_viewer(VIEWER, KEYS, now=NOW)
    at = place % len(token)
    changed = token[:at] + other + token[at + 1 :]
    if changed != token:
        with pytest.raises(ViewerRefused):
            read_viewer(changed, KEYS, now=NOW)


@given(text=st.text(max_size=200))
def test_any_text_is_refused_in_the_same_way(text: str) -> None:
    with pytest.raises(ViewerRefused):
        read_viewer(text, KEYS, now=NOW)


def test_a_text_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ViewerRefused, match="not a signed viewer"):
        read_viewer(sign_viewer(VIEWER, KEYS, now=NOW) + "A" * 5000, KEYS, now=NOW)
    many = Viewer("p", "t", Persona.PAYEE, frozenset(f"scope-{n:04}" for n in range(500)))
    with pytest.raises(ViewerTooLong):
        sign_viewer(many, KEYS, now=NOW)


@pytest.mark.parametrize("age", [LIFE + timedelta(milliseconds=1), timedelta(seconds=-6)])
def test_it_is_good_for_30_seconds(age: timedelta) -> None:
    token = sign_viewer(VIEWER, KEYS, now=NOW)
    assert read_viewer(token, KEYS, now=NOW - timedelta(seconds=4)) == VIEWER
    with pytest.raises(ViewerExpired):
        read_viewer(token, KEYS, now=NOW + age)


def test_another_key_is_refused_and_a_previous_one_read_while_keys_change() -> None:
    changed = InternalKeys(b"n" * 32, (KEYS.current,))
    old = sign_viewer(VIEWER, KEYS, now=NOW)
    assert read_viewer(old, changed, now=NOW) == VIEWER
    with pytest.raises(ViewerRefused):
        read_viewer(sign_viewer(VIEWER, changed, now=NOW), KEYS, now=NOW)


def test_keys_are_read_from_base64_and_never_shown() -> None:
    current, previous = secrets.token_bytes(32), secrets.token_bytes(48)
    text = ", ".join(base64.b64encode(key).decode() for key in (current, previous))
    keys = InternalKeys.parse(text)
    assert keys == InternalKeys(current, (previous,))
    assert repr(keys) == "InternalKeys()"


@pytest.mark.parametrize("text", ["", "short", "c2hvcnQ=", "é", "k" * 44 + ","])
def test_a_weak_or_unreadable_key_is_refused(text: str) -> None:
    with pytest.raises(InternalKeyInvalid, match="openssl rand -base64 32"):
        InternalKeys.parse(text)
