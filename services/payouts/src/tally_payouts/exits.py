"""Exits while a batch works on them: the tables, the parties, and what limits have been used of."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from tally_contracts.kyc import GateTablePublished, LevelChanged, LimitTablePublished
from tally_gates import EndpointClass, GateBook, Level, PartyKind, Window, window_starts
from tally_money import Money
from tally_payouts.batch import Needs, Tracked
from tally_payouts.domain.exits import Party, Ruled, Used, rule
from tally_payouts.domain.payout import Payout
from tally_payouts.gate_tables import StoredTable, book_of, word
from tally_payouts.store import exits as exit_store
from tally_payouts.store.exits import UsedRow
from tally_payouts.store.methods import Key
from tally_postgres import Connection

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CALENDAR: Final = (Window.DAY, Window.MONTH, Window.YEAR)


@dataclass(slots=True)
class Exits:
    """What is asked about exits in one unit of work, and what it changes.

    `entity_country` is that of the entity which books the wallets, where the installation says it.
    """

    now: datetime
    entity_country: str | None
    tables: list[StoredTable] = field(default_factory=list)
    parties: dict[str, Party] = field(default_factory=dict)
    used: dict[Key, dict[tuple[Window, EndpointClass], int]] = field(default_factory=dict)
    due: set[tuple[str, datetime]] = field(default_factory=set)
    new_tables: list[StoredTable] = field(default_factory=list)
    changed_parties: dict[str, Party] = field(default_factory=dict)
    _book: GateBook | None = None

    @property
    def book(self) -> GateBook:
        """The tables as they decide."""
        if self._book is None:
            self._book = book_of(self.tables)
        return self._book

    def publish(self, event: GateTablePublished | LimitTablePublished) -> None:
        """Learn of a version; what is held is asked about again."""
        table = StoredTable.of(event)
        known = {(t.kind, t.name, t.version) for t in self.tables}
        if (table.kind, table.name, table.version) not in known:
            self.tables.append(table)
            self.new_tables.append(table)
            self._book = None

    def tell(self, event: LevelChanged) -> None:
        """Learn of a party's level; an older word changes nothing."""
        known = self.parties[event.party_id]
        if event.sequence <= known.sequence:
            return
        party = Party(
            event.party_id,
            word(PartyKind, event.party_kind) or PartyKind.PERSON,
            word(Level, event.level) or Level.NONE,
            event.jurisdiction,
            event.valid_until,
            event.sequence,
        )
        self.parties[party.owner] = self.changed_parties[party.owner] = party
        self.due.add((party.owner, self.now))

    def rule(self, tracked: Tracked) -> Ruled:
        """Ask about a payout whose money is reserved."""
        payout = tracked.payout
        touched = {tracked.context.where.country, self.entity_country}
        places = frozenset(place for place in touched if place is not None)
        owner = payout.order.owner
        # A party is loaded wherever a table is known; no table asks about one that is not.
        party = self.parties.get(owner) or Party(owner)
        ruled = rule(self.book, party, payout, places=places, used=self._used(payout), now=self.now)
        if ruled.again_at is not None:
            self.due.add((owner, ruled.again_at))
        return ruled

    def leaves(self, payout: Payout) -> None:
        """Count a payout that has passed the gates."""
        assert payout.asked is not None, f"{payout.id} leaves without being asked about"
        sums = self.used.setdefault(payout.order.wallet_key, {})
        found = EndpointClass(payout.asked.endpoint_class)
        for window in (*_CALENDAR, Window.LIFETIME):
            _add(sums, window, found, payout.order.amount.minor)

    def comes_back(self, payout: Payout) -> None:
        """A payout that counted counts no more: there may be room for what its owner has held."""
        self.due.add((payout.order.owner, self.now))

    def count(self, row: UsedRow) -> None:
        """Take in what has been used before this unit of work."""
        owner, code, found, by_window = row
        sums = self.used.setdefault((owner, code), {})
        for window, minor in by_window.items():
            _add(sums, window, found, minor)

    def _used(self, payout: Payout) -> Used:
        unit = payout.order.amount.currency
        sums = self.used.get(payout.order.wallet_key, {})
        return {key: Money(minor, unit) for key, minor in sums.items()}


def _add(
    sums: dict[tuple[Window, EndpointClass], int], window: Window, found: EndpointClass, minor: int
) -> None:
    for counted in (found, EndpointClass.ANY):
        sums[window, counted] = sums.get((window, counted), 0) + minor


async def load_tables(conn: Connection, exits: Exits, *, alone: bool) -> None:
    """Read the tables under their lock; before any other lock."""
    await exit_store.lock_tables(conn, alone=alone)
    exits.tables = await exit_store.load_tables(conn, exits.now)


async def load_parties(conn: Connection, exits: Exits, needs: Needs) -> None:
    """Lock the parties a batch tells of or weighs exits of, and read what they have used."""
    weighed: set[str] = set()
    if exits.tables or needs.tables:
        weighed = await exit_store.owners_of(conn, needs.placed)
    # A table of this very batch may limit what none has limited before.
    windows = frozenset(Window) if needs.tables else frozenset[Window]()
    await load_used(conn, exits, weighed, told=needs.told, windows=windows)


async def load_used(
    conn: Connection,
    exits: Exits,
    weighed: Collection[str],
    *,
    told: Collection[str] = (),
    windows: frozenset[Window] = frozenset(),
) -> None:
    """Lock parties, and read what the weighed ones have used in these windows and in limited ones."""
    exits.parties = await exit_store.lock_parties(conn, {*weighed, *told})
    windows |= {row.window for table in exits.book.limits for row in table.rows}
    if not weighed or not windows - {Window.ITEM}:
        return
    starts = _starts(exits.now)
    since = _EVER
    if Window.LIFETIME not in windows:
        since = min(starts[window] for window in windows if window in starts)
    for row in await exit_store.load_used(conn, weighed, starts, since):
        exits.count(row)


def _starts(now: datetime) -> Mapping[Window, datetime]:
    starts = {window: window_starts(window, now) for window in _CALENDAR}
    return {window: start for window, start in starts.items() if start is not None}


async def save(conn: Connection, exits: Exits) -> None:
    """Write what was learnt, and whom to ask about again."""
    await exit_store.save_parties(conn, list(exits.changed_parties.values()))
    await exit_store.ask_again(conn, exits.due)
    await exit_store.save_tables(conn, exits.new_tables, exits.now)
