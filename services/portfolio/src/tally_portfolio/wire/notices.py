"""Facts of which a time line shows that they happened: each is a hop of what it is about."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from tally_contracts.base import Event
from tally_contracts.catalogue import topic
from tally_contracts.funding_sources import PayInFailed, PayInPending
from tally_contracts.registry import BY_TYPE
from tally_messaging import Received
from tally_portfolio.domain.projection import Projection
from tally_portfolio.wire.reading import Reader, add_hop
from tally_portfolio.wire.records import TELLINGS

TOPICS = (
    "funding.agreements.v1",
    "funding.claims.v1",
    "funding.rules.v1",
    "funding.sources.v1",
    "programs.programs.v1",
)

# What a fact is about: the first of these it has.
_SUBJECTS = (
    "pay_in_id",
    "agreement_id",
    "claim_id",
    "movement_id",
    "receivable_id",
    "entry_id",
    "expectation_id",
    "rule_id",
    "lint_id",
    "run_id",
    "webhook_id",
    "payment_id",
    "payable_id",
    "budget_id",
    "subject",
    "owner",
    "program_id",
    "connection_id",
    "grant_id",
    "virtual_account",
)
# What a fact of funding tells of, whatever it came of.
_THINGS: Mapping[type[Event], str] = MappingProxyType(
    {
        fact: telling.subject
        for fact, tellings in TELLINGS.items()
        for telling in tellings
        if telling.under is None
    }
)
_TOLD_APART = frozenset({"who", "where", "why", "occurred_at", "tenant", "content"})


def notice(message: Received[Any], at: datetime, projection: Projection) -> None:
    """A hop with the plain values of the fact; lists and sealed texts stay where they are."""
    event = message.event
    told = event.model_dump(mode="json")
    subject = next((str(told[name]) for name in _SUBJECTS if told.get(name)), None)
    if subject is None:
        return
    who, where, why = told.get("who"), told.get("where"), told.get("why")
    summary: dict[str, object] = {
        name: value
        for name, value in told.items()
        if name not in _TOLD_APART
        and not name.startswith("sealed")
        and isinstance(value, str | int | bool)
    }
    amount = told.get("amount")
    if isinstance(amount, dict):
        summary |= amount
    if who:
        summary["who"] = [who["actor"], who["principal"]]
    if where:
        summary["where"] = [where["channel"], where["country"]]
    if why:
        summary["why"] = [why["program"], why["event"], why["reason"]]
    thing = _THINGS.get(type(event))
    about = None if thing is None or told[thing] == subject else str(told[thing])
    add_hop(projection, message, subject, at, summary, about=about)


def _unsettled(message: Received[Any], at: datetime, projection: Projection) -> None:
    """Of a pay-in whose money is not here yet, or will not come: found by its external id, too."""
    event: PayInPending | PayInFailed = message.event
    projection.add_key(event.external_id, event.pay_in_id, at, shared=True)
    notice(message, at, projection)


_OWN: Mapping[type[Event], Reader] = {
    PayInPending: _unsettled,
    PayInFailed: _unsettled,
}
_FACTS = tuple(BY_TYPE[name] for carried in TOPICS for name in topic(carried).types)

READERS: Mapping[type[Event], Reader] = MappingProxyType(
    {fact: _OWN.get(fact, notice) for fact in _FACTS}
)
