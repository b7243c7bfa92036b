"""Where parties are reached, and how they show that a contact is theirs."""

from tally_contracts import directory as asked
from tally_contracts import directory_facts as facts
from tally_directory.commands.approvals import merge_now, tell_proposed
from tally_directory.desk import PARTIES, Desk
from tally_directory.domain import approvals, contacts
from tally_directory.domain.contacts import Confirmed, Finding
from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import Contact, Party
from tally_runtime import derived_id


def add(desk: Desk, command: asked.AddContact) -> None:
    clear = desk.vault.take_contact(
        command.tenant, command.contact_id, command.channel, command.sealed
    )
    reached = desk.world.party(command.party_id, "/party_id")
    contact = Contact(
        contact_id=command.contact_id,
        tenant=reached.tenant,
        party_id=reached.party_id,
        channel=command.channel,
        token=clear.token,
        sealed=desk.vault.keep_contact(reached.tenant, command.contact_id, clear),
    )
    party, added = contacts.add(desk.world, desk.act, contact)
    fact = facts.ContactAdded(
        **desk.said(party.tenant),
        contact_id=added.contact_id,
        party_id=party.party_id,
        contact=added.token,
        channel=added.channel,
        verified=False,
    )
    desk.tell(PARTIES, party.party_id, fact)


def remove(desk: Desk, command: asked.RemoveContact) -> None:
    party, contact = contacts.remove(desk.world, desk.act, command.contact_id)
    fact = facts.ContactRemoved(
        **desk.said(party.tenant),
        contact_id=contact.contact_id,
        party_id=party.party_id,
        contact=contact.token,
        channel=contact.channel,
    )
    desk.tell(PARTIES, party.party_id, fact)


def start_verification(desk: Desk, command: asked.StartVerification) -> None:
    known = desk.world.contacts.get(command.contact_id)
    if known is None or known.sealed is None:
        refuse("unknown_contact", "/contact_id", "there is no such contact", "add it first")
    code = desk.vault.draw_code(
        known.tenant,
        command.verification_id,
        contact_id=known.contact_id,
        channel=known.channel,
        sealed=known.sealed,
    )
    party, contact, verification = contacts.start(
        desk.world, desk.act, command.verification_id, command.contact_id, code.token
    )
    fact = facts.VerificationStarted(
        **desk.said(contact.tenant),
        verification_id=verification.verification_id,
        contact_id=contact.contact_id,
        party_id=party.party_id,
        channel=contact.channel,
        sealed_message=code.sealed_message,
        expires_at=verification.expires_at,
    )
    desk.tell(PARTIES, party.party_id, fact)


def confirm(desk: Desk, command: asked.ConfirmVerification) -> None:
    code_token = desk.vault.take_code(command.tenant, command.verification_id, command.sealed_code)
    found = contacts.confirm(desk.world, desk.act, command.verification_id, code_token)
    party, contact = found.party, found.contact
    fact = facts.ContactVerified(
        **desk.said(party.tenant),
        contact_id=contact.contact_id,
        party_id=party.party_id,
        contact=contact.token,
        channel=contact.channel,
    )
    desk.tell(PARTIES, party.party_id, fact)
    _follow(desk, command.verification_id, found)


def _follow(desk: Desk, verification_id: str, found: Confirmed) -> None:
    """What a verified contact leads to: money found, a payee absorbed, or two people asked."""
    party = found.party
    if found.finding is Finding.OWN:
        reference = contacts.reference_of(found.contact.token)
        claimed = facts.ReferenceClaimed(
            **desk.said(party.tenant), party_id=party.party_id, reference=reference
        )
        desk.tell(PARTIES, party.party_id, claimed)
    elif found.finding is Finding.ABSORB:
        assert found.other is not None, "something is absorbed"
        merge_now(desk, party, found.other, by="verified_contact")
    elif found.finding is Finding.SAME_PERSON:
        assert found.other is not None, "somebody is the same"
        approval_id = derived_id("appr", verification_id)
        merging = approvals.merge_of(desk.act, approval_id, found.other, party)
        tell_proposed(desk, approvals.propose(desk.world, merging))
    if found.finding in {Finding.SAME_PERSON, Finding.TAKEN}:
        assert found.other is not None, "somebody has the contact already"
        _raise_alarm(desk, found, found.other)


def _raise_alarm(desk: Desk, found: Confirmed, holder: Party) -> None:
    """Whoever has the money is told, and all above: a second party has shown the same contact (F28)."""
    alarm = facts.ContactAlarmRaised(
        **desk.said(holder.tenant),
        party_id=holder.party_id,
        contact=found.contact.token,
        channel=found.contact.channel,
        attempted_by=found.party.party_id,
        code="contact_taken",
    )
    desk.tell(PARTIES, holder.party_id, alarm)
