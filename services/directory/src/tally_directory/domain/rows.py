"""What the directory knows, as frozen rows."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum


class Kind(StrEnum):
    """What a party is."""

    AGGREGATOR = "aggregator"
    COMPANY = "company"
    PARTNER = "partner"
    PAYEE = "payee"
    GROUP = "group"


class PartyState(StrEnum):
    """`UNCLAIMED`: made for money that came before its payee was known (F9)."""

    REGISTERED = "registered"
    UNCLAIMED = "unclaimed"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One party; `group_version` counts the changes of a group's members.

    `made_for` is the company whose money came before the party was registered.
    """

    party_id: str
    tenant: str
    kind: Kind
    parent: str | None
    external_id: str | None
    country: str | None
    alias: str
    state: PartyState
    merged_into: str | None = None
    made_for: str | None = None
    group_version: int = 0


@dataclass(frozen=True, slots=True)
class Relation:
    """`party` is the `relation` of `other`; `company` is responsible for the engagement."""

    tenant: str
    company: str
    ended: bool


class Access(IntEnum):
    """What a connection allows; each level holds the ones below."""

    PAY = 1
    VIEW = 2
    MANAGE = 3


class ConnectionState(StrEnum):
    """How far a connection has come."""

    INVITED = "invited"
    ACCEPTED = "accepted"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What `from_party` may do with the account of `to_party`; tenants are those of the two."""

    connection_id: str
    tenant: str
    other_tenant: str
    from_party: str
    to_party: str
    access: Access
    state: ConnectionState


class Role(StrEnum):
    """What a person is at a party."""

    OWNER = "owner"
    ADMIN = "admin"
    APPROVER = "approver"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Holding:
    """Whether a person has a role; the row stays when it is taken away."""

    tenant: str
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Where a party can be reached. `sealed` is None once forgotten; `codes_sent` on `codes_day`."""

    contact_id: str
    tenant: str
    party_id: str
    channel: str
    token: str
    sealed: str | None
    verified_at: datetime | None = None
    codes_day: date | None = None
    codes_sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A code that was sent; only its token is kept."""

    verification_id: str
    tenant: str
    contact_id: str
    code_token: str
    expires_at: datetime
    attempts: int = 0
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """Whose money stands in `account`; `company` is responsible for the engagement."""

    wallet_id: str
    tenant: str
    owner: str
    account: str
    ledger: str
    currency: str
    purpose: str
    reference: str | None
    company: str | None
    value_kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The fields of a wallet that a party sees."""

    grant_id: str
    tenant: str
    other_tenant: str
    wallet: str
    to_party: str
    fields: tuple[str, ...]
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a party is in a group, and since which version of the group."""

    tenant: str
    member: bool
    version: int


@dataclass(frozen=True, slots=True)
class Naming:
    """How a party is called in the systems of another; None if the one it became is called so now."""

    tenant: str
    external_id: str | None


@dataclass(frozen=True, slots=True)
class Consent:
    """A payee's word on a company, which may be of another tenant.

    `carried`: taken over, and told of, when one that had given it was merged into the payee. Until the
    payee speaks itself, it opens what that one had opened, and nothing else.
    """

    tenant: str
    other_tenant: str
    given: bool
    carried: bool = False


@dataclass(frozen=True, slots=True)
class FundingDetails:
    """The virtual account of a party and currency."""

    tenant: str
    virtual_account: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Whose money an owner reference of the books names."""

    tenant: str
    party_id: str


class ApprovalState(StrEnum):
    """How far an approval has come."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An act that waits for, or had, a second person's word."""

    approval_id: str
    tenant: str
    party_id: str
    act: str
    subject: str
    content_digest: str | None
    proposed_by: str
    state: ApprovalState = ApprovalState.OPEN
    decided_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewEntry:
    """One look at a wallet by a grant, as it is kept."""

    command_id: str
    position: int
    tenant: str
    grant_id: str
    wallet: str
    viewer: str
    actor: str
    fields: tuple[str, ...]
    viewed_at: datetime
