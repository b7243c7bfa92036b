"""Facts of the directory: the tree of parties, wallets by name, and what is opened to whom."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from tally_contracts.base import Event
from tally_contracts.directory_facts import (
    ConnectionChanged,
    ConsentGiven,
    ConsentWithdrawn,
    FundingDetailsIssued,
    GrantRevoked,
    GrantSet,
    PartiesMerged,
    PartyMoved,
    PartyRegistered,
    ReferenceClaimed,
    WalletOpened,
)
from tally_messaging import Received
from tally_portfolio.domain.projection import Projection
from tally_portfolio.domain.tree import (
    REFERENCE,
    Connection,
    Consent,
    Grant,
    PartyNews,
    Wallet,
    version,
)
from tally_portfolio.wire.notices import notice
from tally_portfolio.wire.reading import Reader
from tally_portfolio.wire.telling import Telling, reader_of

_LISTED_CONNECTION = reader_of(
    Telling(
        "connection",
        "connection_id",
        ("from_party", "to_party", "access", "state", "reason"),
        ("from_party", "to_party"),
    )
)


def _of_grant(state: str) -> Reader:
    """The fact does not say whose the wallet is: the grant is whoever keeps that."""
    kept = ("wallet", "to_party", "fields", "reason")
    return reader_of(
        Telling(
            "grant",
            "grant_id",
            kept,
            ("to_party",),
            belongs=("wallet",),
            says=lambda _: {"state": state},
        )
    )


_LISTED_GRANT, _LISTED_REVOCATION = _of_grant("given"), _of_grant("revoked")
_LISTED_DETAIL = reader_of(
    Telling("funding_detail", "virtual_account", ("party_id", "currency", "reason"), ("party_id",))
)


def _version(message: Received[Any]) -> str:
    return version(message.event.occurred_at, message.envelope.id)


def _registered(message: Received[PartyRegistered], _: datetime, projection: Projection) -> None:
    event, told = message.event, _version(message)
    projection.add_party(
        PartyNews(
            event.party_id,
            event.tenant,
            described=told,
            kind=event.kind,
            external_id=event.external_id,
            country=event.country,
            alias=event.alias,
            state=event.state,
            placed=told,
            parent=event.parent,
            registered_at=event.occurred_at,
        )
    )
    projection.involve(event.party_id, "party", event.occurred_at, event.party_id)


def _moved(message: Received[PartyMoved], _: datetime, projection: Projection) -> None:
    event = message.event
    projection.add_party(
        PartyNews(event.party_id, event.tenant, placed=_version(message), parent=event.parent)
    )


def _merged(message: Received[PartiesMerged], _: datetime, projection: Projection) -> None:
    event = message.event
    projection.add_party(PartyNews(event.merged, event.merged_tenant, merged_into=event.party_id))


def _claimed(message: Received[ReferenceClaimed], _: datetime, projection: Projection) -> None:
    event = message.event
    projection.add_party(
        PartyNews(event.reference, event.tenant, kind=REFERENCE, merged_into=event.party_id)
    )


def _wallet_opened(message: Received[WalletOpened], _: datetime, projection: Projection) -> None:
    event = message.event
    projection.add_wallet(
        Wallet(
            account=event.account,
            wallet_id=event.wallet_id,
            tenant=event.tenant,
            owner=event.owner,
            ledger=event.ledger,
            currency=event.currency,
            purpose=event.purpose,
            reference=event.reference,
            company=event.company,
            value_kind=event.value_kind,
            opened_at=event.occurred_at,
        )
    )
    projection.involve(event.account, "wallet", event.occurred_at, event.owner)
    projection.keep(event.wallet_id, event.owner)


def _grant(message: Received[Any], at: datetime, projection: Projection) -> None:
    event: GrantSet | GrantRevoked = message.event
    fields = tuple(event.fields) if isinstance(event, GrantSet) else ()
    projection.add_grant(
        Grant(event.grant_id, event.tenant, event.wallet, event.to_party, fields, _version(message))
    )
    (_LISTED_GRANT if fields else _LISTED_REVOCATION)(message, at, projection)
    notice(message, at, projection)


def _connection(message: Received[ConnectionChanged], at: datetime, projection: Projection) -> None:
    event = message.event
    projection.add_connection(
        Connection(
            event.connection_id,
            event.tenant,
            event.from_party,
            event.to_party,
            event.access,
            event.state,
            _version(message),
        )
    )
    _LISTED_CONNECTION(message, at, projection)
    notice(message, at, projection)


def _detail(message: Received[FundingDetailsIssued], at: datetime, projection: Projection) -> None:
    _LISTED_DETAIL(message, at, projection)
    notice(message, at, projection)


def _consent(message: Received[Any], _: datetime, projection: Projection) -> None:
    event: ConsentGiven | ConsentWithdrawn = message.event
    projection.add_consent(
        Consent(
            event.party_id,
            event.company,
            event.tenant,
            isinstance(event, ConsentGiven),
            _version(message),
        )
    )


READERS: Mapping[type[Event], Reader] = MappingProxyType(
    {
        PartyRegistered: _registered,
        PartyMoved: _moved,
        PartiesMerged: _merged,
        ReferenceClaimed: _claimed,
        WalletOpened: _wallet_opened,
        GrantSet: _grant,
        GrantRevoked: _grant,
        ConnectionChanged: _connection,
        FundingDetailsIssued: _detail,
        ConsentGiven: _consent,
        ConsentWithdrawn: _consent,
    }
)
