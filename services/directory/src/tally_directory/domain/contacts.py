"""Contacts and the codes that show whose they are."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from tally_contracts.owners import OF_CONTACT
from tally_directory.domain.access import Act, is_self, need_access
from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import Contact, Kind, Party, PartyState, Reference, Verification
from tally_directory.domain.world import World

CODE_LIFE = timedelta(minutes=15)
ATTEMPTS_MAX = 5
CODES_A_DAY = 5
"""Codes per contact: with the attempts each has, guessing eight digits is hopeless."""


def reference_of(token: str) -> str:
    """The owner reference under which money for a contact stands in the books."""
    return f"{OF_CONTACT}{token}"


def add(world: World, act: Act, contact: Contact) -> tuple[Party, Contact]:
    """Note where a party can be reached."""
    party = world.party(contact.party_id, "/party_id")
    need_access(world, act, party, "/party_id")
    if world.contacts.get(contact.contact_id) is not None:
        refuse("id_taken", "/contact_id", "this contact exists", "make a new id")
    known = world.contact_of(contact.party_id, contact.token)
    if known is not None:
        refuse(
            "contact_known", "/sealed", f"{known} is this very contact", "use the contact as it is"
        )
    world.put_contact(contact)
    return party, contact


def remove(world: World, act: Act, contact_id: str) -> tuple[Party, Contact]:
    """Forget where a party can be reached; money that came under it stays the party's."""
    contact = _contact(world, contact_id)
    party = world.party(contact.party_id, "/contact_id")
    need_access(world, act, party, "/contact_id")
    forgotten = replace(contact, sealed=None, verified_at=None)
    world.put_contact(forgotten)
    return party, forgotten


def start(
    world: World, act: Act, verification_id: str, contact_id: str, code_token: str
) -> tuple[Party, Contact, Verification]:
    """Send a code to a contact, a few times a day at most."""
    contact = _contact(world, contact_id)
    party = world.party(contact.party_id, "/contact_id")
    need_access(world, act, party, "/contact_id")
    if contact.verified_at is not None:
        refuse("contact_verified", "/contact_id", "it is verified", "there is nothing to do")
    if world.verifications.get(verification_id) is not None:
        refuse("id_taken", "/verification_id", "this verification exists", "make a new id")
    today = act.now.date()
    sent = contact.codes_sent if contact.codes_day == today else 0
    if sent >= CODES_A_DAY:
        refuse(
            "too_many_codes",
            "/contact_id",
            f"{CODES_A_DAY} codes were sent to it today",
            "use the newest code, or try again tomorrow",
        )
    verification = Verification(
        verification_id=verification_id,
        tenant=contact.tenant,
        contact_id=contact_id,
        code_token=code_token,
        expires_at=act.now + CODE_LIFE,
    )
    world.put_contact(replace(contact, codes_day=today, codes_sent=sent + 1))
    world.verifications.put(verification_id, verification)
    return party, contact, verification


class Finding(StrEnum):
    """What a verified contact says of its party beyond being reached there."""

    NOTHING = "nothing"
    OWN = "own"
    """Money under this contact is the party's."""
    ABSORB = "absorb"
    """A payee that money alone had made is this party."""
    SAME_PERSON = "same_person"
    """Another payee has shown the same contact to be its own: this one offers to go on as that one."""
    TAKEN = "taken"
    """Another party has, and they cannot be one, or nobody may say so for this one: all stays as it is."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A verified contact and what follows; `other` is the party found to be the same."""

    party: Party
    contact: Contact
    finding: Finding
    other: Party | None = None


def confirm(world: World, act: Act, verification_id: str, code_token: str) -> Confirmed:
    """Check a code. A wrong one is refused and counted: that count is all it changes."""
    verification = world.verifications.get(verification_id)
    if verification is None:
        refuse(
            "unknown_verification",
            "/verification_id",
            "there is no such verification",
            "start one for the contact",
        )
    contact = _contact(world, verification.contact_id)
    party = world.party(contact.party_id, "/verification_id")
    need_access(world, act, party, "/verification_id")
    _check_usable(act, verification)
    if verification.code_token != code_token:
        tried = replace(verification, attempts=verification.attempts + 1)
        world.verifications.put(verification_id, tried)
        left = ATTEMPTS_MAX - tried.attempts
        refuse("code_wrong", "/sealed_code", f"{left} attempts are left", "look at the newest code")
    verified = replace(contact, verified_at=act.now)
    world.verifications.put(verification_id, replace(verification, confirmed=True))
    world.put_contact(verified)
    return _find(world, act, party, verified)


def _check_usable(act: Act, verification: Verification) -> None:
    again = "start a new verification"
    if verification.confirmed:
        refuse("code_used", "/verification_id", "the contact was verified with it", again)
    if act.now >= verification.expires_at:
        refuse("code_expired", "/verification_id", "the code is too old", again)
    if verification.attempts >= ATTEMPTS_MAX:
        refuse("too_many_attempts", "/verification_id", "too many wrong codes", again)


def _find(world: World, act: Act, party: Party, contact: Contact) -> Confirmed:
    """Whose money under this contact is, and who else has shown it to be theirs (F29)."""
    reference = reference_of(contact.token)
    owner = world.owner_of(reference)
    if owner is None:
        world.references.put(reference, Reference(party.tenant, party.party_id))
        return Confirmed(party, contact, Finding.OWN)
    if owner.party_id == party.party_id:
        return Confirmed(party, contact, Finding.NOTHING)
    if owner.state is PartyState.UNCLAIMED:
        return Confirmed(party, contact, Finding.ABSORB, owner)
    may_be_one = party.kind is Kind.PAYEE and owner.kind is Kind.PAYEE
    if not (may_be_one and (act.by_operator or is_self(world, act, party))):
        return Confirmed(party, contact, Finding.TAKEN, owner)
    return Confirmed(party, contact, Finding.SAME_PERSON, owner)


def _contact(world: World, contact_id: str) -> Contact:
    contact = world.contacts.get(contact_id)
    if contact is None or contact.sealed is None:
        refuse("unknown_contact", "/contact_id", "there is no such contact", "add it first")
    return contact
