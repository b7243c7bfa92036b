"""Taking commands in: many requests become one transaction, and each gets an answer of its own.

Load what the requests are about, decide who may ask what, take their Idempotency-Keys, keep the
commands and put them into the outbox: a constant number of statements for however many there are.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ValidationError

from tally_contracts.base import Event
from tally_gateway.credentials import Caller
from tally_gateway.domain.access import (
    OPERATOR,
    Access,
    Thing,
    World,
    reaches,
    reaches_thing,
)
from tally_gateway.errors import FieldError, Problem, not_found
from tally_gateway.problems import field_errors
from tally_gateway.routes.model import OPERATOR_TENANT, About, Asked, CommandRoute
from tally_gateway.sealers import Sealers
from tally_gateway.step_up import Asks, Presented, StepUp
from tally_gateway.store import EVERY_TENANT, commands, scoped, tree
from tally_gateway.store.commands import Claim, Command
from tally_messaging import Cause, UnitOfWork
from tally_postgres import Connection
from tally_security.internal import Persona
from tally_security.sealing import SealingError

COMMAND_PREFIX = "cmd"
_PARTY = re.compile(r"party_[0-9a-hjkmnp-tv-z]{26}")
_SAID = ("to_wallet", "instrument", "wallet")
"""Where money goes, or comes from: the first of these is told to the person who confirms."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command somebody asks for. Without `key` it is remembered by the caller of `take_in`."""

    route: CommandRoute
    caller: Caller
    body: BaseModel
    path: Mapping[str, str]
    correlation_id: str
    key: str | None = None
    request_hash: bytes = b""
    presented: Presented | None = None

    def named(self, about: About) -> str | None:
        """The id a field of the path or body names, if any and if it is asked about."""
        if about.unless is not None and getattr(self.body, about.unless, None) is not None:
            return None
        if about.field in self.path:
            return self.path[about.field]
        value = getattr(self.body, about.field, None)
        return value if isinstance(value, str) else None

    def names(self) -> list[tuple[str, str]]:
        """Places and ids of parties that have to be there."""
        return [one for one in self.route.names(self.body) if _PARTY.fullmatch(one[1])]


@dataclass(frozen=True, slots=True)
class Taken:
    """A command that was taken in, now or, when `repeated`, with the same key before."""

    command: Command
    repeated: bool = False


@dataclass(slots=True)
class _Built:
    """A command ready to be emitted, and the thing it makes, if it makes one."""

    request: Request
    event: Event
    command_id: str
    subject: str
    tenant: str
    thing: Thing | None


@dataclass(frozen=True, slots=True)
class Intake:
    """How requests become commands in this installation."""

    sealers: Sealers
    ledger: str
    step_up: StepUp

    async def take_in(self, uow: UnitOfWork, requests: Sequence[Request]) -> list[Taken | Problem]:
        """Take requests in within one transaction; the answers are in their order."""
        conn = await scoped(uow.conn, EVERY_TENANT)
        world = await load_world(conn, requests)
        twins = _twins(requests)
        answers: dict[int, Taken | Problem] = {}
        built: dict[int, _Built] = {}
        for place, request in enumerate(requests):
            if place not in twins:
                try:
                    built[place] = self._build(uow, request, world)
                except Problem as problem:
                    answers[place] = problem
        guarded = {place: _asks(each) for place, each in built.items() if _is_guarded(each.request)}
        answers |= await self.step_up.check(uow, guarded)
        may_go_on = {place: each for place, each in built.items() if place not in answers}
        answers |= await _claim(uow, may_go_on)
        fresh = {place: each for place, each in built.items() if place not in answers}
        kept = [_emitted(uow, each) for each in fresh.values()]
        if kept:
            await commands.insert(conn, kept, uow.now)
            things = [each.thing for each in fresh.values() if each.thing is not None]
            if things:
                await tree.save_things(conn, things)
        answers |= {place: Taken(each) for place, each in zip(fresh, kept, strict=True)}
        for place, first in twins.items():
            answers[place] = _as_repeated(requests[place], requests[first], answers[first])
        return [answers[place] for place in range(len(requests))]

    def _build(self, uow: UnitOfWork, request: Request, world: World) -> _Built:
        route = request.route
        check_access(request, world)
        _check_names(request, world)
        made = {name: uow.ids.new(prefix) for name, prefix in route.makes.items()}
        tenant = _tenant(request, world, made)
        command_id = uow.ids.new(COMMAND_PREFIX)
        asked = Asked(
            body=request.body,
            path=request.path,
            caller=request.caller,
            world=world,
            made=made,
            tenant=tenant,
            now=uow.now,
            sealers=self.sealers,
            ledger=self.ledger,
        )
        try:
            event = route.command_of(asked, command_id)
        except ValidationError as error:
            raise Problem(
                "invalid_request", "Fields of the request are wrong.", errors=field_errors(error)
            ) from None
        except SealingError as error:
            raise Problem(
                "invalid_request", str(error), problem_code=error.code, remedy="Shorten the text."
            ) from None
        if len(event.model_dump_json()) > uow.max_payload_bytes:
            raise Problem("body_too_large", "The command would not fit into a record.")
        subject = str(getattr(event, route.subject))
        return _Built(
            request, event, command_id, subject, tenant, _thing(request, made, tenant, world)
        )


def _is_guarded(request: Request) -> bool:
    """Whether a person has to confirm it: one who acts for themselves, and money of theirs may move."""
    return request.route.step_up and request.caller.persona is Persona.PAYEE


def _asks(built: _Built) -> Asks:
    request = built.request
    amount = getattr(request.body, "amount", None)
    named = (getattr(request.body, field, None) for field in _SAID)
    what = next(filter(None, named), built.subject)
    if amount is not None:
        what = f"{amount.amount} {amount.currency}, {what}"
    return Asks(
        tenant=row_tenant(request.caller),
        principal=request.caller.party,
        actor=request.caller.actor,
        key=request.key,
        request_hash=request.request_hash,
        presented=request.presented,
        once_reached=request.route.once_reached,
        command_type=built.event.TYPE,
        asked=f"{request.route.summary}: {what}",
        correlation_id=request.correlation_id,
    )


def _twins(requests: Sequence[Request]) -> dict[int, int]:
    """Requests whose key an earlier one of the same batch has, and the place of that one."""
    first: dict[tuple[str, str], int] = {}
    twins: dict[int, int] = {}
    for place, request in enumerate(requests):
        if request.key is not None:
            earlier = first.setdefault((request.caller.party, request.key), place)
            if earlier != place:
                twins[place] = earlier
    return twins


def _as_repeated(request: Request, first: Request, answer: Taken | Problem) -> Taken | Problem:
    if request.request_hash != first.request_hash:
        return Problem("idempotency_key_reused", "The key came before with another request.")
    return replace(answer, repeated=True) if isinstance(answer, Taken) else answer


async def _claim(uow: UnitOfWork, built: Mapping[int, _Built]) -> dict[int, Taken | Problem]:
    """Take the keys; the answers of those whose key was taken earlier."""
    claims = {
        place: _claim_of(each, each.request.key)
        for place, each in built.items()
        if each.request.key is not None
    }
    if not claims:
        return {}
    taken = await commands.claim(uow.conn, list(claims.values()), uow.now)
    again = {
        place: claim for place, claim in claims.items() if (claim.principal, claim.key) not in taken
    }
    if not again:
        return {}
    known = await commands.claimed(uow.conn, [(c.principal, c.key) for c in again.values()])
    before = await commands.find(uow.conn, {claim.made for claim in known.values()})
    return {
        place: _answer_again(claim, known[claim.principal, claim.key], before)
        for place, claim in again.items()
    }


def _answer_again(claim: Claim, known: Claim, before: Mapping[str, Command]) -> Taken | Problem:
    if claim.request_hash != known.request_hash:
        return Problem("idempotency_key_reused", "The key came before with another request.")
    # The hash holds the address too: what one request made, its repetition finds.
    return Taken(before[known.made], repeated=True)


def check_access(request: Request, world: World) -> None:
    """Raise a problem unless the principal reaches everything the request is about.

    It is `not_found`, or `mandate_missing` where the principal may manage the owner but not speak for it.
    """
    principal = request.caller.party
    if request.route.operator_only and principal != OPERATOR:
        raise Problem("scope_missing", "Only the operator of the installation may do this.")
    for about in request.route.about:
        named = request.named(about)
        if named is None or (about.by_operator and principal == OPERATOR):
            continue
        within = reaches_thing if about.is_thing else reaches
        if within(world, principal, named, about.access):
            continue
        if within(world, principal, named, Access.MANAGE):
            if about.access is Access.DEBIT:
                raise _mandate_missing(about.field)
            if about.access is Access.OWN_WORD:
                raise _not_its_own_word(about.field)
        raise not_found(f"/{about.field}")


def _check_names(request: Request, world: World) -> None:
    """Raise a problem where a party is named that is not there: money or a say of its would be nobody's.

    To the one that registers it a party is there from that command on, before any fact comes.
    """
    unknown = [
        (place, named)
        for place, named in request.names()
        if named not in world.nodes and (request.caller.party, named) not in world.coming
    ]
    if unknown:
        remedy = "Register the party first, or correct the id."
        raise Problem(
            "command_refused",
            f"There is no party {unknown[0][1]}.",
            problem_code="unknown_party",
            pointer=unknown[0][0],
            remedy=remedy,
            errors=tuple(
                FieldError(place, "unknown_party", f"There is no party {named}.", remedy)
                for place, named in unknown
            ),
        )


def _mandate_missing(field: str) -> Problem:
    return Problem(
        "scope_missing",
        "Money leaves a wallet by its owner's word alone, and the owner has given you none.",
        problem_code="mandate_missing",
        pointer=f"/{field}",
        remedy="Have the owner ask for this, or accept a connection from your party with access manage.",
    )


def _not_its_own_word(field: str) -> Problem:
    return Problem(
        "scope_missing",
        "This is the party's own word, and nobody gives it for the party.",
        problem_code="mandate_missing",
        pointer=f"/{field}",
        remedy="Ask with credentials of the party itself.",
    )


async def load_world(conn: Connection, requests: Sequence[Request]) -> World:
    """What the requests name, and how their principals reach it."""
    asked = {
        (about.is_thing, named)
        for request in requests
        for about in request.route.about
        if (named := request.named(about)) is not None
    }
    owners = {named for request in requests for named in _owner_ids(request)}
    things = await tree.things(conn, {named for is_thing, named in asked if is_thing} | owners)
    parties = {named for is_thing, named in asked if not is_thing}
    parties |= {party for thing in things.values() for party in thing.parties}
    have_to_be = {named for request in requests for _, named in request.names()}
    parties |= have_to_be
    principals = {request.caller.party for request in requests} - {OPERATOR}
    nodes = await tree.nodes(conn, parties | principals)
    beyond = [node.party for node in nodes.values() if principals != {node.party}]
    granted = await tree.connections(conn, principals, beyond)
    coming = await commands.registering(conn, have_to_be - nodes.keys())
    return World(nodes, things, granted, coming)


def _tenant(request: Request, world: World, made: Mapping[str, str]) -> str:
    """Whose tree the command is about: the caller's own, or for the operator that of what it names."""
    if not request.caller.is_operator:
        return request.caller.tenant
    for about in request.route.about:
        named = request.named(about)
        if named is None:
            continue
        found = world.things.get(named) if about.is_thing else world.nodes.get(named)
        if found is not None:
            return found.tenant
    # A root is its own tenant.
    return made.get("party_id", OPERATOR_TENANT)


def _thing(request: Request, made: Mapping[str, str], tenant: str, world: World) -> Thing | None:
    """The thing a command makes, so that its maker can go on with it before any fact comes."""
    route = request.route
    thing_id = made.get(route.subject) or next(iter(made.values()), None)
    if thing_id is None or not route.owners:
        return None
    parties: set[str] = set()
    for name in _owner_ids(request):
        thing = world.things.get(name)
        parties |= set(thing.parties) if thing is not None else {name}
    return Thing(thing_id, tenant, tuple(sorted(parties)))


def _owner_ids(request: Request) -> Iterator[str]:
    for field_path in request.route.owners:
        head, _, rest = field_path.partition(".")
        value = request.path.get(head) or getattr(request.body, head, None)
        if rest:
            value = getattr(value, rest, None)
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from value


def row_tenant(caller: Caller) -> str:
    """The tenant that rows of a caller's own doing belong to."""
    return OPERATOR_TENANT if caller.is_operator else caller.tenant


def _claim_of(built: _Built, key: str) -> Claim:
    request = built.request
    return Claim(
        row_tenant(request.caller),
        request.caller.party,
        key,
        request.request_hash,
        built.command_id,
    )


def _emitted(uow: UnitOfWork, built: _Built) -> Command:
    """Put a command into the outbox; the row that remembers it."""
    request = built.request
    event_id = uow.emit(
        built.event,
        topic=request.route.topic,
        key=request.route.key(built.event),
        cause=Cause(correlation_id=request.correlation_id, actor=request.caller.actor),
        subject=built.subject,
    )
    return Command(
        id=built.command_id,
        event_id=uuid.UUID(event_id),
        tenant=row_tenant(request.caller),
        principal=request.caller.party,
        actor=request.caller.actor,
        type=built.event.TYPE,
        subject=built.subject,
        correlation_id=request.correlation_id,
        state="accepted",
        accepted_at=uow.now,
    )
