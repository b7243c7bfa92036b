"""Use cases of companies and claimants: a code is made, redeemed, or another owner named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tally_contracts.base import Event
from tally_contracts.funding_claims import (
    ClaimAlarmRaised,
    ClaimIssued,
    ClaimRefused,
    IssueClaim,
    RedeemClaim,
    Redesignate,
)
from tally_funding.answers.book import AnswerBook, Seen, reused
from tally_funding.answers.refusal import Refusal
from tally_funding.answers.store import for_every_tenant
from tally_funding.claims import codes
from tally_funding.claims.batch import Batch
from tally_funding.claims.domain.estate import is_claimable, is_restricted
from tally_funding.claims.domain.orders import (
    ALARMING,
    Claimant,
    Issue,
    Redesignation,
    decide_issue,
    decide_redeem,
    decide_redesignation,
    party_unknown,
)
from tally_funding.claims.store import claims
from tally_funding.claims.store.claims import KeptClaim
from tally_funding.claims.store.wallets import Circumstances
from tally_funding.claims.topics import CLAIMS_TOPIC
from tally_funding.parties import store as parties
from tally_funding.postings import Books
from tally_messaging import Cause, Received, UnitOfWork
from tally_runtime import get_logger
from tally_security.sealing import SealingKey

_LOG = get_logger("tally_funding.claims")

Command = IssueClaim | RedeemClaim | Redesignate


@dataclass(frozen=True, slots=True)
class Claims:
    """What the use cases work by: whose books, and the key that codes leave under."""

    books: Books
    key: SealingKey


@dataclass(frozen=True, slots=True)
class _People:
    """The parties that a batch of commands names."""

    places: Mapping[str, parties.Place]
    contacts: Mapping[str, frozenset[str]]

    def claimant(self, party: str) -> Claimant:
        return Claimant(
            party, registered=party in self.places, contacts=self.contacts.get(party, frozenset())
        )


async def order(uow: UnitOfWork, service: Claims, messages: Sequence[Received[Command]]) -> None:
    """Carry out commands about unclaimed money, each to one fact at least.

    The same command id gets the same answer; with other content it is refused and the first stands.
    """
    await for_every_tenant(uow.conn)
    book = await AnswerBook.open(uow, CLAIMS_TOPIC, {_id(m.event) for m in messages})
    batch = Batch(uow, service.books)
    people = await _load(batch, [message.event for message in messages])
    for message in messages:
        command, command_id = message.event, _id(message.event)
        seen = book.look_up(command_id, message)
        if seen is Seen.AGAIN:
            continue
        outcome = (
            reused(command_id)
            if seen is Seen.OTHER
            else _carry_out(service, batch, people, command, message.cause)
        )
        fact = (
            _refuse(batch, command, command_id, outcome, message.cause)
            if isinstance(outcome, Refusal)
            else outcome
        )
        if seen is Seen.NEVER:
            key, tenant = _key(batch, command), _tenant(batch, command)
            book.keep(command_id, command, fact, key=key, tenant=tenant)
    await batch.save()
    await book.save()


async def _load(batch: Batch, commands: Sequence[Command]) -> _People:
    """All that the commands touch, in a constant number of statements."""
    conn = batch.uow.conn
    redeemed = {c.claim_id for c in commands if isinstance(c, RedeemClaim)}
    owners = {c.owner for c in commands if not isinstance(c, RedeemClaim)}
    owners |= {c.to_owner for c in commands if isinstance(c, Redesignate)}
    # Read twice: first for the owners, then, with their wallets locked, as they stand.
    if redeemed:
        owners |= {kept.owner for kept in (await claims.by_id(conn, redeemed)).values()}
    named = {c.who.principal for c in commands if isinstance(c, RedeemClaim)}
    named |= {c.to_owner for c in commands if isinstance(c, Redesignate)}
    await batch.load(owners, heirs=named)
    issued = {c.claim_id for c in commands if isinstance(c, IssueClaim)}
    if redeemed | issued:
        batch.known |= await claims.by_id(conn, redeemed | issued)
    named |= {c.who.principal for c in commands}
    named |= {c.expires_to for c in commands if isinstance(c, IssueClaim) and c.expires_to}
    return _People(await parties.places(conn, named), await parties.verified_contacts(conn, named))


def _id(command: Command) -> str:
    return command.claim_id if isinstance(command, IssueClaim) else command.command_id


def _carry_out(
    service: Claims, batch: Batch, people: _People, command: Command, cause: Cause
) -> Event | Refusal:
    match command:
        case IssueClaim():
            return _issue(service, batch, people, command, cause)
        case RedeemClaim():
            return _redeem(batch, people, command, cause)
        case Redesignate():
            return _redesignate(batch, people, command, cause)


def _issue(
    service: Claims, batch: Batch, people: _People, command: IssueClaim, cause: Cause
) -> Event | Refusal:
    uow, owner = batch.uow, command.owner
    asked = Issue(
        by=command.who.principal,
        program=command.why.program,
        claim_id=command.claim_id,
        contact=command.contact,
        expires_at=command.expires_at,
        expires_to=command.expires_to,
        expires_to_known=command.expires_to in people.places,
    )
    change = decide_issue(batch.estates[owner], asked, uow.now)
    if isinstance(change, Refusal):
        return change
    if command.claim_id in batch.known:
        return reused(command.claim_id)
    tenant = batch.tenant(owner)
    if command.tenant != tenant:
        return _other_tenant(owner)
    told = _told(batch, owner, command, cause)
    claim = change.estate.claim
    assert claim is not None, "an issue leads to a claim"
    code = codes.make(service.key, tenant=tenant, claim_id=claim.claim_id)
    fact = ClaimIssued(
        claim_id=claim.claim_id,
        owner=owner,
        tenant=tenant,
        contact=claim.contact,
        expires_at=claim.expires_at,
        expires_to=claim.expires_to,
        sealed_code=code.sealed,
        who=command.who,
        why=command.why,
        occurred_at=uow.now,
    )
    # First the outcome, then the end of the code before.
    uow.emit(fact, topic=CLAIMS_TOPIC, key=owner, cause=cause)
    batch.take(change, told)
    batch.issue(KeptClaim(claim, tenant, owner, code.hash), command.who.principal, told)
    return fact


def _redeem(batch: Batch, people: _People, command: RedeemClaim, cause: Cause) -> Event | Refusal:
    kept = batch.known.get(command.claim_id)
    if kept is None:
        return Refusal(
            "claim_unknown",
            "/claim_id",
            f"there is no claim {command.claim_id}",
            "use the link as it was delivered",
        )
    batch.weigh(kept.owner, command.who.principal)
    change = decide_redeem(
        batch.estates[kept.owner],
        kept.claim,
        people.claimant(command.who.principal),
        code_right=codes.is_right(command.code_hash, kept.code_hash),
        movement_id=batch.uow.ids.new("mov"),
        now=batch.uow.now,
    )
    if isinstance(change, Refusal):
        return change
    fact = batch.take(change, _told(batch, kept.owner, command, cause))
    assert fact is not None, "a redemption is told"
    return fact


def _redesignate(
    batch: Batch, people: _People, command: Redesignate, cause: Cause
) -> Event | Refusal:
    new = batch.estates[command.to_owner]
    if is_restricted(command.to_owner):
        return party_unknown("/to_owner", command.to_owner)
    asked = Redesignation(
        by=command.who.principal,
        program=command.why.program,
        # Straight to the end: an owner that was redirected leads on.
        to_owner=new.to_owner or command.to_owner,
        known=new.to_owner is not None or command.to_owner in people.places,
        movement_id=batch.uow.ids.new("mov"),
    )
    if not is_claimable(asked.to_owner):
        batch.weigh(command.owner, asked.to_owner)
    change = decide_redesignation(batch.estates[command.owner], asked)
    if isinstance(change, Refusal):
        return change
    if command.tenant != batch.tenant(command.owner):
        return _other_tenant(command.owner)
    if new.movement is not None:
        return Refusal(
            "movement_under_way",
            "/to_owner",
            f"the money of {command.to_owner} is on its way to another owner",
            "wait until it is there, then order again under a new id",
        )
    fact = batch.take(change, _told(batch, command.owner, command, cause))
    assert fact is not None, "a re-designation is told"
    return fact


def _told(batch: Batch, owner: str, command: Command, cause: Cause) -> Circumstances:
    return replace(batch.told(owner), who=command.who, why=command.why, cause=cause)


def _tenant(batch: Batch, command: Command) -> str:
    if not isinstance(command, RedeemClaim):
        return command.tenant
    kept = batch.known.get(command.claim_id)
    return command.who.principal if kept is None else kept.tenant


def _owner(batch: Batch, command: Command) -> str | None:
    if not isinstance(command, RedeemClaim):
        return command.owner
    kept = batch.known.get(command.claim_id)
    return None if kept is None else kept.owner


def _key(batch: Batch, command: Command) -> str:
    return _owner(batch, command) or _id(command)


def _refuse(
    batch: Batch, command: Command, command_id: str, refusal: Refusal, cause: Cause
) -> ClaimRefused:
    """Tell of the refusal; raise an alarm where somebody tried what was not theirs."""
    uow, owner = batch.uow, _owner(batch, command)
    fact = ClaimRefused(
        command_type=command.TYPE,
        subject=command_id,
        owner=owner,
        tenant=_tenant(batch, command),
        code=refusal.code,
        field=refusal.field,
        detail=refusal.detail,
        remedy=refusal.remedy,
        who=command.who,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=CLAIMS_TOPIC, key=_key(batch, command), cause=cause)
    alarming = isinstance(command, RedeemClaim) and refusal.code in ALARMING
    _LOG.info("claim_command_refused", command_id=command_id, code=refusal.code, alarm=alarming)
    if isinstance(command, RedeemClaim) and alarming and owner is not None:
        alarm = ClaimAlarmRaised(
            claim_id=command.claim_id,
            owner=owner,
            tenant=fact.tenant,
            attempted_by=command.who.principal,
            code=refusal.code,
            who=command.who,
            occurred_at=uow.now,
        )
        uow.emit(alarm, topic=CLAIMS_TOPIC, key=owner, cause=cause)
    return fact


def _other_tenant(owner: str) -> Refusal:
    return Refusal(
        "tenant_mismatch",
        "/tenant",
        f"the money for {owner} belongs to another tree",
        "name the root of the tree the company is in",
    )
