"""Wallets of known owners: what they hold by the books, and the signs their owners give (F31).

Money comes by pay-ins and journals and leaves by payouts, told on topics that have no order among
them: what is posted to an account before anything tells whose it is, is kept until then.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tally_contracts.base import Where, Why
from tally_contracts.directory_facts import WalletOpened
from tally_contracts.funding import PayInAllocated
from tally_contracts.payouts import MethodChosen, PayoutChanged
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import clocks, holders
from tally_funding.claims.clocks import Opening
from tally_funding.claims.domain.dormancy import is_other_money
from tally_funding.claims.domain.estate import is_claimable
from tally_funding.claims.store import wallets
from tally_funding.claims.store.wallets import Circumstances
from tally_funding.escrow.service import PAID
from tally_funding.parties import store as parties
from tally_funding.postings import Books
from tally_funding.receipts.store import formers
from tally_messaging import Cause, Received, UnitOfWork
from tally_money import Money, iso_currencies
from tally_runtime import party_id_of


def is_asked_for(event: PayoutChanged) -> bool:
    """Whether somebody has asked for this payout just now: those of a rule are nobody's sign."""
    return event.sequence == 1 and event.pay_in_id is None


@dataclass(frozen=True, slots=True)
class Whose:
    """An account that something has told the owner of; `holder`: the company, if no tree is known."""

    account: str
    owner: str
    code: str
    holder: str
    told: Circumstances


async def brought(uow: UnitOfWork, messages: Sequence[Received[PayInAllocated]]) -> None:
    """Add what pay-ins brought to known owners, and start the clocks of new wallets."""
    deltas: dict[str, int] = defaultdict(int)
    whose: dict[str, Whose] = {}
    for message in messages:
        event = message.event
        for share in event.allocations:
            if is_claimable(share.owner) or share.amount.currency not in iso_currencies():
                continue
            deltas[share.account] += share.amount.money().minor
            told = Circumstances(event.who, event.where, event.why, message.cause)
            whose[share.account] = Whose(
                share.account, share.owner, share.amount.currency, event.company, told
            )
    if whose:
        await _add(uow, deltas, whose, messages[-1].cause)


async def opened(uow: UnitOfWork, books: Books, messages: Sequence[Received[WalletOpened]]) -> None:
    """Start the clocks of wallets that the directory tells of, but of those of unknown payees."""
    whose = {
        event.account: Whose(
            event.account,
            event.owner,
            event.currency,
            event.tenant,
            Circumstances(
                event.who,
                Where(channel="directory"),
                Why(program="wallets", event=event.wallet_id, reason=event.reason),
                cause,
            ),
        )
        for event, cause in ((message.event, message.cause) for message in messages)
        if event.currency in iso_currencies() and not _is_of_unknown_payee(books, event)
    }
    if whose:
        await for_every_tenant(uow.conn)
        await _add(uow, {}, whose, messages[-1].cause)
        # Money may have named the owner by another reference, before the directory knew the party.
        await holders.named(uow, {a: (one.owner, one.told.cause) for a, one in whose.items()})


def _is_of_unknown_payee(books: Books, event: WalletOpened) -> bool:
    """Whether the money is for a contact that nobody has claimed it by yet.

    The directory knows a party by the contact, and may tell of it first. By the books the money is the
    contact's until it is claimed: what the pay-in tells enters it so.
    """
    reference = event.reference
    if reference is None or not is_claimable(reference):
        return False
    return event.account == books.wallet(reference, event.currency).id


async def paid(uow: UnitOfWork, books: Books, messages: Sequence[Received[PayoutChanged]]) -> None:
    """Take off what payouts have paid, and take a payout an owner asked for as a sign of life."""
    gone: dict[str, Money] = {}
    for event in (message.event for message in messages):
        if event.state == PAID and not is_claimable(event.owner):
            before = gone.get(event.account, Money(0, event.amount.money().currency))
            gone[event.account] = before - event.amount.money()
    asking = [message for message in messages if is_asked_for(message.event)]
    if gone or asking:
        await for_every_tenant(uow.conn)
    asked = await clocks.signs_of(uow, await _by_owners(uow, books, asking))
    if gone and asked.causes:
        await wallets.lock_all(uow.conn, gone, asked.owners)
    await clocks.sign_of_life(uow, asked)
    if gone:
        await posted(uow, gone, messages[-1].cause)


async def _by_owners(
    uow: UnitOfWork, books: Books, acting: Sequence[Received[PayoutChanged | MethodChosen]]
) -> Mapping[str, Cause]:
    """The owners that have done this themselves, one that was merged by the one it became.

    Payouts may name an owner by the reference that money named it by: the party it means is asked for.
    """
    done = [(m.event.who.principal, party_id_of(m.event.owner, books.tenant), m) for m in acting]
    others = {principal for principal, owner, _ in done if principal != owner}
    became = await formers(uow.conn, others) if others else {}
    return {
        one: message.cause
        for principal, owner, message in done
        if owner == principal or owner in became.get(principal, ())
        for one in (principal, message.event.owner)
    }


async def chosen(uow: UnitOfWork, books: Books, messages: Sequence[Received[MethodChosen]]) -> None:
    """Take a method that owners chose themselves as a sign of life."""
    await for_every_tenant(uow.conn)
    if signs := await _by_owners(uow, books, messages):
        await clocks.sign_of_life(uow, await clocks.signs_of(uow, signs))


async def posted(uow: UnitOfWork, deltas: Mapping[str, Money], cause: Cause) -> None:
    """Add what was posted to accounts; of those nobody has told of yet, keep it."""
    known = await _add(uow, {one: money.minor for one, money in deltas.items()}, {}, cause)
    untold = {account: money for account, money in deltas.items() if account not in known}
    if untold:
        await wallets.set_untold(uow.conn, untold)


async def _add(
    uow: UnitOfWork, deltas: Mapping[str, int], whose: Mapping[str, Whose], cause: Cause
) -> frozenset[str]:
    """Open what is told of and not known yet, then add; the accounts that have a clock now."""
    named = {*deltas, *whose}
    standing = dict(await wallets.lock_standing(uow.conn, named))
    if missing := named - standing.keys():
        standing |= await wallets.lock_missing(uow.conn, missing)
    new = [one for account, one in whose.items() if account not in standing]
    early: Mapping[str, int] = {}
    if new:
        await clocks.open_wallets(uow, await _openings(uow, new))
        early = await wallets.take_untold(uow.conn, [one.account for one in new])
    known = frozenset({*standing, *(one.account for one in new)})
    changed = {
        account: deltas.get(account, 0) + early.get(account, 0)
        for account in sorted({*deltas, *early} & known)
    }
    if changed:
        await wallets.add(uow.conn, changed)
    before = {
        account: stood.balance
        for account, stood in standing.items()
        if account in changed
        and is_other_money(
            stood.state,
            stood.balance,
            Money(stood.balance.minor + changed[account], stood.balance.currency),
        )
    }
    if before:
        held = await wallets.lock_accounts(uow.conn, before)
        followed = [(before[account], wallet) for account, wallet in held.items()]
        await clocks.new_money(uow, followed, cause)
    return known


async def _openings(uow: UnitOfWork, new: Iterable[Whose]) -> Sequence[Opening]:
    """Wallets as they begin: by the owner's country, or the holder's where that is not known."""
    named = list(new)
    places = await parties.places(uow.conn, {n for one in named for n in (one.owner, one.holder)})
    openings = []
    for one in named:
        owner, holder = places.get(one.owner), places.get(one.holder)
        place = owner or holder
        country = None if owner is None else owner.country
        if country is None and place is not None:
            country = (holder or place).seat
        wallet = clocks.opened(
            account=one.account,
            # A company nobody registered is a tree of its own.
            tenant=one.holder if place is None else place.tenant,
            owner=one.owner,
            unit=iso_currencies()[one.code],
            told=one.told,
            country=country,
            now=uow.now,
        )
        openings.append(Opening(wallet, one.told.cause))
    return openings
