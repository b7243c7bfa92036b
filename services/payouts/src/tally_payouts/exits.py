"""Exits while a batch works on them: the tables, the parties, and what limits have been used of."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from tally_contracts.kyc import GateTablePublished, LevelChanged, LimitTablePublished
from tally_gates import (
    GATES,
    LIMITS,
    EndpointClass,
    GateBook,
    Party,
    Question,
    StoredTable,
    Window,
    book_of,
    window_starts,
)
from tally_money import Money
from tally_payouts.batch import Needs, Tracked
from tally_payouts.domain.designation import is_unknown, receiver
from tally_payouts.domain.exits import Ruled, Used, class_of, question_of, rule
from tally_payouts.domain.families import Families
from tally_payouts.domain.options import Option, options_of
from tally_payouts.domain.payout import Payout
from tally_payouts.domain.policy import Policy
from tally_payouts.store import exits as exit_store
from tally_payouts.store import merges as merge_store
from tally_payouts.store.exits import UsedRow, lock_tables
from tally_payouts.store.methods import Key
from tally_postgres import Connection
from tally_runtime import party_id_of

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CALENDAR: Final = (Window.DAY, Window.MONTH, Window.YEAR)


@dataclass(slots=True)
class Exits:
    """What is asked about exits in one unit of work, and what it changes.

    `entity_country` is that of the entity which books the wallets, where the installation says it.
    Levels and what has been used are a party's, by its id, whatever references money names it by.
    `kept_names` are the references of those a batch is about whose party is kept already.
    """

    now: datetime
    tenant: str
    entity_country: str | None
    tables: list[StoredTable] = field(default_factory=list)
    parties: dict[str, Party] = field(default_factory=dict)
    used: dict[tuple[str, str], dict[tuple[Window, EndpointClass], int]] = field(
        default_factory=dict
    )
    due: set[tuple[str, datetime]] = field(default_factory=set)
    new_tables: list[StoredTable] = field(default_factory=list)
    changed_parties: dict[str, Party] = field(default_factory=dict)
    families: Families = field(default_factory=Families)
    new_families: Families | None = None
    weighed: set[str] = field(default_factory=set)
    kept_names: Mapping[str, str] = field(default_factory=dict)
    _party_ids: dict[str, str] = field(default_factory=dict)
    _book: GateBook | None = None

    @property
    def book(self) -> GateBook:
        """The tables as they decide."""
        if self._book is None:
            self._book = book_of(self.tables)
        return self._book

    def publish(self, event: GateTablePublished | LimitTablePublished) -> None:
        """Learn of a version; what is held is asked about again."""
        kind = GATES if isinstance(event, GateTablePublished) else LIMITS
        table = StoredTable.of(kind, event)
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
        party = Party.told(event)
        self.parties[party.owner] = self.changed_parties[party.owner] = party
        self.due.add((party.owner, self.now))

    def rule(self, tracked: Tracked) -> Ruled:
        """Ask about a payout whose money is reserved."""
        payout = tracked.payout
        assert payout.route is not None, f"{payout.id} is asked about before it has a way out"
        question = self._question(tracked, class_of(payout.route.rail))
        ruled = rule(self.book, question, self._used(payout))
        if ruled.again_at is not None:
            self.due.add((self.party_of(payout.order.owner), ruled.again_at))
        return ruled

    def options(
        self, tracked: Tracked, policy: Policy | None, rails: frozenset[str]
    ) -> tuple[Option, ...]:
        """The ways out of a payout that waits for a choice; as of now, and no promise."""
        return options_of(
            self.book,
            self._question(tracked, EndpointClass.ANY),
            self._used(tracked.payout),
            rails=rails,
            policy=policy,
            request=tracked.request,
        )

    def _question(self, tracked: Tracked, found: EndpointClass) -> Question:
        order = tracked.payout.order
        touched = {tracked.context.where.country, self.entity_country}
        places = frozenset(place for place in touched if place is not None)
        # A party is loaded wherever a table is known; no table asks about one that is not.
        party_id = self.asked_of(order.owner)
        party = self.parties.get(party_id) or Party(party_id)
        return question_of(party, order.amount, found, places, self.now)

    def leaves(self, payout: Payout) -> None:
        """Count a payout that has passed the gates."""
        assert payout.asked is not None, f"{payout.id} leaves without being asked about"
        sums = self.used.setdefault(self._user(payout), {})
        found = EndpointClass(payout.asked.endpoint_class)
        for window in (*_CALENDAR, Window.LIFETIME):
            _add(sums, window, found, payout.order.amount.minor)

    def comes_back(self, payout: Payout) -> None:
        """A payout that counted counts no more: there may be room for what its owner has held."""
        self.due.add((self.party_of(payout.order.owner), self.now))

    def count(self, row: UsedRow) -> None:
        """Take in what has been used before this unit of work."""
        party_id, code, found, by_window = row
        sums = self.used.setdefault((self.families.kept(party_id), code), {})
        for window, minor in by_window.items():
            _add(sums, window, found, minor)

    def _used(self, payout: Payout) -> Used:
        unit = payout.order.amount.currency
        sums = self.used.get(self._user(payout), {})
        return {key: Money(minor, unit) for key, minor in sums.items()}

    def _user(self, payout: Payout) -> tuple[str, str]:
        """Whose limits a payout counts against, with all who were merged with it; the currency."""
        return self.asked_of(payout.order.owner), payout.order.amount.currency.code

    def asked_of(self, owner: str) -> str:
        """The party whose level and limits decide for this owner: the one that its own became, if any.

        Nobody tells of a level that was merged: it would stay what it was then.
        """
        return self.families.kept(self.party_of(owner))

    def party_of(self, owner: str) -> str:
        """The id of the party that gets money of this owner, as kyc knows it."""
        party_id = self._party_ids.get(owner)
        if party_id is None:
            party_id = self._party_ids[owner] = party_id_of(receiver(owner), self.tenant)
        return party_id

    def parties_of(self, owners: Collection[str]) -> dict[str, str]:
        """The party of each owner."""
        return {owner: self.party_of(owner) for owner in owners}


def _add(
    sums: dict[tuple[Window, EndpointClass], int], window: Window, found: EndpointClass, minor: int
) -> None:
    for counted in (found, EndpointClass.ANY):
        sums[window, counted] = sums.get((window, counted), 0) + minor


async def load_tables(conn: Connection, exits: Exits, needs: Needs) -> None:
    """Read the tables where a batch asks them, under their lock where it decides by them."""
    if needs.placed or needs.tables:
        await lock_tables(conn, alone=needs.tables)
    if needs.placed or needs.tables or needs.choosers:
        await read_tables(conn, exits)


async def read_tables(conn: Connection, exits: Exits) -> None:
    """Read the tables."""
    exits.tables = await exit_store.load_tables(conn, exits.now)


async def load_families(
    conn: Connection, exits: Exits, needs: Needs, keys: Collection[Key]
) -> Families:
    """Who was merged into whom of those a batch is about, by what it tells of merges too."""
    if exits.tables or needs.tables:
        exits.weighed = await exit_store.owners_of(conn, needs.placed)
    if not (needs.merges or keys or exits.weighed):
        return Families()
    await merge_store.lock(conn, alone=bool(needs.merges))
    named = exits.parties_of({owner for owner, _ in keys} | exits.weighed)
    parties = {*named.values(), *(one for pair in needs.merges for one in pair)}
    found = await merge_store.families(conn, parties) if parties else Families()
    exits.kept_names = found.references
    # References of what opens now are kept with it. Money that waits for its owner goes by no merge.
    found = found.known_by({one: named[one] for one in named if not is_unknown(one)})
    if not needs.merges:
        return found
    joined = exits.new_families = found.joined(needs.merges)
    # Whatever a merge writes is locked with what it tells of, at once and in order.
    needs.told |= joined.became.keys()
    exits.due |= {(one, exits.now) for one in joined.became}
    return joined


async def load_parties(conn: Connection, exits: Exits, needs: Needs) -> None:
    """Lock the parties a batch tells of or weighs exits of, and read what they have used."""
    if exits.tables or needs.tables:
        # What payees may choose among is told them, and promises nothing: no lock, unless they have it.
        exits.parties = await exit_store.read_parties(
            conn, {exits.asked_of(owner) for owner in needs.choosers}
        )
    # A table of this very batch may limit what none has limited before.
    windows = frozenset(Window) if needs.tables else frozenset[Window]()
    weighed = exits.weighed
    used_by = weighed | needs.choosers
    await load_used(conn, exits, weighed, used_by=used_by, told=needs.told, windows=windows)


async def load_used(
    conn: Connection,
    exits: Exits,
    weighed: Collection[str],
    *,
    used_by: Collection[str] | None = None,
    told: Collection[str] = (),
    windows: frozenset[Window] = frozenset(),
) -> None:
    """Lock the parties weighed and told of, and read what has been used in these windows and limited ones.

    `told` are parties, the others owners of payouts. Of the weighed, unless `used_by` names others.
    """
    named = exits.parties_of(weighed)
    parties = set(named.values())
    # All that count together are weighed under the lock of the one they became.
    kept = {exits.families.kept(one) for one in parties}
    exits.parties |= await exit_store.lock_parties(conn, {*parties, *kept, *told})
    windows |= {row.window for table in exits.book.limits for row in table.rows}
    users = named if used_by is None else exits.parties_of(used_by)
    if not users or not windows - {Window.ITEM}:
        return
    starts = _starts(exits.now)
    since = _EVER
    if Window.LIFETIME not in windows:
        since = min(starts[window] for window in windows if window in starts)
    users = users | {one: one for one in exits.families.all_of(set(users.values()))}
    for row in await exit_store.load_used(conn, users, starts, since):
        exits.count(row)


def _starts(now: datetime) -> Mapping[Window, datetime]:
    starts = {window: window_starts(window, now) for window in _CALENDAR}
    return {window: start for window, start in starts.items() if start is not None}


async def save(conn: Connection, exits: Exits) -> None:
    """Write what was learnt, and whom to ask about again."""
    await exit_store.save_parties(conn, list(exits.changed_parties.values()))
    if exits.new_families is not None:
        await merge_store.save(conn, exits.new_families)
    await exit_store.ask_again(conn, exits.due)
    await exit_store.save_tables(conn, exits.new_tables, exits.now)
