"""Asking a person for a code before money of theirs moves, and judging the code they give (F5).

The code leaves sealed, for whoever brings it to the person; here is only its keyed hash. A code has
40 random bits, and each challenge takes five attempts: to guess one is hopeless.
"""

import hmac
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tally_contracts.base import Who
from tally_contracts.gateway import STEP_UP_CODE, StepUpAlarmRaised, StepUpIssued
from tally_gateway.domain.step_up import (
    ATTEMPTS_MAX,
    ISSUED_MAX,
    LIFE,
    Bound,
    Challenge,
    State,
    decide,
)
from tally_gateway.errors import KINDS, Problem
from tally_gateway.sealers import Sealers
from tally_gateway.store import commands, contacts
from tally_gateway.store import step_up as store
from tally_messaging import Cause, UnitOfWork

HEADER: Final = "Tally-Step-Up"
TOPIC: Final = "gateway.step_up.v1"
CHALLENGE_PREFIX: Final = "chl"
CODE_CHARS: Final = 8
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: no letter that looks like a digit."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A code as it was given, and the challenge it was given for."""

    challenge_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Asks:
    """A request that a person has to confirm, with `once_reached` if a code can reach them.

    Without `key` it is a row of an import.
    """

    tenant: str
    principal: str
    actor: str
    key: str | None
    request_hash: bytes
    presented: Presented | None
    once_reached: bool
    command_type: str
    asked: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class StepUp:
    """Makes and judges challenges; `secret` keys the hashes of codes."""

    required: bool
    secret: bytes
    sealers: Sealers

    async def check(self, uow: UnitOfWork, asked: Mapping[int, Asks]) -> dict[int, Problem]:
        """Judge requests within one transaction; those that have no answer here may go on.

        One whose key was taken before goes on too: it is answered as it was then.
        """
        if self.required:
            asked = await _confirmable(uow, asked)
        if not self.required or not asked:
            return {}
        answers = {place: _single_only() for place, each in asked.items() if each.key is None}
        bounds = {
            place: Bound(each.principal, each.key, each.request_hash)
            for place, each in asked.items()
            if each.key is not None
        }
        given = {each.presented.challenge_id for each in asked.values() if each.presented}
        known = await store.lock(uow.conn, given) if given else {}
        # After the locks: whoever held one may have taken the key in the meantime.
        keys = [(bound.principal, bound.key) for bound in bounds.values()]
        taken = await commands.claimed(uow.conn, keys) if keys else {}
        fresh = {place: b for place, b in bounds.items() if (b.principal, b.key) not in taken}
        answers |= await self._judge(uow, asked, fresh, known)
        bare = {place: b for place, b in fresh.items() if asked[place].presented is None}
        return answers | (await self._ask(uow, asked, bare) if bare else {})

    async def _judge(
        self,
        uow: UnitOfWork,
        asked: Mapping[int, Asks],
        fresh: Mapping[int, Bound],
        known: Mapping[str, Challenge],
    ) -> dict[int, Problem]:
        answers: dict[int, Problem] = {}
        changed: list[Challenge] = []
        for place, bound in fresh.items():
            presented = asked[place].presented
            if presented is None:
                continue
            challenge = known.get(presented.challenge_id)
            is_right = challenge is not None and hmac.compare_digest(
                challenge.code_hash, self._hash(challenge.id, presented.code)
            )
            decision = decide(challenge, bound, is_right=is_right, now=uow.now)
            if decision.changed is not None:
                changed.append(decision.changed)
                if decision.changed.state is State.DEAD:
                    _alarm(uow, asked[place], decision.changed)
            if decision.code is not None:
                answers[place] = _refused(decision.code, decision.changed)
        if changed:
            await store.save(uow.conn, changed)
        return answers

    async def _ask(
        self, uow: UnitOfWork, asked: Mapping[int, Asks], bare: Mapping[int, Bound]
    ) -> dict[int, Problem]:
        since = uow.now - LIFE
        known = await store.still_open(uow.conn, list(bare.values()), since, uow.now)
        principals = {bound.principal for bound in bare.values()}
        counts = dict(await store.issued(uow.conn, principals, since))
        answers: dict[int, Problem] = {}
        made: list[Challenge] = []
        for place, bound in bare.items():
            challenge = known.get(bound)
            if challenge is None:
                count = counts[bound.principal] = counts.get(bound.principal, 0) + 1
                if count > ISSUED_MAX:
                    answers[place] = _too_many()
                    continue
                challenge = self._issue(uow, asked[place], bound)
                made.append(challenge)
            answers[place] = _wanted(challenge)
        if made:
            await store.insert(uow.conn, made, uow.now, uow.now + LIFE)
        return answers

    def _issue(self, uow: UnitOfWork, asks: Asks, bound: Bound) -> Challenge:
        challenge_id = uow.ids.new(CHALLENGE_PREFIX)
        code = "".join(_random_characters())
        sealed = self.sealers.for_directory(
            code, STEP_UP_CODE, tenant=asks.tenant, row=challenge_id
        )
        expires_at = uow.now + LIFE
        fact = StepUpIssued(
            challenge_id=challenge_id,
            party=asks.principal,
            tenant=asks.tenant,
            command_type=asks.command_type,
            asked=asks.asked,
            expires_at=expires_at,
            sealed_code=sealed,
            who=Who(actor=asks.actor, principal=asks.principal),
            occurred_at=uow.now,
        )
        uow.emit(fact, topic=TOPIC, key=asks.principal, cause=_cause(asks), subject=challenge_id)
        return Challenge(
            id=challenge_id,
            tenant=asks.tenant,
            bound=bound,
            code_hash=self._hash(challenge_id, code),
            state=State.OPEN,
            attempts=0,
            issued_at=uow.now,
            expires_at=expires_at,
        )

    def _hash(self, challenge_id: str, code: str) -> bytes:
        said = f"{TOPIC}\n{challenge_id}\n{code.upper()}".encode()
        return hmac.digest(self.secret, said, "sha256")


def _random_characters() -> Iterator[str]:
    for _ in range(CODE_CHARS):
        yield secrets.choice(_ALPHABET)


def _cause(asks: Asks) -> Cause:
    return Cause(correlation_id=asks.correlation_id, actor=asks.actor)


def _alarm(uow: UnitOfWork, asks: Asks, challenge: Challenge) -> None:
    fact = StepUpAlarmRaised(
        challenge_id=challenge.id,
        party=asks.principal,
        tenant=asks.tenant,
        command_type=asks.command_type,
        asked=asks.asked,
        code="attempts_used_up",
        who=Who(actor=asks.actor, principal=asks.principal),
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=TOPIC, key=asks.principal, cause=_cause(asks), subject=challenge.id)


async def _confirmable(uow: UnitOfWork, asked: Mapping[int, Asks]) -> Mapping[int, Asks]:
    """The requests less those that need no code as long as none can reach the person."""
    unsure = {each.principal for each in asked.values() if each.once_reached}
    reached = await contacts.reached(uow.conn, unsure) if unsure else frozenset()
    return {
        place: each
        for place, each in asked.items()
        if not each.once_reached or each.principal in reached
    }


def _wanted(challenge: Challenge) -> Problem:
    return Problem(
        "step_up_required",
        "A person confirms this with a code that is sent to them; nothing was done yet.",
        pointer=HEADER,
        extra={
            "challenge": challenge.id,
            "expires_at": challenge.expires_at.isoformat().replace("+00:00", "Z"),
        },
    )


def _single_only() -> Problem:
    return Problem(
        "step_up_required",
        "A person confirms this with a code for each request, and a row of an import has none.",
        pointer=HEADER,
        remedy="Send it as a request of its own.",
    )


def _too_many() -> Problem:
    return Problem(
        "step_up_too_many",
        f"In ten minutes a person is sent {ISSUED_MAX} codes at most.",
        pointer=HEADER,
        headers={"Retry-After": str(int(LIFE.total_seconds()))},
    )


def _refused(code: str, challenge: Challenge | None) -> Problem:
    detail = KINDS[code].title + "; nothing was done."
    if code == "step_up_wrong" and challenge is not None:
        detail = f"The code is wrong; nothing was done. Attempts left: {ATTEMPTS_MAX - challenge.attempts}."
    return Problem(code, detail, pointer=HEADER)
