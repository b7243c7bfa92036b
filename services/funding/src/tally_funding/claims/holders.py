"""Whose tree waiting money is in, and by which law its clock runs, as the directory tells it (F31)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tally_funding.claims import clocks
from tally_funding.claims.clocks import Opening
from tally_funding.claims.domain.dormancy import ELSEWHERE, WAITING
from tally_funding.claims.domain.estate import (
    is_claimable,
    is_restricted,
    receiver,
    references,
    restricted,
)
from tally_funding.claims.store import wallets
from tally_funding.claims.store.wallets import Wallet
from tally_funding.parties import store as parties
from tally_funding.parties.store import Place
from tally_messaging import Cause, UnitOfWork


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A party that the directory tells of for the first time."""

    place: Place
    cause: Cause


async def registered(
    uow: UnitOfWork, owners: Mapping[str, Newcomer], holders: Mapping[str, Newcomer]
) -> None:
    """Bring the wallets of parties, and what companies hold, up to what is known of them now.

    `holders`: companies that money named before the directory did, which were trees of their own.
    """
    if not owners:
        return
    if not holders:
        held = await wallets.lock_owners(uow.conn, references(owners))
        await _bring_up(uow, [(w, _as_owner(owners[receiver(w.owner)], w)) for w in held])
        return
    tenants = {company: new.place.tenant for company, new in holders.items()}
    await wallets.rename_holders(uow.conn, tenants)
    held = await wallets.lock_held(uow.conn, references(owners), holders)
    # Owners that are registered stand in their own tree, by the law of their country.
    known = await parties.places(uow.conn, {receiver(wallet.owner) for wallet in held})
    found = []
    for wallet in held:
        owner = receiver(wallet.owner)
        moved = replace(wallet, tenant=tenants.get(wallet.tenant, wallet.tenant))
        if owner in owners:
            found.append((wallet, _as_owner(owners[owner], moved)))
        elif owner not in known:
            found.append((wallet, _as_holder(holders[wallet.tenant], wallet)))
        elif is_restricted(wallet.owner):
            new = Newcomer(known[owner], holders[wallet.tenant].cause)
            found.append((wallet, _as_owner(new, moved)))
    await _bring_up(uow, found)


def _as_owner(new: Newcomer, wallet: Wallet) -> Newcomer:
    """What an owner may not receive yet stays in the tree that it came to."""
    if not is_restricted(wallet.owner):
        return new
    return replace(new, place=replace(new.place, tenant=wallet.tenant))


def _as_holder(new: Newcomer, wallet: Wallet) -> Newcomer:
    """A law that is known may be that of another company, in a tree whose root is told of only now."""
    if wallet.clock.jurisdiction == ELSEWHERE:
        return new
    return replace(new, place=replace(new.place, country=None))


async def merged(uow: UnitOfWork, kept: str, former: str, cause: Cause) -> None:
    """What was of `former` is of `kept`: in its tree, by the law of its country."""
    held = await wallets.lock_owners(uow.conn, {kept, former, restricted(former)})
    await _give(uow, [(wallet, kept, cause) for wallet in held if wallet.owner == former])
    apart = [wallet for wallet in held if wallet.owner == restricted(former)]
    place = (await parties.places(uow.conn, {kept})).get(kept) if apart else None
    if place is not None:
        new = Newcomer(place, cause)
        await _bring_up(uow, [(wallet, _as_owner(new, wallet)) for wallet in apart])


async def named(uow: UnitOfWork, owners: Mapping[str, tuple[str, Cause]]) -> None:
    """The directory says whose accounts are: its word stands, but for money nobody has claimed."""
    held = await wallets.lock_accounts(uow.conn, owners)
    await _give(
        uow,
        [
            (wallet, *owners[account])
            for account, wallet in held.items()
            if wallet.owner != owners[account][0] and not is_claimable(wallet.owner)
        ],
    )


async def by_their_payees(uow: UnitOfWork, opening: Sequence[Opening]) -> Sequence[Opening]:
    """Wallets to enter: those of restricted money by the law of their payees' countries."""
    payees = {receiver(one.wallet.owner) for one in opening if is_restricted(one.wallet.owner)}
    places = await parties.places(uow.conn, payees) if payees else {}
    found = []
    for one in opening:
        place = places.get(receiver(one.wallet.owner))
        country = None if place is None else place.country
        wallet = one.wallet if country is None else clocks.under(one.wallet, country, uow.now)
        found.append(replace(one, wallet=wallet))
    return found


async def _give(uow: UnitOfWork, given: Sequence[tuple[Wallet, str, Cause]]) -> None:
    """Let wallets be of other owners, each told under what it followed from."""
    if not given:
        return
    owners = {wallet.account: owner for wallet, owner, _ in given}
    await wallets.set_owners(uow.conn, owners)
    places = await parties.places(uow.conn, set(owners.values()))
    await _bring_up(
        uow,
        [
            (replace(wallet, owner=owner), Newcomer(places[owner], cause))
            for wallet, owner, cause in given
            if owner in places
        ],
    )


async def _bring_up(uow: UnitOfWork, held: Sequence[tuple[Wallet, Newcomer]]) -> None:
    """Only of money that waits: what was filed or claimed stays told as it was."""
    changed = []
    for wallet, new in held:
        country = new.place.country or wallet.clock.jurisdiction
        after = replace(clocks.under(wallet, country, uow.now), tenant=new.place.tenant)
        if wallet.clock.state in WAITING and after != wallet:
            changed.append((wallet, after, new.cause))
    await clocks.change(uow, changed)
