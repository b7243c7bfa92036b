"""Access tokens: accepted when ours and in time, refused in every other case."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from tally_security.tokens import TokenExpired, TokenRefused, Tokens, TokenSecretTooShort

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
SECRET, OLD = b"k" * 32, b"o" * 32
TOKENS = Tokens(SECRET, issuer="https://pay.example", audience="tallystick")
LIFE = timedelta(minutes=10)
SCOPES = frozenset({"parties:read", "payouts:write"})


def issued(tokens: Tokens = TOKENS) -> str:
    return tokens.issue("client_1", SCOPES, now=NOW, life=LIFE, jti="t-1")


def test_a_token_says_whose_it_is_and_what_it_may_do() -> None:
    read = TOKENS.read(issued(), now=NOW)
    assert (read.client_id, read.scopes, read.expires_at) == ("client_1", SCOPES, NOW + LIFE)


def test_a_token_ends_with_its_life() -> None:
    text = issued()
    assert TOKENS.read(text, now=NOW + LIFE - timedelta(seconds=1)).client_id == "client_1"
    with pytest.raises(TokenExpired):
        TOKENS.read(text, now=NOW + LIFE)


def test_a_token_of_the_previous_secret_is_read_while_that_is_given() -> None:
    old = issued(Tokens(OLD, issuer="https://pay.example", audience="tallystick"))
    rotated = Tokens(SECRET, issuer="https://pay.example", audience="tallystick", previous=OLD)
    assert rotated.read(old, now=NOW).client_id == "client_1"
    with pytest.raises(TokenRefused):
        TOKENS.read(old, now=NOW)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"alg": "HS256", "typ": "JWT"}, {}),
        ({"alg": "HS256", "typ": "at+jwt"}, {"iss": "https://other.example"}),
        ({"alg": "HS256", "typ": "at+jwt"}, {"aud": "another"}),
        ({"alg": "HS256", "typ": "at+jwt"}, {"exp": "tomorrow"}),
        ({"alg": "HS256", "typ": "at+jwt"}, {"client_id": None}),
        ({"alg": "HS256", "typ": "at+jwt"}, {"scope": ["payouts:write"]}),
    ],
)
def test_a_token_signed_rightly_but_not_for_this_is_refused(
    header: dict[str, str], claims: dict[str, object]
) -> None:
    sound = {
        "iss": "https://pay.example",
        "aud": "tallystick",
        "client_id": "client_1",
        "scope": "payouts:write",
        "exp": int(NOW.timestamp()) + 60,
    }
    assert TOKENS.read(
        jwt.encode({"alg": "HS256", "typ": "at+jwt"}, sound, OctKey.import_key(SECRET)), now=NOW
    )
    wrong = jwt.encode(header, {**sound, **claims}, OctKey.import_key(SECRET))
    with pytest.raises(TokenRefused):
        TOKENS.read(wrong, now=NOW)


def test_an_unsigned_token_is_refused() -> None:
    body = issued().split(".")[1]
    with pytest.raises(TokenRefused):
        TOKENS.read(f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{body}.", now=NOW)


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        TOKENS.read(text, now=NOW)


def test_a_secret_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(TokenSecretTooShort):
        Tokens(b"short", issuer="i", audience="a")
