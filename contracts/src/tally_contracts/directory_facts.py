"""What became of the directory's commands, and of payees that money reached first.

No fact holds a name, an address or a number: contacts are tokens, payees have aliases.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool

from tally_contracts.base import (
    AssetCode,
    Count,
    Country,
    Event,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)
from tally_contracts.directory import ExternalId, SealedText, SharedFields, View


class DirectoryFact(Event):
    """What all facts have: for whose tree, by whom, why and when. `tenant` is the tree's root."""

    tenant: Token
    who: Who
    reason: Text
    occurred_at: UtcTime


class DirectoryCommandRefused(Event):
    """A command changed nothing: what is wrong, where in it (JSON pointer), and what to do.

    `code`: unknown_party, unknown_parent, unknown_contact, unknown_wallet, unknown_connection,
    unknown_grant, unknown_approval, unknown_verification, unknown_relation, unknown_kind,
    not_your_subtree, role_too_low, reason_missing, reason_malformed, cycle, tree_too_deep,
    parent_not_allowed, other_tenant, id_reused, id_taken, same_person (more may come).
    """

    TYPE: ClassVar[str] = "directory.command.refused.v1"

    command_id: TypeId
    command_type: Token
    tenant: Token
    subject: Token
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text
    who: Who
    occurred_at: UtcTime


class CommandRepeated(Event):
    """A command was carried out before: the fact of type `answer` told of it, and what it told stands.

    That fact is not told again, since later ones may have overtaken it. A command that was refused
    before is refused again instead.
    """

    TYPE: ClassVar[str] = "directory.command.repeated.v1"

    command_id: TypeId
    command_type: Token
    tenant: Token
    subject: Token
    answer: Token
    who: Who
    occurred_at: UtcTime


class PartyRegistered(DirectoryFact):
    """A party is known. `path` holds its ancestors, root first; empty for a root.

    `state`: registered, or unclaimed where money reached a payee before the payee was known (F9).
    It comes again, with what is known since, when an unclaimed party is registered.
    """

    TYPE: ClassVar[str] = "directory.party.registered.v1"

    party_id: TypeId
    kind: Slug
    parent: TypeId | None
    path: tuple[TypeId, ...]
    external_id: Token | None
    country: Country | None
    alias: Token
    state: Slug


class ExternalIdsChanged(DirectoryFact):
    """How the party is called in the systems of those it deals with: all of them, in one fact (F32).

    Each of their systems enters or updates the party by the id that stands beside its own party.
    """

    TYPE: ClassVar[str] = "directory.party.external_ids_changed.v1"

    party_id: TypeId
    alias: Token
    country: Country | None
    external_ids: Annotated[tuple[ExternalId, ...], Field(min_length=1, max_length=500)]


class PartyMoved(DirectoryFact):
    """A party hangs under another parent; all below it moved along, their paths changed likewise."""

    TYPE: ClassVar[str] = "directory.party.moved.v1"

    party_id: TypeId
    parent: TypeId
    path: tuple[TypeId, ...]
    previous_path: tuple[TypeId, ...]


class PartiesMerged(DirectoryFact):
    """Two payees were found to be one: what was of `merged` is of `party_id` now, for good.

    `by`: verified_contact, approval (more may come).
    """

    TYPE: ClassVar[str] = "directory.party.merged.v1"

    party_id: TypeId
    merged: TypeId
    merged_tenant: Token
    by: Slug


class ReferenceClaimed(DirectoryFact):
    """Money of this owner reference (as it stands in the books) is this party's."""

    TYPE: ClassVar[str] = "directory.reference.claimed.v1"

    party_id: TypeId
    reference: Token


class RelationTypeDefined(DirectoryFact):
    """The tenant may relate parties in this way."""

    TYPE: ClassVar[str] = "directory.relation_type.defined.v1"

    relation: Slug
    label: Text


class RelationSet(DirectoryFact):
    """`party` is the `relation` of `other`, for which `company` is responsible; or no longer."""

    TYPE: ClassVar[str] = "directory.relation.changed.v1"

    party: TypeId
    other: TypeId
    relation: Slug
    company: TypeId
    ended: StrictBool


class ConnectionChanged(DirectoryFact):
    """What `from_party` may do with the account of `to_party`. `state`: invited, accepted, revoked."""

    TYPE: ClassVar[str] = "directory.connection.changed.v1"

    connection_id: TypeId
    from_party: TypeId
    to_party: TypeId
    access: Slug
    state: Slug


class _RoleFact(DirectoryFact):
    party_id: TypeId
    person: TypeId
    role: Slug


class RoleAssigned(_RoleFact):
    """The person has this role at the party."""

    TYPE: ClassVar[str] = "directory.role.assigned.v1"


class RoleRemoved(_RoleFact):
    """The person has this role no more."""

    TYPE: ClassVar[str] = "directory.role.removed.v1"


class _ContactFact(DirectoryFact):
    """`contact` is a token: the same for the same address, and nothing can be read from it."""

    contact_id: TypeId
    party_id: TypeId
    contact: Token
    channel: Slug


class ContactAdded(_ContactFact):
    """The party can be reached here."""

    TYPE: ClassVar[str] = "directory.contact.added.v1"

    verified: StrictBool


class ContactVerified(_ContactFact):
    """The party has shown that the contact is its own."""

    TYPE: ClassVar[str] = "directory.contact.verified.v1"


class ContactRemoved(_ContactFact):
    """The contact is forgotten."""

    TYPE: ClassVar[str] = "directory.contact.removed.v1"


class ContactsViewed(DirectoryFact):
    """A party's contacts were read back: by whom (`viewer`, `who`), and for which purpose (`reason`).

    `basis`: own, consent or grant, which show the values; alias, which shows the tokens alone.
    `tokens` are those of the contacts that were shown.
    """

    TYPE: ClassVar[str] = "directory.contact.viewed.v1"

    view_id: TypeId
    party_id: TypeId
    viewer: Token
    basis: Slug
    tokens: Annotated[tuple[Token, ...], Field(max_length=200)]


class ContactAlarmRaised(DirectoryFact):
    """A second party has shown a contact whose money is another's already: a person should look.

    The money stays with `party_id`; `attempted_by` gets nothing of it. `code`: contact_taken (more
    may come).
    """

    TYPE: ClassVar[str] = "directory.contact.alarm_raised.v1"

    party_id: TypeId
    contact: Token
    channel: Slug
    attempted_by: TypeId
    code: Slug


class VerificationStarted(DirectoryFact):
    """A code is to be delivered: channel, address and code are in `sealed_message`."""

    TYPE: ClassVar[str] = "directory.verification.started.v1"

    verification_id: TypeId
    contact_id: TypeId
    party_id: TypeId
    channel: Slug
    sealed_message: SealedText
    expires_at: UtcTime


class FundingDetailsIssued(DirectoryFact):
    """Who pays in this currency and quotes `virtual_account` (ISO 11649) pays this party."""

    TYPE: ClassVar[str] = "directory.funding_details.issued.v1"

    party_id: TypeId
    currency: AssetCode
    virtual_account: Token


class _ConsentFact(DirectoryFact):
    party_id: TypeId
    company: TypeId


class ConsentGiven(_ConsentFact):
    """The company may pay the payee and know it beyond its alias."""

    TYPE: ClassVar[str] = "directory.consent.given.v1"


class ConsentWithdrawn(_ConsentFact):
    """The company sees the payee's alias alone."""

    TYPE: ClassVar[str] = "directory.consent.withdrawn.v1"


class GroupMembershipChanged(DirectoryFact):
    """A party is in the group, or out of it; `version` counts the group's changes without a gap."""

    TYPE: ClassVar[str] = "directory.group.membership_changed.v1"

    group: TypeId
    party: TypeId
    member: StrictBool
    version: Count


class ApprovalProposed(DirectoryFact):
    """An act waits for a second person. `act`: merge_parties, remove_owner, or another service's.

    `subject`: the party to be merged, the person, or what the other service named.
    """

    TYPE: ClassVar[str] = "directory.approval.proposed.v1"

    approval_id: TypeId
    party_id: TypeId
    act: Slug
    subject: Token
    content_digest: Token | None


class ApprovalDecided(DirectoryFact):
    """The second person (`who.actor`, never `proposed_by`) approved or declined the act."""

    TYPE: ClassVar[str] = "directory.approval.decided.v1"

    approval_id: TypeId
    party_id: TypeId
    act: Slug
    subject: Token
    content_digest: Token | None
    approved: StrictBool
    proposed_by: Token


class WalletOpened(DirectoryFact):
    """A wallet is open; `account` of `ledger` holds its money. Fields as in OpenWallet."""

    TYPE: ClassVar[str] = "directory.wallet.opened.v1"

    wallet_id: TypeId
    owner: TypeId
    account: TypeId
    ledger: Slug
    currency: AssetCode
    purpose: Slug
    reference: Token | None
    company: Token | None
    value_kind: Slug


class _GrantFact(DirectoryFact):
    grant_id: TypeId
    wallet: TypeId
    to_party: TypeId
    fields: SharedFields


class GrantSet(_GrantFact):
    """The party sees exactly these fields of the wallet."""

    TYPE: ClassVar[str] = "directory.grant.given.v1"


class GrantRevoked(_GrantFact):
    """The party does not see these fields any more."""

    TYPE: ClassVar[str] = "directory.grant.revoked.v1"


class ViewsLogged(DirectoryFact):
    """Looks that were taken by grants, kept for the wallets' owners."""

    TYPE: ClassVar[str] = "directory.view.logged.v1"

    command_id: TypeId
    views: Annotated[tuple[View, ...], Field(min_length=1, max_length=200)]


PARTY_FACTS: tuple[type[Event], ...] = (
    PartyRegistered,
    ExternalIdsChanged,
    PartyMoved,
    PartiesMerged,
    ReferenceClaimed,
    RelationTypeDefined,
    RelationSet,
    ConnectionChanged,
    RoleAssigned,
    RoleRemoved,
    ContactAdded,
    ContactVerified,
    ContactRemoved,
    ContactsViewed,
    ContactAlarmRaised,
    VerificationStarted,
    FundingDetailsIssued,
    ConsentGiven,
    ConsentWithdrawn,
    GroupMembershipChanged,
    ApprovalProposed,
    ApprovalDecided,
    DirectoryCommandRefused,
    CommandRepeated,
)
WALLET_FACTS: tuple[type[Event], ...] = (WalletOpened, GrantSet, GrantRevoked, ViewsLogged)
