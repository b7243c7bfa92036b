"""What one batch of commands sees and changes: rows read, and what was decided since.

Deciding changes this value and nothing else, so that a batch is one load and one save.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import (
    Approval,
    Connection,
    Consent,
    Contact,
    FundingDetails,
    Grant,
    Holding,
    Kind,
    Membership,
    Naming,
    Party,
    Reference,
    Relation,
    Role,
    Verification,
    ViewEntry,
    Wallet,
)

K = TypeVar("K")
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Rows of one table by key."""

    def __init__(self, rows: Mapping[K, V] | None = None) -> None:
        self._rows: dict[K, V] = dict(rows or {})
        self._changed: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        return self._rows.get(key)

    def put(self, key: K, row: V) -> None:
        """Enter or replace a row."""
        if self._rows.get(key) != row:
            self._rows[key] = row
            self._changed[key] = row

    def values(self) -> Iterator[V]:
        return iter(self._rows.values())

    def items(self) -> Iterator[tuple[K, V]]:
        return iter(self._rows.items())

    @property
    def changed(self) -> Mapping[K, V]:
        """Rows to save."""
        return self._changed


@dataclass(slots=True)
class World:
    """All shelves. `retenanted` maps a party to the tenant it came into after its wallets did."""

    parties: Shelf[str, Party] = field(default_factory=Shelf)
    references: Shelf[str, Reference] = field(default_factory=Shelf)
    relation_types: Shelf[tuple[str, str], str] = field(default_factory=Shelf)
    relations: Shelf[tuple[str, str, str], Relation] = field(default_factory=Shelf)
    connections: Shelf[str, Connection] = field(default_factory=Shelf)
    roles: Shelf[tuple[str, str, Role], Holding] = field(default_factory=Shelf)
    contacts: Shelf[str, Contact] = field(default_factory=Shelf)
    verifications: Shelf[str, Verification] = field(default_factory=Shelf)
    wallets: Shelf[str, Wallet] = field(default_factory=Shelf)
    grants: Shelf[str, Grant] = field(default_factory=Shelf)
    memberships: Shelf[tuple[str, str], Membership] = field(default_factory=Shelf)
    namings: Shelf[tuple[str, str], Naming] = field(default_factory=Shelf)
    consents: Shelf[tuple[str, str], Consent] = field(default_factory=Shelf)
    funding_details: Shelf[tuple[str, str], FundingDetails] = field(default_factory=Shelf)
    approvals: Shelf[str, Approval] = field(default_factory=Shelf)
    views: list[ViewEntry] = field(default_factory=list)
    retenanted: dict[str, str] = field(default_factory=dict)
    currencies: frozenset[str] = frozenset()
    _external: dict[tuple[str, str], str] = field(default_factory=dict)
    _accounts: dict[str, str] = field(default_factory=dict)
    _between: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _granted: dict[tuple[str, str], str] = field(default_factory=dict)
    _reached: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for party in self.parties.values():
            self._index_party(party)
        for wallet in self.wallets.values():
            self._accounts[wallet.account] = wallet.wallet_id
        for connection in self.connections.values():
            self._between[connection.from_party, connection.to_party].append(
                connection.connection_id
            )
        for grant in self.grants.values():
            self._granted[grant.wallet, grant.to_party] = grant.grant_id
        for contact in self.contacts.values():
            self._index_contact(contact)

    # Parties

    def find_party(self, party_id: str) -> Party | None:
        """The party this id stands for today: a merged one is the one it went on as."""
        party = self.parties.get(party_id)
        while party is not None and party.merged_into is not None:
            party = self.parties.get(party.merged_into)
        return party

    def party(self, party_id: str, at: str) -> Party:
        """As `find_party`; refuses an id nobody has."""
        party = self.find_party(party_id)
        if party is None:
            code = "unknown_parent" if at == "/parent" else "unknown_party"
            refuse(
                code, at, f"there is no party {party_id}", "register it first, or correct the id"
            )
        return party

    def path(self, party: Party) -> tuple[str, ...]:
        """Ancestors of a party, root first."""
        above: list[str] = []
        parent = party.parent
        while parent is not None:
            above.append(parent)
            following = self.parties.get(parent)
            assert following is not None, f"{parent} is an ancestor, so it was read"
            parent = following.parent
        return tuple(reversed(above))

    def with_external_id(self, tenant: str, external_id: str) -> str | None:
        """The party that has this external id in the tenant."""
        return self._external.get((tenant, external_id))

    def put_party(self, party: Party) -> None:
        self.parties.put(party.party_id, party)
        self._index_party(party)

    def _index_party(self, party: Party) -> None:
        if party.external_id is not None:
            self._external[party.tenant, party.external_id] = party.party_id

    def owner_of(self, reference: str) -> Party | None:
        """Whose money this owner reference of the books names."""
        claimed = self.references.get(reference)
        return self.find_party(reference if claimed is None else claimed.party_id)

    def need_kind(self, party: Party, kinds: frozenset[Kind], at: str) -> None:
        """Refuse a party of another kind."""
        if party.kind not in kinds:
            wanted = " or ".join(sorted(kinds))
            refuse(
                "kind_not_allowed",
                at,
                f"{party.party_id} is a {party.kind}, here goes a {wanted}",
                f"name a {wanted}",
            )

    # Contacts, connections, wallets, grants

    def put_contact(self, contact: Contact) -> None:
        self.contacts.put(contact.contact_id, contact)
        self._index_contact(contact)

    def contact_of(self, party_id: str, token: str) -> str | None:
        """The contact by which the party is reached at this token; not one it has forgotten."""
        contact_id = self._reached.get((party_id, token))
        contact = None if contact_id is None else self.contacts.get(contact_id)
        return contact_id if contact is not None and contact.sealed is not None else None

    def _index_contact(self, contact: Contact) -> None:
        if contact.sealed is not None:
            self._reached[contact.party_id, contact.token] = contact.contact_id

    def put_connection(self, connection: Connection) -> None:
        if self.connections.get(connection.connection_id) is None:
            pair = connection.from_party, connection.to_party
            self._between[pair].append(connection.connection_id)
        self.connections.put(connection.connection_id, connection)

    def between(self, from_party: str, to_party: str) -> Iterator[Connection]:
        """Connections by which `from_party` has access to `to_party`, whatever their state."""
        for connection_id in self._between.get((from_party, to_party), ()):
            connection = self.connections.get(connection_id)
            assert connection is not None, "the index names what is on the shelf"
            yield connection

    def wallet_at(self, account: str) -> str | None:
        """The wallet whose money stands in this account."""
        return self._accounts.get(account)

    def put_wallet(self, wallet: Wallet) -> None:
        self.wallets.put(wallet.wallet_id, wallet)
        self._accounts[wallet.account] = wallet.wallet_id

    def grant_to(self, wallet: str, to_party: str) -> Grant | None:
        """The newest grant of this wallet to this party, revoked or not."""
        grant_id = self._granted.get((wallet, to_party))
        return None if grant_id is None else self.grants.get(grant_id)

    def put_grant(self, grant: Grant) -> None:
        self.grants.put(grant.grant_id, grant)
        self._granted[grant.wallet, grant.to_party] = grant.grant_id
