"""Use cases of the ledger and of time: balances follow the books, movements end, claims run out."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tally_contracts.base import Who
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.ledger import (
    JournalRejected,
    Leg,
    ReversedLeg,
)
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import clocks
from tally_funding.claims import owners as known
from tally_funding.claims.batch import Batch
from tally_funding.claims.clocks import Opening, Signs
from tally_funding.claims.domain.estate import (
    Change,
    decide_answer,
    decide_follow,
    decide_retry,
    is_claimable,
    is_restricted,
    receiver,
)
from tally_funding.claims.domain.orders import decide_expiry
from tally_funding.claims.postings import REFERENCE_PREFIX
from tally_funding.claims.store import claims, wallets
from tally_funding.claims.store.wallets import Circumstances, Designation, Wallet
from tally_funding.claims.topics import LedgerFact
from tally_funding.parties import store as parties
from tally_funding.postings import Books
from tally_funding.receipts import store as receipts
from tally_funding.receipts.arriving import Arrival
from tally_funding.retrying import TRY_AGAIN_AFTER
from tally_messaging import Cause, Received, UnitOfWork
from tally_money import Money, currency, iso_currencies
from tally_runtime import get_logger

_LOG = get_logger("tally_funding.claims")
BY_PAY_INS = ("pin_", "match_")
"""How references of the journals start that pay-ins are allocated by."""


async def lock_allocated(uow: UnitOfWork, messages: Sequence[Received[PayInAllocated]]) -> None:
    """Lock the wallets of known and unknown owners at once, where pay-ins bring money to both."""
    shares = [share for message in messages for share in message.event.allocations]
    unknown = {share.owner for share in shares if is_claimable(share.owner)}
    if unknown and any(share.owner not in unknown for share in shares):
        await wallets.lock_all(uow.conn, {share.account for share in shares}, unknown)


async def designate(
    uow: UnitOfWork, books: Books, messages: Sequence[Received[PayInAllocated]]
) -> None:
    """Note what pay-ins brought to unknown payees; where the owner is known by now, move it on."""
    found = [
        (share, _designation(message.event, share))
        for message in messages
        for share in message.event.allocations
        if is_claimable(share.owner)
    ]
    if not found:
        return
    cause = messages[-1].cause
    await _open(uow, [designation for _, designation in found], cause)
    deltas: dict[str, int] = defaultdict(int)
    for share, _ in found:
        deltas[share.account] += share.amount.money().minor
    batch = Batch(uow, books)
    await batch.load({share.owner for share, _ in found})
    await _add(batch, deltas, cause)
    for message in messages:
        _tell_restricted(batch, message)
    _move_on_all(batch, cause)
    await batch.save()


def _tell_restricted(batch: Batch, message: Received[PayInAllocated]) -> None:
    event = message.event
    told = Circumstances(event.who, event.where, event.why, message.cause)
    for share in event.allocations:
        if is_restricted(share.owner):
            batch.restrict(share.owner, batch.tenant(share.owner))
            batch.tell_restricted(
                share.owner,
                batch.tenant(share.owner),
                share.amount.money(),
                told,
                pay_in_id=event.pay_in_id,
            )


def _tell_arrived(batch: Batch, arrival: Arrival) -> None:
    found, source = arrival.designation, arrival.source
    batch.restrict(found.owner, batch.tenant(found.owner))
    batch.tell_restricted(
        found.owner,
        batch.tenant(found.owner),
        arrival.amount,
        Circumstances(found.who, found.where, found.why, arrival.cause),
        agreement_id=source.agreement_id,
        reclaim_id=source.reclaim_id,
    )


@dataclass(frozen=True, slots=True)
class Touched:
    """What journals touch, as far as it is told: read before any of it is locked.

    `owners` by account; `unopened` are wallets of unknown payees that are not entered yet, `moving`
    has the owners of movements that the ledger answers, `brought` is what came to payees otherwise.
    """

    messages: Sequence[Received[LedgerFact]] = ()
    deltas: Mapping[str, Money] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    unopened: Sequence[Designation] = ()
    moving: Mapping[str, str] = field(default_factory=dict)
    brought: Sequence[Arrival] = ()
    signs: Signs = field(default_factory=Signs)

    @property
    def claimable(self) -> Mapping[str, str]:
        """The owners nobody knows, by account."""
        return {account: owner for account, owner in self.owners.items() if is_claimable(owner)}

    @property
    def senders(self) -> Mapping[str, Cause]:
        """Known owners that have moved money of their own."""
        return {
            message.event.who.principal: message.cause
            for message in self.messages
            for leg in _legs(message.event)
            if self.owners.get(leg.debit) == message.event.who.principal
            and not is_claimable(message.event.who.principal)
        }


async def find_touched(
    uow: UnitOfWork, messages: Sequence[Received[LedgerFact]], brought: Sequence[Arrival] = ()
) -> Touched:
    """What is to be followed of these journals: what pay-ins bring is told by funding itself."""
    others = [m for m in messages if not m.event.reference.startswith(BY_PAY_INS)]
    if not others:
        return Touched()
    await for_every_tenant(uow.conn)
    deltas = _deltas(others)
    told = await wallets.owners_of(uow.conn, deltas) if deltas else {}
    arrived = [one.designation for one in brought if one.designation.account not in told]
    named = {*told, *(one.account for one in arrived)}
    missing = [account for account in deltas if account not in named]
    found = [*arrived, *(await wallets.designated(uow.conn, missing) if missing else ())]
    ended = {m.event.reference for m in others if m.event.reference.startswith(REFERENCE_PREFIX)}
    touched = Touched(
        messages=others,
        deltas=deltas,
        owners={**told, **{one.account: one.owner for one in found}},
        unopened=found,
        moving=await claims.owners_of_moving(uow.conn, ended) if ended else {},
        brought=brought,
    )
    return replace(touched, signs=await clocks.signs_of(uow, touched.senders))


async def lock(uow: UnitOfWork, touched: Touched, accounts: Collection[str]) -> None:
    """Lock all wallets that following these journals may change, and these, in the order of accounts."""
    owners = {*touched.claimable.values(), *touched.moving.values(), *touched.signs.owners}
    if touched.deltas or owners or accounts:
        await wallets.lock_all(uow.conn, {*touched.deltas, *accounts}, owners)


async def follow(uow: UnitOfWork, books: Books, touched: Touched) -> None:
    """Follow the books: what else moves at wallets of unknown payees, and movements under way.

    What pay-ins bring comes in another order than the ledger's facts: a wallet may be below zero here
    until both have come, and then nothing of it is moved.
    """
    if not touched.messages:
        return
    cause = touched.messages[-1].cause
    if touched.unopened:
        await _open(uow, touched.unopened, cause)
    ours, moving = touched.claimable, touched.moving
    if ours or moving:
        batch = Batch(uow, books)
        await batch.load({*ours.values(), *moving.values()})
        minor = {account: touched.deltas[account].minor for account in ours}
        await _add(batch, minor, cause)
        for message in touched.messages:
            if message.event.reference in moving:
                _end(batch, moving[message.event.reference], message)
        for arrival in touched.brought:
            _tell_arrived(batch, arrival)
        _move_on_all(batch, cause)
        await batch.save()
    await _follow_known(uow, touched, cause)


async def _follow_known(uow: UnitOfWork, touched: Touched, cause: Cause) -> None:
    """What moved at the wallets of known owners; what an owner itself has sent is a sign of life."""
    claimable = touched.claimable
    rest = {a: money for a, money in touched.deltas.items() if a not in claimable}
    if not rest:
        return
    if touched.signs.causes:
        await clocks.sign_of_life(uow, touched.signs)
    await known.posted(uow, rest, cause)


def _legs(event: LedgerFact) -> Sequence[Leg | ReversedLeg]:
    return () if isinstance(event, JournalRejected) else event.legs


def _deltas(messages: Sequence[Received[LedgerFact]]) -> dict[str, Money]:
    """What was posted to each account; assets that are no ISO 4217 currency have no clock."""
    deltas: dict[str, Money] = {}
    for leg in (leg for message in messages for leg in _legs(message.event)):
        if leg.amount.currency not in iso_currencies():
            continue
        amount = leg.amount.money()
        nothing = Money(0, amount.currency)
        deltas[leg.debit] = deltas.get(leg.debit, nothing) - amount
        deltas[leg.credit] = deltas.get(leg.credit, nothing) + amount
    return deltas


def _designation(event: PayInAllocated, share: Allocation) -> Designation:
    return Designation(
        account=share.account,
        owner=share.owner,
        code=share.amount.currency,
        company=event.company,
        who=event.who,
        where=event.where,
        why=event.why,
    )


async def _open(uow: UnitOfWork, found: Sequence[Designation], cause: Cause) -> None:
    """Enter wallets of unknown payees that are not there yet, with their companies and clocks."""
    named = {one.company for one in found}
    named |= {receiver(one.owner) for one in found if is_restricted(one.owner)}
    places = await parties.places(uow.conn, named)
    opening = [Opening(_wallet(one, places, cause, uow), cause) for one in found]
    await clocks.open_wallets(uow, opening)
    pairs = {
        (one.wallet.owner, designation.company, one.wallet.tenant)
        for one, designation in zip(opening, found, strict=True)
    }
    await wallets.add_companies(uow.conn, pairs)


def _wallet(
    designation: Designation,
    places: Mapping[str, parties.Place],
    cause: Cause,
    uow: UnitOfWork,
) -> Wallet:
    place = places.get(designation.company)
    # Restricted money has a payee who is known: its clock runs by that country's law, as a wallet's.
    payee = places.get(receiver(designation.owner))
    seat = None if place is None else place.seat
    told = Circumstances(designation.who, designation.where, designation.why, cause)
    return clocks.opened(
        account=designation.account,
        # A company nobody registered is a tree of its own.
        tenant=designation.company if place is None else place.tenant,
        owner=designation.owner,
        unit=currency(designation.code),
        told=told,
        country=seat if payee is None else payee.country or seat,
        now=uow.now,
    )


async def _add(batch: Batch, deltas: Mapping[str, int], cause: Cause) -> None:
    """Bring balances up to what the ledger has told, in memory and at rest."""
    changed: dict[str, int] = {}
    moved: list[tuple[Money, Wallet]] = []
    for owner, held in batch.held.items():
        followed = []
        for wallet in held:
            delta = deltas.get(wallet.account, 0)
            balance = Money(wallet.balance.minor + delta, wallet.balance.currency)
            after = replace(wallet, balance=balance)
            followed.append(after)
            if delta:
                changed[wallet.account] = delta
                moved.append((wallet.balance, after))
        batch.held[owner] = followed
        estate = batch.estates[owner]
        batch.estates[owner] = replace(
            estate, balances={w.balance.currency.code: w.balance for w in followed}
        )
        batch.weigh(owner)
    if changed:
        await wallets.add(batch.uow.conn, changed)
    await clocks.new_money(batch.uow, moved, cause)


def _end(batch: Batch, owner: str, message: Received[LedgerFact]) -> None:
    event = message.event
    refused = event.code if isinstance(event, JournalRejected) else None
    change = decide_answer(
        batch.estates[owner],
        movement_id=event.reference,
        refused=refused,
        follow_id=batch.uow.ids.new("mov"),
        now=batch.uow.now,
    )
    if change is None:
        return
    if refused is not None:
        _LOG.error(
            "unclaimed_money_not_moved",
            movement_id=event.reference,
            ledger_code=refused,
            alarm=True,
        )
    batch.take(change, replace(batch.moving[owner], cause=message.cause))


def _move_on_all(batch: Batch, cause: Cause) -> None:
    """What came after the owners were known goes where the rest went."""
    for owner in sorted(batch.estates):
        change = decide_follow(batch.estates[owner], batch.uow.ids.new("mov"), batch.uow.now)
        _take(batch, owner, change, cause)


def _take(batch: Batch, owner: str, change: Change | None, cause: Cause) -> None:
    if change is not None:
        batch.take(change, _by_itself(batch, owner, cause))


def _by_itself(batch: Batch, owner: str, cause: Cause) -> Circumstances:
    who = Who(actor=clocks.ACTOR, principal=batch.tenant(owner))
    return replace(batch.told(owner), who=who, cause=cause)


@dataclass(frozen=True, slots=True)
class Found:
    """How much was due in a turn: claims, and tries to move on."""

    claims: int
    tries: int


async def pass_time(uow: UnitOfWork, books: Books, limit: int) -> Found:
    """End claims that are over, try again what was refused.

    What is due is looked at again once it is locked: another turn may have been faster.
    """
    await for_every_tenant(uow.conn)
    over = await claims.due_owners(uow.conn, uow.now, limit)
    again = {
        *await claims.retry_owners(uow.conn, uow.now, limit),
        *await receipts.due_owners(uow.conn, uow.now, limit),
    }
    if over or again:
        batch = Batch(uow, books)
        await batch.load({*over, *again})
        due = await claims.still_due(uow.conn, over, uow.now) if over else frozenset()
        put_off = [owner for owner in over if owner in due and not _expire(batch, owner)]
        for owner in sorted(again & batch.held.keys()):
            change = decide_retry(batch.estates[owner], uow.ids.new("mov"), uow.now)
            _take(batch, owner, change, batch.told(owner).cause)
        await batch.save()
        if put_off:
            await claims.put_off(uow.conn, put_off, uow.now + TRY_AGAIN_AFTER)
    return Found(len(over), len(again))


def _expire(batch: Batch, owner: str) -> bool:
    """Whether the owner's claim could be ended: not while its money is on its way."""
    change = decide_expiry(batch.estates[owner], batch.uow.ids.new("mov"), batch.uow.now)
    if change is None:
        return False
    batch.take(change, _by_itself(batch, owner, batch.told(owner).cause))
    return True
