"""One unit of work over the estates of unknown payees: loaded at once, changed in memory, saved at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from tally_contracts.base import Amount
from tally_contracts.funding_claims import (
    ClaimChanged,
    DesignationAsked,
    DesignationMoved,
    DesignationRefused,
    ReceiptRestricted,
)
from tally_contracts.owners import OF_CONTACT
from tally_funding.claims import clocks, holders, postings, reclaims
from tally_funding.claims.clocks import Opening, Stopping
from tally_funding.claims.domain.estate import (
    BY_ITSELF,
    Asked,
    Change,
    Claim,
    ClaimMoved,
    ClaimState,
    Effect,
    Estate,
    Moved,
    Movement,
    Reason,
    Refused,
    is_claimable,
    is_restricted,
    receiver,
)
from tally_funding.claims.store import claims, wallets
from tally_funding.claims.store.claims import (
    ClaimMove,
    Ending,
    KeptClaim,
    KeptMovement,
    NewClaim,
    Redirect,
)
from tally_funding.claims.store.wallets import Circumstances, Wallet
from tally_funding.claims.topics import CLAIMS_TOPIC, LEDGER_TOPIC
from tally_funding.parties import store as parties
from tally_funding.postings import Books
from tally_funding.receipts import store as receipts
from tally_funding.receipts.store import Restriction
from tally_funding.receipts.weighing import Weighing
from tally_funding.retrying import try_again_at
from tally_messaging import UnitOfWork
from tally_money import Money
from tally_runtime import party_id_of

Fact = ClaimChanged | DesignationAsked | DesignationMoved | DesignationRefused


@dataclass(slots=True)
class Batch:
    """Estates by owner as they stand by now, and what is to be saved of them."""

    uow: UnitOfWork
    books: Books
    estates: dict[str, Estate] = field(default_factory=dict)
    held: dict[str, list[Wallet]] = field(default_factory=dict)
    known: dict[str, KeptClaim] = field(default_factory=dict)
    moving: dict[str, Circumstances] = field(default_factory=dict)
    _issued: dict[str, NewClaim] = field(default_factory=dict)
    _claim_moves: dict[str, ClaimMove] = field(default_factory=dict)
    _started: dict[str, KeptMovement] = field(default_factory=dict)
    _asked_at: dict[str, datetime] = field(default_factory=dict)
    _ended: dict[str, Ending] = field(default_factory=dict)
    _redirects: list[Redirect] = field(default_factory=list)
    _retry: dict[str, datetime | None] = field(default_factory=dict)
    _opening: list[Opening] = field(default_factory=list)
    _companies: set[tuple[str, str, str]] = field(default_factory=set)
    _restricted: set[Restriction] = field(default_factory=set)
    _weighing: Weighing = field(init=False)

    def __post_init__(self) -> None:
        self._weighing = Weighing(self.books, self.uow.now)

    _stopping: list[Stopping] = field(default_factory=list)
    _claimed: list[tuple[Wallet, str, Circumstances]] = field(default_factory=list)

    async def load(self, owners: Collection[str], heirs: Collection[str] = ()) -> None:
        """Load the estates of these owners, whose money may come to `heirs`.

        Locks: wallets by account, claims by id, then of parties that money may come to the gates.
        """
        conn = self.uow.conn
        for wallet in await wallets.lock_owners(conn, owners):
            self.held.setdefault(wallet.owner, []).append(wallet)
        opened = await claims.open_of(conn, owners)
        moving = await claims.moving_of(conn, owners)
        led = await claims.led(conn, owners)
        companies = await claims.companies(conn, owners)
        contacts = {o.removeprefix(OF_CONTACT) for o in owners if o.startswith(OF_CONTACT)}
        shown = await parties.shown(conn, contacts) if contacts else frozenset()
        for owner in owners:
            held = self.held.get(owner, [])
            kept = opened.get(owner)
            if kept is not None:
                self.known[kept.claim.claim_id] = kept
            movement = moving.get(owner)
            to_owner, not_before = led.get(owner, (None, None))
            if movement is not None:
                self.moving[owner] = movement[1]
                self._asked_at[movement[0].movement_id] = movement[2]
            self.estates[owner] = Estate(
                owner=owner,
                balances={w.balance.currency.code: w.balance for w in held},
                companies=companies.get(owner, {}),
                programs=frozenset(wallet.program for wallet in held),
                claim=None if kept is None else kept.claim,
                movement=None if movement is None else movement[0],
                to_owner=to_owner,
                not_before=not_before,
                shown=owner.startswith(OF_CONTACT) and owner.removeprefix(OF_CONTACT) in shown,
            )
        weighed = await self._weighing.load(conn, list(self.estates.values()), heirs)
        self.estates.update(weighed)

    def weigh(self, owner: str, heir: str | None = None) -> None:
        """Ask anew about whom an owner's money may come to: its balance, or the `heir`, is another."""
        self.estates[owner] = self._weighing.weigh(self.estates[owner], heir)

    def tell_restricted(
        self,
        owner: str,
        tenant: str,
        amount: Money,
        told: Circumstances,
        *,
        pay_in_id: str | None = None,
        movement_id: str | None = None,
        agreement_id: str | None = None,
        reclaim_id: str | None = None,
    ) -> None:
        """Tell that money for this owner is restricted, where it is and its gate is closed."""
        closing = self._weighing.closing(owner, amount) if is_restricted(owner) else None
        if closing is None:
            return
        fact = ReceiptRestricted(
            who=told.who,
            where=told.where,
            why=told.why,
            occurred_at=self.uow.now,
            owner=receiver(owner),
            tenant=tenant,
            account=self.books.wallet(owner, amount.currency.code).id,
            amount=Amount.of(amount),
            pay_in_id=pay_in_id,
            movement_id=movement_id,
            agreement_id=agreement_id,
            reclaim_id=reclaim_id,
            code=closing.code,
            remedy=closing.remedy,
            must_act=closing.who_must_act.value,
            table=closing.ruling.table,
            version=closing.ruling.version,
        )
        self.uow.emit(fact, topic=CLAIMS_TOPIC, key=fact.owner, cause=told.cause)

    def tenant(self, owner: str) -> str:
        """The tree the money of this owner belongs to."""
        return self.held[owner][0].tenant

    def told(self, owner: str) -> Circumstances:
        """How the first money of this owner came."""
        return self.held[owner][0].told

    def take(self, change: Change, told: Circumstances) -> Fact | None:
        """Make a change: tell of each effect, ask the ledger; the first fact told, if any."""
        before = self.estates[change.estate.owner]
        self.estates[change.estate.owner] = change.estate
        if change.estate.not_before != before.not_before:
            self._retry[change.estate.owner] = change.estate.not_before
        first: Fact | None = None
        for effect in change.effects:
            fact = self._effect(before, change.estate, effect, told)
            first = first or fact
        return first

    def issue(self, kept: KeptClaim, company: str, told: Circumstances) -> None:
        """A new claim is to be entered."""
        self.known[kept.claim.claim_id] = kept
        self._issued[kept.claim.claim_id] = NewClaim(kept, company, told)

    def _effect(self, before: Estate, after: Estate, effect: Effect, told: Circumstances) -> Fact:
        owner = after.owner
        match effect:
            case ClaimMoved():
                return self._claim_moved(owner, before.movement or after.movement, effect, told)
            case Asked(movement):
                return self._asked(owner, movement, told)
            case Moved(movement):
                return self._moved(owner, movement, told)
            case Refused(movement, code):
                return self._refused(owner, movement, code, told)
            case _:
                assert_never(effect)

    def _claim_moved(
        self, owner: str, movement: Movement | None, effect: ClaimMoved, told: Circumstances
    ) -> ClaimChanged:
        claim = effect.claim
        kept = self.known[claim.claim_id]
        self.known[claim.claim_id] = replace(kept, claim=claim)
        before = self._claim_moves.get(claim.claim_id)
        previous = effect.previous if before is None else before.previous
        self._claim_moves[claim.claim_id] = ClaimMove(claim, previous, self._due_at(claim))
        fact = ClaimChanged(
            claim_id=claim.claim_id,
            owner=owner,
            tenant=kept.tenant,
            state=claim.state.value,
            previous=effect.previous.value,
            claimant=claim.claimant,
            journal_id=None if movement is None else postings.journal_id(movement),
            reason_code=effect.reason,
            who=told.who,
            why=told.why,
            occurred_at=self.uow.now,
        )
        self.uow.emit(fact, topic=CLAIMS_TOPIC, key=owner, cause=told.cause)
        return fact

    def _due_at(self, claim: Claim) -> datetime | None:
        if claim.state is not ClaimState.ISSUED:
            return None
        # Taken back after its time was over: tried again later, not at once.
        over = self.uow.now >= claim.expires_at
        return try_again_at(self.uow.now, claim.claim_id) if over else claim.expires_at

    def _asked(self, owner: str, movement: Movement, told: Circumstances) -> DesignationAsked:
        fact = DesignationAsked(
            **self._common(owner, movement, told), journal_id=postings.journal_id(movement)
        )
        self.uow.emit(fact, topic=CLAIMS_TOPIC, key=owner, cause=told.cause)
        kept = KeptMovement(
            movement, owner, self.tenant(owner), postings.journal_id(movement), told
        )
        self._started[movement.movement_id] = kept
        self._asked_at[movement.movement_id] = self.uow.now
        if is_claimable(movement.to_owner):
            self._open(owner, movement, told)
        if movement.amounts:
            journal = postings.journal(self.books, owner, movement, told, self.uow.now)
            self.uow.emit(journal, topic=LEDGER_TOPIC, key=journal.ledger, cause=told.cause)
        return fact

    def restrict(self, owner: str, tenant: str) -> None:
        """Note that an owner's money is restricted, if it is."""
        if is_restricted(owner):
            party_id = party_id_of(receiver(owner), self.books.tenant)
            self._restricted.add(Restriction(owner, tenant, party_id))

    def _open(self, owner: str, movement: Movement, told: Circumstances) -> None:
        """The new owner is unknown too: its wallets are to be there before the money is."""
        to_owner, tenant = movement.to_owner, self.tenant(owner)
        self.restrict(to_owner, tenant)
        for wallet in self.held[owner]:
            unit = wallet.balance.currency
            started = clocks.opened(
                account=self.books.wallet(to_owner, unit.code).id,
                tenant=tenant,
                owner=to_owner,
                unit=unit,
                told=told,
                # The holder is the same, and so is its jurisdiction where no payee is known.
                country=wallet.clock.jurisdiction,
                now=self.uow.now,
            )
            self._opening.append(Opening(started, told.cause))
        self._companies |= {
            (to_owner, company, tenant) for company in self.estates[owner].companies
        }

    def _moved(self, owner: str, movement: Movement, told: Circumstances) -> DesignationMoved:
        fact = DesignationMoved(
            **self._common(owner, movement, told),
            journal_id=postings.journal_id(movement),
            asked_at=self._asked_at[movement.movement_id],
        )
        self.uow.emit(fact, topic=CLAIMS_TOPIC, key=owner, cause=told.cause)
        self._ended[movement.movement_id] = Ending(movement.movement_id, "moved")
        for amount in movement.amounts:
            self.tell_restricted(
                movement.to_owner,
                self.tenant(owner),
                amount,
                told,
                movement_id=movement.movement_id,
            )
        if movement.reason not in BY_ITSELF:
            to_owner = receiver(movement.to_owner)
            self._redirects.append(
                Redirect(owner, self.tenant(owner), to_owner, movement.movement_id)
            )
            claimed = movement.reason is Reason.CLAIMED
            self._stopping += [
                Stopping(wallet, told.cause, by_owner=claimed) for wallet in self.held[owner]
            ]
            if claimed:
                self._claimed += [(wallet, to_owner, told) for wallet in self.held[owner]]
        return fact

    def _refused(
        self, owner: str, movement: Movement, code: str, told: Circumstances
    ) -> DesignationRefused:
        journal_id = postings.journal_id(movement)
        assert journal_id is not None, "only a journal is refused"
        fact = DesignationRefused(
            **self._common(owner, movement, told), journal_id=journal_id, code=code
        )
        self.uow.emit(fact, topic=CLAIMS_TOPIC, key=owner, cause=told.cause)
        self._ended[movement.movement_id] = Ending(movement.movement_id, "refused")
        return fact

    def _common(self, owner: str, movement: Movement, told: Circumstances) -> Mapping[str, object]:
        return {
            "who": told.who,
            "where": told.where,
            "why": told.why,
            "occurred_at": self.uow.now,
            "movement_id": movement.movement_id,
            "owner": owner,
            "to_owner": movement.to_owner,
            "tenant": self.tenant(owner),
            "reason_code": movement.reason.value,
            "amounts": tuple(Amount.of(amount) for amount in movement.amounts),
        }

    async def save(self) -> None:
        """Write what has changed: a constant number of statements, whatever it is."""
        conn, now = self.uow.conn, self.uow.now
        # What began in this unit is entered as it stands by its end.
        moves = [m for m in self._claim_moves.values() if m.claim.claim_id not in self._issued]
        if moves:
            await claims.move(conn, moves, now)
        if self._issued:
            issued = [
                replace(new, kept=self.known[claim_id]) for claim_id, new in self._issued.items()
            ]
            await claims.issue(conn, issued, now)
        ended = [e for e in self._ended.values() if e.movement_id not in self._started]
        if ended:
            await claims.end(conn, ended, now)
        if self._started:
            started = [
                replace(kept, state=self._ended[one].state) if one in self._ended else kept
                for one, kept in self._started.items()
            ]
            await claims.start(conn, started, now)
        if self._redirects:
            await claims.redirect(conn, self._redirects, now)
        await self._save_tries()
        await self._save_wallets()

    async def _save_tries(self) -> None:
        conn = self.uow.conn
        if self._restricted:
            await receipts.restrict(conn, self._restricted, self.uow.now)
        of_others = {owner: at for owner, at in self._retry.items() if not is_restricted(owner)}
        of_restricted = self._weighing.tries | {
            owner: at for owner, at in self._retry.items() if is_restricted(owner)
        }
        if of_others:
            await claims.retry(conn, of_others)
        if of_restricted:
            await receipts.set_due(conn, of_restricted)

    async def _save_wallets(self) -> None:
        if self._opening:
            opening = await holders.by_their_payees(self.uow, self._opening)
            await clocks.open_wallets(self.uow, opening)
        if self._companies:
            await wallets.add_companies(self.uow.conn, self._companies)
        if self._stopping:
            await clocks.stop(self.uow, self._stopping)
        if self._claimed:
            await reclaims.tell_found(self.uow, self._claimed)
