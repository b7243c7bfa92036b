"""The payout saga: load what a batch touches, decide message by message, save, tell."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_messaging import Received, UnitOfWork
from tally_payouts.batch import Batch, Needs, Tracked
from tally_payouts.domain.designation import is_restricted
from tally_payouts.domain.exits import decide_again
from tally_payouts.exits import (
    Exits,
    load_families,
    load_parties,
    load_tables,
    load_used,
    read_tables,
)
from tally_payouts.exits import save as save_exits
from tally_payouts.keeping import Keeper
from tally_payouts.outgoing import Outgoing
from tally_payouts.store import designations as designation_store
from tally_payouts.store import exits as exit_store
from tally_payouts.store import merges as merge_store
from tally_payouts.store import methods as method_store
from tally_payouts.store import payouts as payout_store
from tally_payouts.store import policies as policy_store
from tally_payouts.turn import Installation, Turn


@dataclass(frozen=True, slots=True)
class PayoutService:
    """The saga of one installation."""

    installation: Installation

    async def apply(self, uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        """Apply a batch in order. The number of statements does not depend on its size."""
        exits = self._exits(uow)
        batch = await self._load(uow, Needs.of(messages, self.installation.ledger), exits)
        outgoing = Outgoing(uow, self.installation.tenant)
        for message in messages:
            Turn(self.installation, batch, exits, outgoing, message).take()
        await self._save(uow, batch, exits)

    async def ask_again(self, uow: UnitOfWork, limit: int) -> int:
        """Ask about the held payouts of up to `limit` parties that are due; how many notes there were.

        Those that have waited longest are asked about first.
        """
        exits = self._exits(uow)
        # Notes that another one has taken are passed over: they wait for nobody.
        due = await exit_store.take_due(uow.conn, uow.now, limit)
        if not due:
            return 0
        await exit_store.lock_tables(uow.conn, alone=False)
        await read_tables(uow.conn, exits)
        await merge_store.lock(uow.conn, alone=False)
        owners = exits.parties_of(due)
        parties = set(owners.values())
        exits.families = await merge_store.families(uow.conn, parties)
        owners |= {one: one for one in exits.families.all_of(parties)}
        await load_used(uow.conn, exits, owners)
        stored = await payout_store.load_held(uow.conn, owners)
        batch = Batch({}, {row.payout.id: Tracked.read(row) for row in stored}, {}, {}, {}, {})
        keeper = Keeper(
            self.installation.rails, batch, exits, Outgoing(uow, self.installation.tenant)
        )
        for tracked in sorted(batch.payouts.values(), key=_waiting_since):
            keeper.keep(tracked, decide_again(tracked.payout, exits.rule(tracked)))
        await self._save(uow, batch, exits, asked=due)
        return len(due)

    def _exits(self, uow: UnitOfWork) -> Exits:
        return Exits(uow.now, self.installation.tenant, self.installation.entity_country)

    async def _load(self, uow: UnitOfWork, needs: Needs, exits: Exits) -> Batch:
        # Locks are taken in one order everywhere: gate tables, designations, instruments, merges, payees,
        # parties, payouts, each by id.
        conn = uow.conn
        await load_tables(conn, exits, needs)
        designations = await designation_store.lock(conn, needs.redirected)
        restricted = {owner for owner, _ in designations if is_restricted(owner)}
        releases = await designation_store.releases(conn, restricted, needs.came_since)
        waiting_keys = await designation_store.waiting(conn, needs.redirected)
        instruments = await method_store.lock_instruments(conn, needs.instruments)
        choosing = needs.choosing | await method_store.chosen_by(conn, needs.judged)
        choosing |= set(waiting_keys)
        led_to = {(one.to_owner, code) for (_, code), one in designations.items()}
        keys = needs.payees | choosing | led_to
        families = exits.families = await load_families(conn, exits, needs, keys)
        if needs.merges:
            merged = families.names_of({kept for _, kept in needs.merges})
            choosing |= await merge_store.waiting(conn, merged)
        # Whoever is kept may choose for what waits under whom it was merged with.
        choosing |= {(one, code) for owner, code in choosing for one in families.names_of({owner})}
        keys |= choosing
        keys |= {(families.kept(owner), code) for owner, code in keys}
        methods = await method_store.lock_methods(conn, keys)
        # A payout that follows its money waits for a choice of whoever has it since.
        needs.choosers.update(owner for owner, _ in led_to)
        wallets = await method_store.load_wallets(conn, needs.withdrawn)
        await load_parties(conn, exits, needs)
        stored = await payout_store.load_payouts(conn, needs.payouts, sorted(choosing))
        tracked = {row.payout.id: Tracked.read(row) for row in stored}
        waiting = {key for row in tracked.values() if (key := row.policy_key) is not None}
        policies = {
            (row.program, row.version): row.policy()
            for row in await policy_store.load_policies(conn, needs.programs, uow.now, waiting)
        }
        return Batch(
            needs.openings,
            tracked,
            methods,
            instruments,
            wallets,
            policies,
            designations,
            releases=releases,
            families=families,
        )

    async def _save(
        self, uow: UnitOfWork, batch: Batch, exits: Exits, asked: Collection[str] = ()
    ) -> None:
        conn, now = uow.conn, uow.now
        await method_store.save_instruments(conn, list(batch.changed_instruments.values()))
        await method_store.save_methods(conn, list(batch.changed_methods.values()), now)
        await payout_store.save_payouts(conn, list(batch.changed_payouts()), now)
        await payout_store.save_history(conn, batch.history, now)
        await payout_store.save_returns(conn, batch.returns, now)
        await payout_store.save_cases(conn, list(batch.cases.values()), now)
        await method_store.save_wallets(conn, batch.new_wallets)
        await policy_store.save_policies(conn, batch.new_policies)
        await designation_store.save(conn, batch.changed_designations)
        await designation_store.save_releases(conn, batch.changed_releases)
        await save_exits(conn, exits)
        # Limits count all that has left, also before there was one. Last, for it waits for whoever saves the
        # same owner at once, and nobody may wait for it then.
        owners = batch.new_owners().union(asked) - exits.kept_names.keys()
        await exit_store.save_owners(conn, exits.parties_of(owners))


def _waiting_since(tracked: Tracked) -> tuple[datetime, str]:
    opened_at = None if tracked.saved is None else tracked.saved.opened_at
    assert opened_at is not None, f"{tracked.payout.id} is held without being saved"
    return opened_at, tracked.payout.id
