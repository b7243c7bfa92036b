"""Who is above whom, and what grants, connections and consents open to others."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from tally_contracts.owners import OF_EVENT

REFERENCE = "reference"
"""The kind of a row that is no party but an owner reference somebody has claimed."""


@dataclass(frozen=True, slots=True)
class PartyNews:
    """What one fact says of a party; None where it says nothing.

    A version is the time and id of the fact that told a group of fields: the later one stands,
    whatever the order they come in. `merged_into` is final.
    """

    party_id: str
    tenant: str
    described: str | None = None
    kind: str | None = None
    external_id: str | None = None
    country: str | None = None
    alias: str | None = None
    state: str | None = None
    placed: str | None = None
    parent: str | None = None
    merged_into: str | None = None
    registered_at: datetime | None = None

    def merged(self, other: "PartyNews") -> "PartyNews":
        """Both facts in one."""
        found = self
        if (other.described or "") > (found.described or ""):
            found = replace(
                found,
                described=other.described,
                kind=other.kind,
                external_id=other.external_id,
                country=other.country,
                alias=other.alias,
                state=other.state,
            )
        if (other.placed or "") > (found.placed or ""):
            found = replace(found, placed=other.placed, parent=other.parent)
        times = [at for at in (self.registered_at, other.registered_at) if at is not None]
        return replace(
            found,
            merged_into=found.merged_into or other.merged_into,
            registered_at=min(times, default=None),
        )


class Wallet(NamedTuple):
    """A wallet by what its owner calls it; its money is on `account`."""

    account: str
    wallet_id: str
    tenant: str
    owner: str
    ledger: str
    currency: str
    purpose: str
    reference: str | None
    company: str | None
    value_kind: str
    opened_at: datetime


class Grant(NamedTuple):
    """Which fields of a wallet a party may see; none once it is revoked."""

    grant_id: str
    tenant: str
    wallet: str
    to_party: str
    fields: tuple[str, ...]
    version: str


class Connection(NamedTuple):
    """What `from_party` may do with what is `to_party`'s, once it is accepted."""

    connection_id: str
    tenant: str
    from_party: str
    to_party: str
    access: str
    state: str
    version: str


class Consent(NamedTuple):
    """Whether a company may know a payee beyond its alias."""

    party_id: str
    company: str
    tenant: str
    given: bool
    version: str


class Involvement(NamedTuple):
    """An owner a thing is about. `kind`: party, wallet, pay_in, payout, withdrawal."""

    subject: str
    party: str
    kind: str
    at: datetime


class Belonging(NamedTuple):
    """A thing that is also of whoever keeps `whose`: a program's company, a budget's holder."""

    subject: str
    whose: str
    kind: str
    at: datetime


def event_key(reference: str) -> str:
    """The id that leads to what an event is the reason of: the owner of its money while nobody is."""
    return f"{OF_EVENT}{reference}"


def version(at: datetime, event_id: str) -> str:
    """A text that sorts as facts about one thing follow each other."""
    return f"{at:%Y%m%dT%H%M%S.%f}/{event_id}"
