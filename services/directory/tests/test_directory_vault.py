"""Contacts in clear live in the vault alone: one writing each, sealed, opened with either key."""

import base64
import json

import pytest
from pydantic import SecretStr, ValidationError

from tally_directory.domain.refusal import Refused
from tally_directory.settings import DirectorySettings
from tally_directory.vault import Vault, normal_contact
from tally_security.blind_index import BlindIndex
from tally_security.sealing import Keyring, Place, SealingKey, SealingKeyUnknown, seal, unseal

OLD, NEW = SealingKey(b"o" * 32), SealingKey(b"n" * 32)
INDEX = BlindIndex(b"i" * 32)
ROW = Place("party_a", "contact", "value", "contact_1")


def taken(vault: Vault, value: str, channel: str = "email") -> str:
    return vault.take_contact(
        "party_a", "contact_1", channel, seal(value, vault.keys.current, ROW)
    ).token


@pytest.mark.parametrize(
    ("channel", "writings"),
    [
        ("email", ("ann@example.com", " Ann@EXAMPLE.com ", "ANN@example.com")),
        ("email", ("straße@example.com", "STRASSE@example.com".replace("SS", "ß"))),
        ("phone", ("+4930901820", "+49 30 901820", "+49 (30) 90-18-20")),
    ],
)
def test_all_writings_of_a_contact_have_one_token(channel: str, writings: tuple[str, ...]) -> None:
    vault = Vault(Keyring(NEW), INDEX)
    assert len({taken(vault, writing, channel) for writing in writings}) == 1


def test_other_contacts_and_channels_have_other_tokens() -> None:
    vault = Vault(Keyring(NEW), INDEX)
    tokens = {
        taken(vault, "ann@example.com"),
        taken(vault, "ann.lee@example.com"),
        taken(vault, "ann@example.org"),
        taken(vault, "+4930901820", "phone"),
        taken(vault, "+4930901821", "phone"),
    }
    assert len(tokens) == 5


@pytest.mark.parametrize("value", ["", "x", "@", "a@b", "a b@example.com", "a@example..com"])
def test_what_is_no_mailbox_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(Refused) as refused:
        normal_contact("email", value)
    said = refused.value.refusal
    assert said.code == "email_invalid"
    assert len(value) < 2 or value not in f"{said.detail} {said.remedy}"


def test_after_a_change_of_keys_old_contacts_open_until_the_old_key_is_dropped() -> None:
    before = Vault(Keyring(OLD), INDEX)
    clear = before.take_contact("party_a", "contact_1", "email", seal("ann@example.com", OLD, ROW))
    kept = before.keep_contact("party_a", "contact_1", clear)
    where = {"contact_id": "contact_1", "channel": "email", "sealed": kept}
    changed = Vault(Keyring(NEW, previous=OLD), INDEX)
    sent = changed.draw_code("party_a", "verif_1", **where)
    place = Place("party_a", "verification", "message", "verif_1")
    message = json.loads(unseal(sent.sealed_message, Keyring(NEW), place))
    assert message["address"] == "ann@example.com"
    with pytest.raises(SealingKeyUnknown):
        Vault(Keyring(NEW), INDEX).draw_code("party_a", "verif_1", **where)
    again = changed.take_contact("party_a", "contact_1", "email", seal("ann@example.com", OLD, ROW))
    assert again.token == clear.token, "tokens do not change with the sealing key"


def test_a_code_is_eight_digits_and_its_token_is_of_one_verification() -> None:
    vault = Vault(Keyring(NEW), INDEX, draw=lambda _: 7)
    sealed = vault.keep_contact(
        "party_a",
        "contact_1",
        vault.take_contact("party_a", "contact_1", "email", seal("a@example.com", NEW, ROW)),
    )
    where = {"contact_id": "contact_1", "channel": "email", "sealed": sealed}
    first, second = (vault.draw_code("party_a", name, **where) for name in ("verif_1", "verif_2"))
    assert first.token != second.token
    code = seal("00000007", NEW, Place("party_a", "verification", "code", "verif_1"))
    assert vault.take_code("party_a", "verif_1", code) == first.token


def test_settings_that_hold_no_keys_stop_the_start() -> None:
    given = {"environment": "test", "kafka": "x:1", "postgres_dsn": SecretStr("postgresql://x")}
    for name in ("sealing_key", "sealing_key_previous", "token_key"):
        variable = f"TALLY_DIRECTORY_{name.upper()}"
        with pytest.raises(ValidationError, match="openssl rand"):
            DirectorySettings(**given, **{variable: "c2hvcnQ="})
    key = base64.b64encode(b"p" * 32).decode()
    previous = DirectorySettings(**given, TALLY_DIRECTORY_SEALING_KEY_PREVIOUS=key).vault().keys
    assert previous.previous == SealingKey(b"p" * 32)
