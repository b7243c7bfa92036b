"""Whose tree waiting money is in, and by which law its clock runs, as the directory tells it (F31)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tally_funding.answers.store import for_every_tenant
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
from tally_funding.claims.store import claims, laws, wallets
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

    `holders`: companies that money named before the directory did, which were trees of their own. Roots
    say by which law the money of companies without a country goes, which may be told of first.
    """
    if not owners:
        return
    roots = {
        one: new
        for one, new in owners.items()
        if one == new.place.tenant and new.place.country is not None
    }
    if not holders and not roots:
        held = await wallets.lock_owners(uow.conn, references(owners))
        await _bring_up(uow, [(w, _as_owner(owners[receiver(w.owner)], w)) for w in held])
        return
    tenants = {company: new.place.tenant for company, new in holders.items()}
    if tenants:
        await wallets.rename_holders(uow.conn, tenants)
    held = await wallets.lock_held(uow.conn, references(owners), {*holders, *roots})
    # Owners that are registered stand in their own tree, by the law of their country.
    known = await parties.places(uow.conn, {*holders, *(receiver(w.owner) for w in held)})
    seated = {one: _seated(new, known[one]) for one, new in holders.items()}
    by_root = await _by_their_root(uow, roots, held, known)
    found = []
    for wallet in held:
        owner = receiver(wallet.owner)
        moved = replace(wallet, tenant=tenants.get(wallet.tenant, wallet.tenant))
        company = seated.get(wallet.tenant) or by_root.get(wallet.account)
        if owner in owners:
            found.append((wallet, _or_by(company, _as_owner(owners[owner], moved), wallet)))
        elif company is None:
            continue
        elif owner not in known or wallet.account in by_root:
            found.append((wallet, _as_holder(company, wallet)))
        elif is_restricted(wallet.owner):
            new = Newcomer(known[owner], company.cause)
            found.append((wallet, _or_by(company, _as_owner(new, moved), wallet)))
    await _bring_up(uow, found)


def _seated(new: Newcomer, known: Place) -> Newcomer:
    """A company in its country, or where it names none, in its root's."""
    return replace(new, place=replace(new.place, country=known.seat))


def _or_by(company: Newcomer | None, new: Newcomer, wallet: Wallet) -> Newcomer:
    """An owner that names no country is under the law of the company whose money it is."""
    if company is None or new.place.country is not None:
        return new
    country = _as_holder(company, wallet).place.country
    return replace(new, place=replace(new.place, country=country))


async def _by_their_root(
    uow: UnitOfWork,
    roots: Mapping[str, Newcomer],
    held: Sequence[Wallet],
    known: Mapping[str, Place],
) -> Mapping[str, Newcomer]:
    """The roots, by account, whose country says by which law wallets go for which nobody else named one.

    Whose money a known owner has is not kept with its wallet: below a root where some company names a
    country, it may be that one's, and its clock stays.
    """
    found = [
        wallet
        for wallet in held
        if wallet.tenant in roots and wallet.clock.jurisdiction == ELSEWHERE
        if (place := known.get(receiver(wallet.owner))) is None or place.country is None
    ]
    if not found:
        return {}
    waiting = {wallet.owner for wallet in found if is_claimable(wallet.owner)}
    companies = await claims.companies(uow.conn, waiting) if waiting else {}
    places = await parties.places(uow.conn, {one for named in companies.values() for one in named})
    with_country = {one for one, place in places.items() if place.country is not None}
    mixed = await parties.with_countries_below(uow.conn, roots)
    return {
        wallet.account: roots[wallet.tenant]
        for wallet in found
        if (
            with_country.isdisjoint(companies.get(wallet.owner, ()))
            if wallet.owner in waiting
            else wallet.tenant not in mixed
        )
    }


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


async def ask_laws(uow: UnitOfWork, limit: int) -> int:
    """Let up to `limit` clocks of before go by the law of the root's country; how many were found."""
    await for_every_tenant(uow.conn)
    accounts = await laws.to_ask(uow.conn, limit)
    if not accounts:
        return 0
    held = (await wallets.lock_accounts(uow.conn, accounts)).values()
    named = {one for wallet in held for one in (wallet.tenant, receiver(wallet.owner))}
    places = await parties.places(uow.conn, named)
    brought = []
    for wallet in held:
        root, owner = places.get(wallet.tenant), places.get(receiver(wallet.owner))
        # The owner may have named a country since.
        if root is not None and (owner is None or owner.country is None):
            new = Newcomer(replace(root, tenant=wallet.tenant), wallet.told.cause)
            brought.append((wallet, _as_holder(new, wallet)))
    await _bring_up(uow, brought)
    await laws.set_asked(uow.conn, accounts)
    return len(accounts)


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
