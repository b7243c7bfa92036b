"""Things that facts tell of whole, as a viewer sees them: their newest state, and what led to it."""

from collections.abc import Sequence

from tally_portfolio import store, views
from tally_portfolio.domain.redaction import Document, redact
from tally_portfolio.domain.statement import time, words
from tally_portfolio.domain.time_line import steps_of
from tally_portfolio.record_documents import budget_document, record_document
from tally_portfolio.service import could_be_kept
from tally_portfolio.views import Listing, Load, Page, Seat
from tally_reads import NotFound

HISTORY_MAX = 500
"""What led to a thing's state is told by this many facts at most, the oldest first."""


BUDGET = "budget"


def loader(kind: str) -> Load:
    """Loads things of a kind by id."""
    if kind == BUDGET:
        return load_budgets

    async def load(seat: Seat, subjects: Sequence[str]) -> dict[str, Document]:
        found = await store.records.by_id(seat.conn, kind, subjects)
        documents = {subject: record_document(parts) for subject, parts in found.items()}
        return {
            subject: redact(kind, seat.persona, document)
            for subject, document in documents.items()
            if document is not None
        }

    return load


async def load_budgets(seat: Seat, ids: Sequence[str]) -> dict[str, Document]:
    """Budgets by id, each with what is set aside and spent of it and of all below it (F17)."""
    found = await store.records.by_id(seat.conn, BUDGET, ids)
    tiers = await store.budgets.tiers(seat.conn, ids)
    documents = {budget_id: record_document(parts) for budget_id, parts in found.items()}
    return {
        budget_id: redact(BUDGET, seat.persona, budget_document(document, *tiers[budget_id]))
        for budget_id, document in documents.items()
        if document is not None
    }


async def one(seat: Seat, subject: str, kind: str) -> Document:
    """One thing that is seen from a seat, with its history; raises NotFound."""
    document = await views.one(seat, subject, loader(kind))
    hops = await store.history(seat.conn, subject, HISTORY_MAX)
    document["history"] = [
        redact(
            "step",
            seat.persona,
            {
                "at": time(hop.recorded_at),
                "service": hop.service,
                "type": hop.event_type,
                "state": hop.summary.get("state"),
                **words(hop.summary),
            },
        )
        for hop in (step.hop for step in steps_of(hops))
    ]
    return redact(kind, seat.persona, document)


async def under(seat: Seat, thing: str, kind: str, page: Page) -> Listing:
    """A page of the things of a kind that are under one that is seen; raises NotFound."""
    if not could_be_kept(thing) or not await store.views.seen(seat.conn, seat.party, [thing]):
        raise NotFound
    places = await store.records.under(seat.conn, thing, kind, page.after, page.limit + 1)
    documents = await loader(kind)(seat, [place.subject for place in places[: page.limit]])
    return Listing(
        tuple(documents[place.subject] for place in places[: page.limit]),
        places[page.limit - 1] if len(places) > page.limit else None,
    )
