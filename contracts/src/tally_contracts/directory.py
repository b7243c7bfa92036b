"""The directory's commands: parties and their tree, contacts, wallets, and who may see and do what.

Every command has an id of its own, says for whom (`tenant`, the root of the tree) and why, and
leads to one fact at least: what it changed, or a `DirectoryCommandRefused`. The same command again changes
nothing and is answered by `CommandRepeated`, or refused as before; its id with other content is
refused.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StrictBool, StringConstraints

from tally_contracts.base import (
    AssetCode,
    Country,
    Event,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)

SealedText = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$", max_length=4096)
]
"""A text encrypted by `tally_security.sealing` for the place its field names."""

SealPlace = tuple[str, str]
"""Table and column that a sealed text is bound to, beside its tenant and its row."""

CONTACT_VALUE: SealPlace = ("contact", "value")
"""`AddContact.sealed`; the row is the contact's id."""
VERIFICATION_CODE: SealPlace = ("verification", "code")
"""`ConfirmVerification.sealed_code`; the row is the verification's id."""
VERIFICATION_MESSAGE: SealPlace = ("verification", "message")
"""`VerificationStarted.sealed_message`, a JSON object of channel, address and code; row as above."""

OPERATOR: Token = "operator"
"""The principal of the installation itself; it alone plants a tree."""

SharedFields = Annotated[tuple[Slug, ...], Field(min_length=1, max_length=16)]
"""Named fields of a wallet: balance, history, status, program, purpose (more may come)."""


class DirectoryCommand(Event):
    """What all commands have.

    `who.principal` is a party or `operator`; `who.actor` a person (`person_…`, held to the roles it
    has at the principal), or a key or service of the principal.

    `reason` is the why: 1 to 500 printable characters; one that is missing or no text is answered
    with a refusal, so readers take it leniently.
    """

    command_id: TypeId
    tenant: Token
    who: Who
    reason: Annotated[str, StringConstraints(max_length=2000)] | None = None
    occurred_at: UtcTime


class RegisterParty(DirectoryCommand):
    """Command: enter a party. `kind`: aggregator, company, partner, payee, group.

    A root names itself as tenant and has no parent. An id that money came to before it was
    known is taken over by registering it; only the side that paid may do so.
    """

    TYPE: ClassVar[str] = "directory.party.register.v1"

    party_id: TypeId
    kind: Slug
    parent: TypeId | None = None
    external_id: Token | None = None
    country: Country | None = None


class ExternalId(Shape):
    """How one party calls another in a system of its own, such as its CRM (F32)."""

    known_to: TypeId
    external_id: Token


class SetExternalId(DirectoryCommand):
    """Command: in the systems of `known_to` the party is `external_id`; again replaces it."""

    TYPE: ClassVar[str] = "directory.external_id.set.v1"

    party_id: TypeId
    known_to: TypeId
    external_id: Token


class MoveParty(DirectoryCommand):
    """Command: hang a party, with all below it, under another parent of the same tenant."""

    TYPE: ClassVar[str] = "directory.party.move.v1"

    party_id: TypeId
    parent: TypeId


class MergeParties(DirectoryCommand):
    """Command: two payees are one; `merged` goes on as `kept` once the side of `kept` approves."""

    TYPE: ClassVar[str] = "directory.party.merge.v1"

    approval_id: TypeId
    kept: TypeId
    merged: TypeId


class DefineRelationType(DirectoryCommand):
    """Command: a kind of relation between parties that this tenant uses beside the known ones."""

    TYPE: ClassVar[str] = "directory.relation_type.define.v1"

    relation: Slug
    label: Text


class SetRelation(DirectoryCommand):
    """Command: `party` is the `relation` of `other` (its supplier, say), or is so no longer.

    `company` is responsible for the engagement; without one, `other` is.
    """

    TYPE: ClassVar[str] = "directory.relation.set.v1"

    party: TypeId
    other: TypeId
    relation: Slug
    company: TypeId | None = None
    ended: StrictBool = False


class InviteConnection(DirectoryCommand):
    """Command: `from_party` asks `to_party` for access to its account. `access`: pay, view, manage.

    Each level holds the ones before it: pay to it; see wallets and limited bank details; manage
    balances, reversals and profile.
    """

    TYPE: ClassVar[str] = "directory.connection.invite.v1"

    connection_id: TypeId
    from_party: TypeId
    to_party: TypeId
    access: Slug


class AcceptConnection(DirectoryCommand):
    """Command: the party whose account it is agrees."""

    TYPE: ClassVar[str] = "directory.connection.accept.v1"

    connection_id: TypeId


class RevokeConnection(DirectoryCommand):
    """Command: either side ends the connection, at once and for good."""

    TYPE: ClassVar[str] = "directory.connection.revoke.v1"

    connection_id: TypeId


class _RoleCommand(DirectoryCommand):
    """A person's role at a party. `role`: owner, admin, approver, viewer."""

    party_id: TypeId
    person: TypeId
    role: Slug


class AssignRole(_RoleCommand):
    """Command: give a person this role at a party."""

    TYPE: ClassVar[str] = "directory.role.assign.v1"


class RemoveRole(_RoleCommand):
    """Command: take the role away; an owner's goes only when a second person approves."""

    TYPE: ClassVar[str] = "directory.role.remove.v1"

    approval_id: TypeId


class AddContact(DirectoryCommand):
    """Command: a party can be reached here. `channel`: email, phone. `sealed` at CONTACT_VALUE."""

    TYPE: ClassVar[str] = "directory.contact.add.v1"

    contact_id: TypeId
    party_id: TypeId
    channel: Slug
    sealed: SealedText


class RemoveContact(DirectoryCommand):
    """Command: forget a contact; its sealed value is deleted."""

    TYPE: ClassVar[str] = "directory.contact.remove.v1"

    contact_id: TypeId


class StartVerification(DirectoryCommand):
    """Command: send a code to the contact."""

    TYPE: ClassVar[str] = "directory.verification.start.v1"

    verification_id: TypeId
    contact_id: TypeId


class ConfirmVerification(DirectoryCommand):
    """Command: this is the code that came; `sealed_code` at VERIFICATION_CODE."""

    TYPE: ClassVar[str] = "directory.verification.confirm.v1"

    verification_id: TypeId
    sealed_code: SealedText


class OpenWallet(DirectoryCommand):
    """Command: open a wallet. `purpose` is `default` (one per owner and currency) or any other name.

    `company` is responsible for the engagement. `value_kind`: cash, cash_like, closed_loop.
    """

    TYPE: ClassVar[str] = "directory.wallet.open.v1"

    wallet_id: TypeId
    owner: TypeId
    currency: AssetCode
    purpose: Slug
    reference: Token | None = None
    company: TypeId | None = None
    value_kind: Slug = "cash"


class SetGrant(DirectoryCommand):
    """Command: let a party see exactly these fields of a wallet; again with others replaces them."""

    TYPE: ClassVar[str] = "directory.grant.set.v1"

    grant_id: TypeId
    wallet: TypeId
    to_party: TypeId
    fields: SharedFields


class ReplaceGrantFields(DirectoryCommand):
    """Command: the party sees exactly these fields by the grant from now on; `GrantSet` says so again."""

    TYPE: ClassVar[str] = "directory.grant.replace_fields.v1"

    grant_id: TypeId
    fields: SharedFields


class RevokeGrant(DirectoryCommand):
    """Command: the party sees nothing of the wallet by this grant any more."""

    TYPE: ClassVar[str] = "directory.grant.revoke.v1"

    grant_id: TypeId


class View(Shape):
    """One look at a wallet by a grant: which party, by whom, at which fields, when."""

    grant_id: TypeId
    wallet: TypeId
    viewer: TypeId
    actor: Token
    fields: SharedFields
    viewed_at: UtcTime


class LogViews(DirectoryCommand):
    """Command: keep these looks that were taken by grants; the platform's own readers send it."""

    TYPE: ClassVar[str] = "directory.view.log.v1"

    views: Annotated[tuple[View, ...], Field(min_length=1, max_length=200)]


class IssueFundingDetails(DirectoryCommand):
    """Command: give the party a virtual account to be paid in this currency by bank transfer."""

    TYPE: ClassVar[str] = "directory.funding_details.issue.v1"

    party_id: TypeId
    currency: AssetCode


class _ConsentCommand(DirectoryCommand):
    """A payee's own word on a company; nobody else can give it."""

    party_id: TypeId
    company: TypeId


class GiveConsent(_ConsentCommand):
    """Command: the company may pay the payee and know it beyond its alias."""

    TYPE: ClassVar[str] = "directory.consent.give.v1"


class WithdrawConsent(_ConsentCommand):
    """Command: from now on the company sees the alias alone."""

    TYPE: ClassVar[str] = "directory.consent.withdraw.v1"


class SetGroupMember(DirectoryCommand):
    """Command: take a party into a group, or out of it."""

    TYPE: ClassVar[str] = "directory.group.set_member.v1"

    group: TypeId
    party: TypeId
    member: StrictBool


class ProposeAct(DirectoryCommand):
    """Command: ask for a second person's word on an act of another service (a manual entry, say).

    `party_id` is the party whose people decide. `content_digest` names what exactly is proposed.
    """

    TYPE: ClassVar[str] = "directory.approval.propose.v1"

    approval_id: TypeId
    party_id: TypeId
    act: Slug
    subject: Token
    content_digest: Token


class DecideApproval(DirectoryCommand):
    """Command: approve or decline what another actor proposed."""

    TYPE: ClassVar[str] = "directory.approval.decide.v1"

    approval_id: TypeId
    approve: StrictBool


COMMANDS: tuple[type[DirectoryCommand], ...] = (
    RegisterParty,
    SetExternalId,
    MoveParty,
    MergeParties,
    DefineRelationType,
    SetRelation,
    InviteConnection,
    AcceptConnection,
    RevokeConnection,
    AssignRole,
    RemoveRole,
    AddContact,
    RemoveContact,
    StartVerification,
    ConfirmVerification,
    OpenWallet,
    SetGrant,
    ReplaceGrantFields,
    RevokeGrant,
    LogViews,
    IssueFundingDetails,
    GiveConsent,
    WithdrawConsent,
    SetGroupMember,
    ProposeAct,
    DecideApproval,
)
