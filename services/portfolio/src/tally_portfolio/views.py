"""What a viewer sees: each question is answered from its own seat, redacted for its persona."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tally_portfolio import store
from tally_portfolio.domain.records import RETURN
from tally_portfolio.domain.redaction import PRIVATE_UNTIL_CONSENT, Document, redact, shows
from tally_portfolio.domain.sharing import Insight, parties_of, shares_of
from tally_portfolio.domain.time_line import NOTICED, Payment
from tally_portfolio.record_documents import record_document
from tally_portfolio.service import could_be_kept, line_of, payment_ids_of, payments_of, reading
from tally_portfolio.store.lists import Look
from tally_portfolio.store.views import Place
from tally_portfolio.view_documents import (
    exception_document,
    party_document,
    pay_in_document,
    payment_view,
    payout_document,
    time_line_view,
    total_document,
    wallet_document,
)
from tally_postgres import Connection, Pool
from tally_reads import NotFound
from tally_security.internal import Persona, Viewer

SCAN_MAX = 500
"""A filtered page looks at this many things at most, then says where to go on."""
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Seat:
    """Where somebody looks from: a party whose sub-tree is seen, or EVERYBODY, for an operator."""

    conn: Connection
    viewer: Viewer
    party: str

    @property
    def persona(self) -> str:
        """As what the viewer looks."""
        return self.viewer.persona.value

    async def insight(self, parties: Collection[str]) -> Insight:
        """Which of these parties' things are seen."""
        if self.party == EVERYBODY:
            return Insight(None)
        return Insight(frozenset(await store.views.below(self.conn, self.party, parties)))


@dataclass(frozen=True, slots=True)
class Page:
    """What a list is asked for: where it goes on, how many, and which values fields must have."""

    after: Place
    limit: int
    wanted: tuple[tuple[str, str], ...] = ()

    def takes(self, document: Document) -> bool:
        """Whether a document has the values asked for; a field that is redacted has none."""
        return all(document.get(name) == value for name, value in self.wanted)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of documents; `after` is where the next one goes on, None at the end."""

    items: tuple[Document, ...]
    after: Place | None


Load = Callable[[Seat, Sequence[str]], Awaitable[dict[str, Document]]]


@asynccontextmanager
async def seated(pool: Pool, viewer: Viewer, under: str | None = None) -> AsyncIterator[Seat]:
    """Let a viewer look from its own seat, or from that of a party below or connected to it.

    Raises NotFound for a seat that is not the viewer's to take.
    """
    everybody = viewer.persona is Persona.OPERATOR
    own = EVERYBODY if everybody else viewer.party
    if under is None or (under == own and not everybody):
        async with reading(pool, store.ALL_TENANTS if everybody else viewer.tenant) as conn:
            yield Seat(conn, viewer, own)
    else:
        async with reading(pool, store.ALL_TENANTS) as conn:
            party, tenant = await _other_seat(conn, viewer, under)
            await store.see(conn, tenant)
            yield Seat(conn, viewer, party)


async def _other_seat(conn: Connection, viewer: Viewer, under: str) -> tuple[str, str]:
    if viewer.persona is Persona.OPERATOR:
        if await store.views.tenant_of(conn, under) is None:
            raise NotFound
        return under, store.ALL_TENANTS
    if not could_be_kept(under):
        raise NotFound
    if await store.views.below(conn, viewer.party, [under]):
        return under, viewer.tenant
    tenant = await store.views.tenant_of(conn, under)
    if tenant is None or not await store.views.connected(conn, viewer.party, under):
        raise NotFound
    return under, tenant


async def listing(seat: Seat, kinds: Sequence[str], page: Page, load: Load) -> Listing:
    """A page of the things of these kinds that are seen from a seat, the newest first."""
    if not all(shows(kinds[0], seat.persona, name) for name, _ in page.wanted):
        # No document that is shown has such a field, however many are looked at.
        return Listing((), None)
    found: list[tuple[Place, Document]] = []
    place, looked_at = page.after, 0
    while True:
        look = await _look(seat, kinds, page, place)
        documents = await load(seat, [one.subject for one in look.places])
        found += [
            (one, documents[one.subject])
            for one in look.places
            if one.subject in documents and page.takes(documents[one.subject])
        ]
        looked_at += look.looked_at
        if len(found) > page.limit:
            found = found[: page.limit]
            return Listing(tuple(document for _, document in found), found[-1][0])
        items = tuple(document for _, document in found)
        if look.end is None or not look.more:
            return Listing(items, None)
        if looked_at >= SCAN_MAX:
            return Listing(items, look.end)
        place = look.end


async def _look(seat: Seat, kinds: Sequence[str], page: Page, after: Place) -> Look:
    lists = store.lists
    if not page.wanted:
        return await lists.newest(seat.conn, seat.party, kinds, after, page.limit + 1)
    state = dict(page.wanted).get("state")
    return await lists.chosen(
        seat.conn,
        seat.party,
        kinds,
        page.wanted,
        after,
        most=page.limit + 1,
        window=SCAN_MAX,
        noticed=state in NOTICED.get(kinds[0], ()),
    )


async def load_wallets(seat: Seat, accounts: Sequence[str]) -> dict[str, Document]:
    """Wallets by account."""
    rows = await store.views.wallets(seat.conn, accounts)
    return {
        account: redact("wallet", seat.persona, wallet_document(row))
        for account, row in rows.items()
    }


async def load_pay_ins(seat: Seat, ids: Sequence[str]) -> dict[str, Document]:
    """Pay-ins by id."""
    found = [Payment(one.pay_in_id, one, ()) for one in await store.pay_ins(seat.conn, ids)]
    insight = await seat.insight(parties_of(found))
    return {
        one.payment_id: redact("pay_in", seat.persona, pay_in_document(one.pay_in, insight))
        for one in found
        if one.pay_in is not None
    }


async def load_payouts(seat: Seat, ids: Sequence[str]) -> dict[str, Document]:
    """Payouts by id."""
    return {
        payout.payout_id: redact("payout", seat.persona, payout_document(payout))
        for payout in await store.payouts_by_id(seat.conn, ids)
    }


async def load_payments(seat: Seat, ids: Sequence[str]) -> dict[str, Document]:
    """Payments by id, without their hops."""
    found = await payments_of(seat.conn, ids)
    insight = await seat.insight(parties_of(found))
    return {
        payment.payment_id: payment_view(insight.of_payment(payment), insight, seat.persona)
        for payment in found
    }


async def load_parties(seat: Seat, ids: Sequence[str]) -> dict[str, Document]:
    """Parties by id; of a payee a company sees the alias alone, until it consents (F26)."""
    rows = await store.views.parties(seat.conn, ids)
    above = {row["parent"] for row in rows.values() if row["parent"] is not None}
    insight = await seat.insight(above)
    known = await store.views.consenting(seat.conn, seat.viewer.party, list(rows))
    documents = {}
    for party_id, row in rows.items():
        document = party_document(row, insight)
        secret = row["kind"] == "payee" and seat.persona in {"company", "partner"}
        if secret and party_id not in known:
            document = {k: v for k, v in document.items() if k not in PRIVATE_UNTIL_CONSENT}
        documents[party_id] = redact("party", seat.persona, document)
    return documents


async def one(seat: Seat, subject: str, load: Load) -> Document:
    """One thing that is seen from a seat; raises NotFound."""
    if not could_be_kept(subject) or not await store.views.seen(seat.conn, seat.party, [subject]):
        raise NotFound
    documents = await load(seat, [subject])
    if subject not in documents:
        raise NotFound
    return documents[subject]


async def payment(seat: Seat, id_: str) -> Document:
    """One payment with its time line (F52), by any id of it; the newest if there are several."""
    if not could_be_kept(id_):
        raise NotFound
    ids = await payment_ids_of(seat.conn, id_, SCAN_MAX)
    seen = await store.views.seen(seat.conn, seat.party, ids)
    payment_id = next((one_id for one_id in ids if one_id in seen), None)
    line = None if payment_id is None else await line_of(seat.conn, payment_id)
    if line is None or (line.payment.pay_in is None and not line.payment.payouts):
        raise NotFound
    shares = shares_of(line.steps)
    owners = {share.owner for share in shares}
    insight = await seat.insight(parties_of([line.payment]) | owners)
    pay_in = line.payment.pay_in
    if pay_in is None or not insight.whole(pay_in):
        shares = tuple(share for share in shares if insight.sees(share.owner))
    accounts = await store.views.seen(seat.conn, seat.party, list(line.accounts))
    document = time_line_view(insight.of_line(line, accounts), shares, insight, seat.persona)
    if pay_in is not None and insight.whole(pay_in):
        document["returns"] = await _returns(seat, line.returns)
    return redact("payment", seat.persona, document)


async def _returns(seat: Seat, ids: Sequence[str]) -> list[Document]:
    found = await store.records.by_id(seat.conn, RETURN, ids)
    documents = [record_document(found[one_id]) for one_id in ids if one_id in found]
    return [redact(RETURN, seat.persona, one) for one in documents if one is not None]


async def exceptions(seat: Seat, page: Page) -> Listing:
    """What waits for a person, or came to no good end, the newest first."""
    rows = await store.views.attention(seat.conn, seat.party, page.after, page.limit + 1)
    more = len(rows) > page.limit
    rows = rows[: page.limit]
    subjects = [place.subject for place, _ in rows]
    pay_ins = {one.pay_in_id: one for one in await store.pay_ins(seat.conn, subjects)}
    payouts = {one.payout_id: one for one in await store.payouts_by_id(seat.conn, subjects)}
    found = [Payment(one.pay_in_id, one, ()) for one in pay_ins.values()]
    insight = await seat.insight(parties_of(found))
    documents = tuple(
        redact(
            "exception",
            seat.persona,
            exception_document(pay_ins.get(subject) or payouts[subject], insight),
        )
        for subject in subjects
    )
    return Listing(documents, rows[-1][0] if more else None)


async def totals(seat: Seat) -> tuple[Document, ...]:
    """What the sub-tree comes to, by currency."""
    return tuple(
        redact("total", seat.persona, total_document(code, sums))
        for code, sums in await store.views.totals(seat.conn, seat.party)
    )
