"""One wallet as a viewer sees it: its movements, its statements, and what grants open of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tally_contracts.base import Who
from tally_contracts.directory import LogViews, View
from tally_messaging import UnitOfWork
from tally_messaging.envelope import Cause
from tally_portfolio import store
from tally_portfolio.domain.books import Movement, running
from tally_portfolio.domain.redaction import Document, of_grant, redact
from tally_portfolio.domain.statement import Written, entry, part_of, statement, written
from tally_portfolio.errors import NotSettledYet
from tally_portfolio.service import could_be_kept, reading
from tally_portfolio.store.views import GrantedWallet, Position
from tally_portfolio.view_documents import movement_document, wallet_document
from tally_portfolio.views import EVERYBODY
from tally_postgres import Connection, Pool
from tally_reads import NotFound
from tally_security.internal import Persona, Viewer

_HISTORY = "history"
_COMMANDS = "directory.commands.v1"


@dataclass(frozen=True, slots=True)
class OpenedWallet:
    """A wallet that a viewer may see, and by which grants if by nothing else."""

    conn: Connection
    viewer: Viewer
    account: str
    currency: str
    document: Document
    grants: tuple[GrantedWallet, ...]

    @property
    def persona(self) -> str:
        """As what the viewer looks."""
        return self.viewer.persona.value

    def grants_of(self, field: str) -> tuple[GrantedWallet, ...]:
        """The grants that open this field."""
        return tuple(grant for grant in self.grants if field in grant.fields)


@dataclass(frozen=True, slots=True)
class History:
    """A page of movements, the newest first; `after` is where the next one goes on."""

    items: tuple[Document, ...]
    after: Position | None


class Part(NamedTuple):
    """Which entries of a statement are asked for: `limit` of them at most, from where they begin.

    The span is from `since` up to, not including, `until`; `follows` is the digest of the part
    before, None for the first.
    """

    since: datetime
    until: datetime
    begins: Position
    follows: str | None
    limit: int


@asynccontextmanager
async def opened(pool: Pool, viewer: Viewer, id_: str) -> AsyncIterator[OpenedWallet]:
    """Let a viewer look at a wallet, by the wallet's id or its account's; raises NotFound.

    It may if the wallet is in its sub-tree, or its owner is connected to it, or a grant opens it.
    """
    if not could_be_kept(id_):
        raise NotFound
    async with reading(pool, store.ALL_TENANTS) as conn:
        account = await store.views.account_of(conn, id_) or id_
        row = (await store.views.wallets(conn, [account])).get(account)
        if row is None:
            raise NotFound
        tenant, grants = await _way_in(conn, viewer, account, row["owner"], row["wallet_id"])
        document = wallet_document(row)
        if grants:
            shared = {field for grant in grants for field in grant.fields}
            document = of_grant(shared, document)
        await store.see(conn, tenant)
        yield OpenedWallet(
            conn,
            viewer,
            account,
            row["currency"],
            redact("wallet", viewer.persona.value, document),
            grants,
        )


async def _way_in(
    conn: Connection, viewer: Viewer, account: str, owner: str, wallet_id: str | None
) -> tuple[str, tuple[GrantedWallet, ...]]:
    """Whose rows are looked at, and the grants it takes."""
    views = store.views
    if viewer.persona is Persona.OPERATOR:
        if not await views.seen(conn, EVERYBODY, [account]):
            raise NotFound
        return store.ALL_TENANTS, ()
    if await views.seen(conn, viewer.party, [account]):
        return viewer.tenant, ()
    tenant = await views.tenant_of(conn, owner)
    if tenant is not None and await views.connected(conn, viewer.party, owner):
        return tenant, ()
    grants = () if wallet_id is None else tuple(await views.granted(conn, viewer.party, wallet_id))
    if not grants:
        raise NotFound
    return grants[0].tenant, grants


async def history(wallet: OpenedWallet, before: Position, since: datetime, limit: int) -> History:
    """Movements with the balance after each; by a grant only if it opens the history."""
    views, conn = store.views, wallet.conn
    if wallet.grants and not wallet.grants_of(_HISTORY):
        raise NotFound
    found = await views.newest_movements(conn, wallet.account, before, since, limit + 1)
    balance = await views.sums_before(conn, wallet.account, wallet.currency, before)
    after = None
    if len(found) > limit:
        found = found[:limit]
        after = Position(found[-1].at, found[-1].log_seq, found[-1].transfer_id)
    balances = list(running(balance, found))
    # What the other side is for, and its alias, are no secret of its tenant's.
    await store.see(conn, store.ALL_TENANTS)
    others = await views.counterparties(conn, {one.counter for one in found if one.counter})
    items = [
        redact("movement", wallet.persona, movement_document(movement, balance, others))
        for movement, balance in zip(found, balances, strict=True)
    ]
    if wallet.grants and not wallet.grants_of("balance"):
        hidden = {"balance", "balance_held"}
        items = [{k: v for k, v in item.items() if k not in hidden} for item in items]
    return History(tuple(items), after)


async def account_statement(
    wallet: OpenedWallet, part: Part, *, now: datetime, settled: timedelta
) -> tuple[Written, Position | None]:
    """A part of a statement with its digest (X8), and where the next begins; raises NotSettledYet.

    `settled` is how old the end must be, so that no fact of the span is still on its way.
    """
    if wallet.grants and not (wallet.grants_of(_HISTORY) and wallet.grants_of("balance")):
        raise NotFound
    if part.until > now - settled:
        raise NotSettledYet(
            f"a statement may end {settled // timedelta(seconds=1)} seconds ago at the latest",
            "/until",
        )
    start, end = Position(part.since, -1, ""), Position(part.until, -1, "")
    opening, before, closing = await _sums(wallet, start, part.begins, end)
    found = await store.views.movements_between(
        wallet.conn, wallet.account, part.begins, part.until, part.limit + 1
    )
    after = None
    if len(found) > part.limit:
        after = Position(found[-1].at, found[-1].log_seq, found[-1].transfer_id)
    document = statement(
        wallet.account,
        wallet.currency,
        since=part.since,
        until=part.until,
        opening=opening,
        closing=closing,
        entries=_entries(wallet.persona, before[0], found[: part.limit]),
    )
    if after is not None or part.follows is not None:
        document = part_of(document, part.follows)
    return written(document), after


async def _sums(wallet: OpenedWallet, *positions: Position) -> list[tuple[int, int]]:
    """What the account came to before each position; one that is named again is not asked for again."""
    found: dict[Position, tuple[int, int]] = {}
    for each in positions:
        if each not in found:
            found[each] = await store.views.sums_before(
                wallet.conn, wallet.account, wallet.currency, each
            )
    return [found[each] for each in positions]


def _entries(persona: str, posted: int, movements: Sequence[Movement]) -> list[Document]:
    """Entries of a statement; `posted` is the balance before them."""
    entries = []
    for movement in movements:
        posted += movement.posted
        entries.append(redact("entry", persona, entry(movement, posted)))
    return entries


async def log_views(
    uow: UnitOfWork, viewer: Viewer, grants: tuple[GrantedWallet, ...], route: str
) -> None:
    """Keep each look that grants made possible, and tell the directory of it (F6)."""
    await store.see(uow.conn, grants[0].tenant)
    views = []
    for grant in grants:
        await store.views.log_view(
            uow.conn,
            uow.ids.uuid7(),
            grant.tenant,
            grant.grant_id,
            grant.wallet,
            viewer.party,
            route,
            list(grant.fields),
            uow.now,
        )
        views.append(
            View(
                grant_id=grant.grant_id,
                wallet=grant.wallet,
                viewer=viewer.party,
                actor=viewer.party,
                fields=grant.fields,
                viewed_at=uow.now,
            )
        )
    tenant = grants[0].tenant
    command = LogViews(
        command_id=uow.ids.new("cmd"),
        tenant=tenant,
        who=Who(actor="svc:portfolio", principal="operator"),
        reason="Seen by a grant",
        occurred_at=uow.now,
        views=tuple(views),
    )
    uow.emit(command, topic=_COMMANDS, key=tenant, cause=Cause(correlation_id=str(uow.ids.uuid7())))
