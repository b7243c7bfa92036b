"""A webhook is believed only from who holds the secret, of this moment, and unchanged."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_security.webhooks import (
    BODY_BYTES_MAX,
    TOLERANCE,
    WebhookRefused,
    WebhookSecretInvalid,
    WebhookSecrets,
    sign_standard,
    sign_stripe,
    verify_standard,
    verify_stripe,
)

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
BODY = b'{"id": "evt_1", "type": "charge.refunded"}'
OLD = WebhookSecrets.stripe("whsec_old_0123456789")
NEW = WebhookSecrets.stripe("whsec_new_0123456789")
BOTH = WebhookSecrets.stripe("whsec_new_0123456789", "whsec_old_0123456789")


def refusal(headers: dict[str, str], body: bytes = BODY, now: datetime = NOW) -> str:
    with pytest.raises(WebhookRefused) as refused:
        verify_stripe(headers, body, NEW, now=now)
    return refused.value.code


def test_the_published_example_of_standard_webhooks_verifies() -> None:
    secrets = WebhookSecrets.standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": "1614265330",
        "Webhook-Signature": "v1a,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    at = datetime.fromtimestamp(1614265330, UTC)
    body = b'{"test": 2432232314}'
    assert verify_standard(headers, body, secrets, now=at) == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signed = sign_standard("msg_p5jXN8AQM9LWM0D4loKWxJek", body, secrets, now=at)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_stripe_signature_of_this_body_and_moment_is_taken() -> None:
    assert verify_stripe(sign_stripe(BODY, NEW, now=NOW), BODY, NEW, now=NOW) == NOW


@pytest.mark.parametrize("signer", [OLD, NEW, BOTH])
def test_while_a_secret_changes_either_side_may_be_ahead(signer: WebhookSecrets) -> None:
    headers = sign_stripe(BODY, signer, now=NOW)
    assert verify_stripe(headers, BODY, BOTH, now=NOW) == NOW


def test_after_the_change_the_old_secret_is_refused() -> None:
    assert refusal(sign_stripe(BODY, OLD, now=NOW)) == "signature_wrong"


@given(change=st.binary(min_size=1, max_size=40))
def test_another_body_is_refused(change: bytes) -> None:
    headers = sign_stripe(BODY, NEW, now=NOW)
    assert refusal(headers, BODY + change) == "signature_wrong"


@pytest.mark.parametrize("late", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_a_signature_out_of_its_time_is_refused_as_expired(late: timedelta) -> None:
    assert refusal(sign_stripe(BODY, NEW, now=NOW), now=NOW + late) == "signature_expired"


@pytest.mark.parametrize("late", [TOLERANCE, -TOLERANCE])
def test_a_signature_at_the_end_of_its_time_is_taken(late: timedelta) -> None:
    headers = sign_stripe(BODY, NEW, now=NOW)
    assert verify_stripe(headers, BODY, NEW, now=NOW + late) == NOW


def test_a_forged_time_is_a_wrong_signature_not_an_expired_one() -> None:
    late = NOW + timedelta(days=1)
    header = sign_stripe(BODY, NEW, now=NOW)["stripe-signature"]
    forged = {"Stripe-Signature": f"t={int(late.timestamp())},{header.partition(',')[2]}"}
    assert refusal(forged, now=late) == "signature_wrong"


def test_other_schemes_are_ignored_rather_than_believed() -> None:
    header = sign_stripe(BODY, NEW, now=NOW)["stripe-signature"]
    assert refusal({"stripe-signature": header.replace("v1=", "v0=")}) == "signature_malformed"
    assert verify_stripe({"stripe-signature": f"{header},v0=00"}, BODY, NEW, now=NOW) == NOW


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "signature_missing"),
        ({"stripe-signature": ""}, "signature_malformed"),
        ({"stripe-signature": "t=1,t=2,v1=00"}, "signature_malformed"),
        ({"stripe-signature": "t=x,v1=00"}, "signature_malformed"),
        ({"stripe-signature": "t=1,v1=zz"}, "signature_malformed"),
        ({"stripe-signature": "t=1,v1=é"}, "signature_malformed"),
        ({"stripe-signature": "t=1,v1=" + "0" * 5000}, "signature_malformed"),
        ({"stripe-signature": "t=1,v1=00", "Stripe-Signature": "t=1,v1=00"}, "signature_malformed"),
    ],
)
def test_a_header_that_is_none_is_refused_with_its_code(headers: dict[str, str], code: str) -> None:
    assert refusal(headers) == code


@given(text=st.text(max_size=60))
def test_no_header_raises_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(WebhookRefused):
        verify_stripe({"stripe-signature": text}, BODY, NEW, now=NOW)
    standard = {"webhook-id": text, "webhook-timestamp": text, "webhook-signature": text}
    with pytest.raises(WebhookRefused):
        verify_standard(standard, BODY, NEW, now=NOW)


@given(body=st.binary(max_size=200), message_id=st.from_regex(r"[!-~]{1,60}", fullmatch=True))
def test_what_is_signed_verifies_with_either_secret(body: bytes, message_id: str) -> None:
    headers = sign_standard(message_id, body, BOTH, now=NOW)
    for secrets in (OLD, NEW, BOTH):
        assert verify_standard(headers, body, secrets, now=NOW) == message_id


def test_the_id_is_part_of_what_is_signed() -> None:
    headers = sign_standard("msg_1", BODY, NEW, now=NOW)
    with pytest.raises(WebhookRefused) as refused:
        verify_standard({**headers, "webhook-id": "msg_2"}, BODY, NEW, now=NOW)
    assert refused.value.code == "signature_wrong"


def test_a_body_beyond_the_bound_is_refused_unread() -> None:
    with pytest.raises(WebhookRefused) as refused:
        sign_stripe(b"x" * (BODY_BYTES_MAX + 1), NEW, now=NOW)
    assert refused.value.code == "body_too_large"


@pytest.mark.parametrize("texts", [(), ("short",), ("whsec_" + "a" * 30, "x")])
def test_secrets_too_short_to_be_secret_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(WebhookSecretInvalid):
        WebhookSecrets.stripe(*texts)


def test_a_secret_that_is_not_base64_is_refused_and_not_shown() -> None:
    with pytest.raises(WebhookSecretInvalid) as refused:
        WebhookSecrets.standard("whsec_not-base64!")
    assert "not-base64" not in str(refused.value)
    assert "whsec_new" not in repr(NEW)
