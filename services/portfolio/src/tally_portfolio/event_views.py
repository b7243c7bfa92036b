"""What came of an event: the pay-ins made for it, whose wallets hold them, and the payouts from there (F25)."""

from collections.abc import Sequence
from typing import NamedTuple

from tally_contracts.owners import WAITING
from tally_portfolio import store
from tally_portfolio.domain.projection import Hop
from tally_portfolio.domain.redaction import Document, redact
from tally_portfolio.domain.sharing import parties_of, shares_of
from tally_portfolio.domain.time_line import accounts_of, steps_of
from tally_portfolio.domain.tree import event_key
from tally_portfolio.record_views import loader
from tally_portfolio.service import HOPS_MAX, could_be_kept, payments_of
from tally_portfolio.store.events import Asked, Found, Way, led_to_and_seen
from tally_portfolio.store.views import Place
from tally_portfolio.view_documents import share_document
from tally_portfolio.views import Seat, load_payments, load_wallets
from tally_reads import NotFound

OWNERS_MAX = 8
"""Money that was given on again is followed over this many owners."""

_DESIGNATION = "designation"


class EventPage(NamedTuple):
    """Which things of an event are asked for: `limit` at most, after a place, by the way it was found."""

    after: Place
    way: Way | None
    limit: int


async def money_of_event(seat: Seat, reference: str, page: EventPage) -> tuple[Document, Found]:
    """What was paid in for an event, designated anew since, and paid out of it; raises NotFound.

    A page of it, the newest first, and what was found, which says where the next begins.
    """
    if not could_be_kept(reference):
        raise NotFound
    key = event_key(reference)
    asked = Asked(key, seat.party, page.limit, page.after)
    found = await led_to_and_seen(seat.conn, asked, page.way)
    if not found.subjects:
        raise NotFound
    things, cut = await _given_on(seat, key, found.subjects, page.limit)
    designations = await loader(_DESIGNATION)(seat, things)
    payments = await load_payments(seat, [one for one in things if one not in designations])
    hops = await store.hops(seat.conn, things, HOPS_MAX)
    shares = await _shares(seat, hops, list(payments))
    accounts = await store.views.seen(seat.conn, seat.party, accounts_of(hops))
    wallets = await load_wallets(seat, sorted(accounts))
    document = {
        "event": reference,
        "payments": [
            payments[one] | {"shares": shares.get(one, [])} for one in things if one in payments
        ],
        "designations": [designations[one] for one in things if one in designations],
        "wallets": list(wallets.values()),
        "more": cut or found.after is not None,
    }
    return redact("event", seat.persona, document), found


async def _given_on(
    seat: Seat, key: str, things: Sequence[str], limit: int
) -> tuple[list[str], bool]:
    """Things of an event with those of whom they were given to, over every hand; whether any is left out."""
    found = dict.fromkeys(things)
    asked, seen, cut = {key}, list(things), False
    while True:
        given = await loader(_DESIGNATION)(seat, seen)
        owners = {str(one["to_owner"]) for one in given.values()}
        keys = sorted(owner for owner in owners - asked if owner.startswith(WAITING))
        followed = keys[: OWNERS_MAX - len(asked)]
        cut = cut or len(followed) < len(keys)
        if not followed:
            break
        asked.update(followed)
        seen = []
        for each in followed:
            newest = await led_to_and_seen(seat.conn, Asked(each, seat.party, limit))
            cut = cut or newest.after is not None
            seen += newest.subjects
        found |= dict.fromkeys(seen)
    most = len(things) + limit
    return list(found)[:most], cut or len(found) > most


async def _shares(
    seat: Seat, hops: Sequence[Hop], payment_ids: Sequence[str]
) -> dict[str, list[Document]]:
    """Those shares of payments that are seen, by payment."""
    payments = {one.payment_id: one for one in await payments_of(seat.conn, payment_ids)}
    told = {
        one: shares_of(steps_of([hop for hop in hops if hop.subject == one])) for one in payments
    }
    owners = {share.owner for shares in told.values() for share in shares}
    insight = await seat.insight(parties_of(payments.values()) | owners)
    found = {}
    for one, shares in told.items():
        pay_in = payments[one].pay_in
        whole = pay_in is not None and insight.whole(pay_in)
        found[one] = [
            redact("share", seat.persona, share_document(share))
            for share in shares
            if whole or insight.sees(share.owner)
        ]
    return found
