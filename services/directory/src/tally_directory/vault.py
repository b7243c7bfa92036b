"""Contacts in clear: read from sealed texts, written the one way they are compared, sealed again.

Nothing in clear leaves this module but inside a sealed text, or to answer who may see it.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from tally_contracts.directory import (
    CONTACT_VALUE,
    VERIFICATION_CODE,
    VERIFICATION_MESSAGE,
    SealPlace,
)
from tally_directory.domain.refusal import refuse
from tally_security.blind_index import BlindIndex
from tally_security.sealing import Keyring, Place, SealingError, seal, unseal

CODE_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class ClearContact:
    """A contact's token, which may be told, and its value, which may not."""

    token: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SentCode:
    """A code that was drawn: its token to keep, and the message for whoever delivers it."""

    token: str
    sealed_message: str


@dataclass(frozen=True, slots=True)
class Vault:
    """Opens with either key and seals with the current one. `draw(n)` is a number below n."""

    keys: Keyring
    index: BlindIndex
    draw: Callable[[int], int] = secrets.randbelow

    def take_contact(self, tenant: str, contact_id: str, channel: str, sealed: str) -> ClearContact:
        """Read a contact as it came; refuses what nobody can be reached at."""
        place = _place(CONTACT_VALUE, tenant, contact_id)
        value = normal_contact(channel, self._open(sealed, place, "/sealed"))
        # Letter case tells no two mailboxes apart that anybody runs.
        return ClearContact(self.index.token(channel, value.lower()), value)

    def keep_contact(self, tenant: str, contact_id: str, contact: ClearContact) -> str:
        """The contact sealed as it is kept: for the tenant of its party."""
        place = _place(CONTACT_VALUE, tenant, contact_id)
        return seal(contact.value, self.keys.current, place)

    def show_contact(self, tenant: str, contact_id: str, sealed: str) -> str:
        """The value of a kept contact, for whoever may see it; raises SealingError."""
        return unseal(sealed, self.keys, _place(CONTACT_VALUE, tenant, contact_id))

    def draw_code(
        self, tenant: str, verification_id: str, *, contact_id: str, channel: str, sealed: str
    ) -> SentCode:
        """Draw a code for a kept contact, addressed to it."""
        address = unseal(sealed, self.keys, _place(CONTACT_VALUE, tenant, contact_id))
        code = f"{self.draw(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        message = json.dumps({"channel": channel, "address": address, "code": code})
        place = _place(VERIFICATION_MESSAGE, tenant, verification_id)
        return SentCode(
            self._code_token(verification_id, code), seal(message, self.keys.current, place)
        )

    def take_code(self, tenant: str, verification_id: str, sealed_code: str) -> str:
        """The token of a code as it came back."""
        place = _place(VERIFICATION_CODE, tenant, verification_id)
        return self._code_token(verification_id, self._open(sealed_code, place, "/sealed_code"))

    def _code_token(self, verification_id: str, code: str) -> str:
        return self.index.token(f"code:{verification_id}", code.strip())

    def _open(self, sealed: str, place: Place, at: str) -> str:
        try:
            return unseal(sealed, self.keys, place)
        except SealingError as error:
            refuse(
                error.code,
                at,
                str(error),
                f"seal it with the current key for {place.table}.{place.column}, this tenant and id",
            )


def normal_contact(channel: str, value: str) -> str:
    """The one way a contact is written: RFC 5321 mailbox or E.164 number; refuses anything else."""
    read = _READERS.get(channel)
    if read is None:
        known = ", ".join(_READERS)
        refuse("unknown_channel", "/channel", f"{channel} is no channel", f"use one of {known}")
    return read(value.strip())


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError:
        refuse("email_invalid", "/sealed", "this is no e-mail address", "correct it")


def _phone(value: str) -> str:
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        refuse(
            "phone_invalid",
            "/sealed",
            "this is no telephone number",
            "write it with + and the country code",
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_READERS: Final[Mapping[str, Callable[[str], str]]] = {"email": _email, "phone": _phone}


def _place(where: SealPlace, tenant: str, row: str) -> Place:
    table, column = where
    return Place(tenant, table, column, row)
