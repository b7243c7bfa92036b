"""What came of an event: the pay-ins made for it, whose wallets hold them, and the payouts from there (F25)."""

from collections.abc import Sequence

from tally_portfolio import store
from tally_portfolio.domain.projection import Hop
from tally_portfolio.domain.redaction import Document, redact
from tally_portfolio.domain.sharing import parties_of, shares_of
from tally_portfolio.domain.time_line import accounts_of, steps_of
from tally_portfolio.domain.tree import event_key
from tally_portfolio.record_views import loader
from tally_portfolio.service import HOPS_MAX, could_be_kept, payments_of
from tally_portfolio.view_documents import share_document
from tally_portfolio.views import Seat, load_payments, load_wallets
from tally_reads import NotFound

THINGS_MAX = 100
"""An answer has this many things of an event at most, the newest that are seen."""
OWNERS_MAX = 8
"""Money that was given on again is followed over this many owners."""

_DESIGNATION = "designation"
_UNKNOWN = ("event:", "contact:", "restricted:")


async def money_of_event(seat: Seat, reference: str) -> Document:
    """All that was paid in for an event, designated anew since, and paid out of it; raises NotFound."""
    if not could_be_kept(reference):
        raise NotFound
    things, more = await _things(seat, event_key(reference))
    if not things:
        raise NotFound
    designations = await loader(_DESIGNATION)(seat, things)
    payments = await load_payments(seat, [one for one in things if one not in designations])
    hops = await store.hops(seat.conn, things, HOPS_MAX)
    shares = await _shares(seat, hops, list(payments))
    accounts = await store.views.seen(seat.conn, seat.party, accounts_of(hops))
    wallets = await load_wallets(seat, sorted(accounts))
    return redact(
        "event",
        seat.persona,
        {
            "event": reference,
            "payments": [
                payments[one] | {"shares": shares.get(one, [])} for one in things if one in payments
            ],
            "designations": [designations[one] for one in things if one in designations],
            "wallets": list(wallets.values()),
            "more": more,
        },
    )


async def _things(seat: Seat, key: str) -> tuple[list[str], bool]:
    """Pay-ins, withdrawals and designations that are seen, of an event and of whom it was given to."""
    found: dict[str, None] = {}
    asked: set[str] = set()
    keys, more = [key], False
    while keys and len(asked) < OWNERS_MAX:
        followed = keys[: OWNERS_MAX - len(asked)]
        asked.update(followed)
        seen = []
        for each in followed:
            newest = await store.shared_seen(seat.conn, each, seat.party, THINGS_MAX + 1)
            more = more or len(newest) > THINGS_MAX
            seen += newest
        found |= dict.fromkeys(seen)
        given = await loader(_DESIGNATION)(seat, seen)
        owners = {str(one["to_owner"]) for one in given.values()} | set(keys)
        keys = sorted(owner for owner in owners - asked if owner.startswith(_UNKNOWN))
    return list(found)[:THINGS_MAX], more or bool(keys) or len(found) > THINGS_MAX


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
