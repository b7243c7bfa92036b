"""Who calls: API keys and OAuth clients, made, rotated, revoked and recognised."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from tally_gateway.domain.access import OPERATOR
from tally_gateway.domain.rate import MICROSECONDS, Pace, Purse, seconds
from tally_gateway.errors import FieldError, Problem, not_found
from tally_gateway.store import EVERY_TENANT, scoped
from tally_gateway.store import credentials as store
from tally_gateway.store.credentials import Credential
from tally_postgres import Connection, Pool, in_transaction
from tally_runtime import Clock, Ids
from tally_security.api_keys import ApiKey, ApiKeyMalformed
from tally_security.internal import Persona
from tally_security.tokens import TokenExpired, TokenRefused, Tokens

API_KEY, OAUTH_CLIENT = "api_key", "oauth_client"
PREFIXES: Final[Mapping[str, str]] = {API_KEY: "key", OAUTH_CLIENT: "client"}
TOKEN_LIFE: Final = timedelta(minutes=10)
ROTATION_OVERLAP_MAX: Final = timedelta(days=30)
CACHE_S: Final = 2.0
_CACHED_MAX: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BY_KIND: Final[Mapping[str, Persona]] = {
    "aggregator": Persona.AGGREGATOR,
    "company": Persona.COMPANY,
    "partner": Persona.PARTNER,
    "payee": Persona.PAYEE,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, for which party, in which tenant, as what, and what the credentials allow."""

    credential_id: str
    actor: str
    party: str
    tenant: str
    persona: Persona
    scopes: frozenset[str]

    @property
    def is_operator(self) -> bool:
        return self.party == OPERATOR

    def need(self, scope: str) -> None:
        """Raise the problem `scope_missing` unless the credentials have this scope."""
        if scope not in self.scopes:
            raise Problem("scope_missing", f"This needs the scope {scope}.")


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a credential shall be; `expires_at` None: it lasts until it is revoked."""

    kind: str
    party: str
    tenant: str
    label: str
    scopes: frozenset[str]
    created_by: str
    requests_per_minute: int
    expires_at: datetime | None = None
    actor: str | None = None


@dataclass(slots=True)
class _Known:
    """A credential as it was read, the moment it has to be read again, and what it may still ask."""

    credential: Credential
    party_kind: str | None
    merged: bool
    until_s: float
    purse: Purse = field(default_factory=Purse)


@dataclass(slots=True)
class Credentials:
    """Recognises callers.

    What it read of a credential holds for two seconds, so a revocation made by another replica, or a
    merge of its party, takes effect that much later. The limit of requests counts in all replicas together: each draws blocks.
    However many requests wait for the same credential, it is read once.
    """

    pool: Pool
    clock: Clock
    ids: Ids
    tokens: Tokens
    _known: dict[str, _Known] = field(default_factory=dict)
    _reading: "dict[str, asyncio.Task[bool]]" = field(default_factory=dict)

    async def recognise(self, authorization: str | None) -> tuple[Caller, Pace]:
        """The caller of a request by its Authorization header; raises a Problem for anybody else."""
        scheme, _, bearer = (authorization or "").partition(" ")
        if not authorization:
            raise _unauthorised("credentials_missing", "No Authorization header was sent.")
        if scheme.lower() != "bearer":
            raise _unauthorised("credentials_invalid", "The scheme of Authorization is not Bearer.")
        if bearer.startswith("tk_"):
            known = await self._by_key(bearer, API_KEY)
            scopes = known.credential.scopes
        else:
            known, scopes = await self._by_token(bearer)
        pace = await self._count(known.credential.id)
        return _caller(known, scopes), pace

    async def token_for(
        self, client_id: str, client_secret: str, asked: frozenset[str] | None
    ) -> tuple[str, frozenset[str]]:
        """An access token for a client and the scopes it has; without `asked`, all the client's."""
        known = await self._by_key(client_secret, OAUTH_CLIENT)
        if known.credential.id != client_id:
            raise _unauthorised("credentials_invalid", "The client is not known by this secret.")
        await self._count(known.credential.id)
        scopes = known.credential.scopes if asked is None else asked
        if not scopes <= known.credential.scopes:
            more = " ".join(sorted(scopes - known.credential.scopes))
            raise Problem("scope_missing", f"The client has not been given: {more}.")
        now = self.clock.now()
        token = self.tokens.issue(
            client_id, scopes, now=now, life=TOKEN_LIFE, jti=self.ids.new("token")
        )
        return token, scopes

    async def rotate(
        self, conn: Connection, old: Credential, overlap: timedelta, caller: Caller, now: datetime
    ) -> tuple[Credential, str]:
        """A second live key for the same party and scopes; the old one ends after `overlap`."""
        if not old.is_live(now):
            raise Problem(
                "invalid_request",
                "The credential has ended.",
                problem_code="credential_ended",
                remedy="Make a new one.",
            )
        new, text = make(
            self.ids,
            NewCredential(
                kind=old.kind,
                party=old.party,
                tenant=old.tenant,
                label=old.label,
                scopes=old.scopes,
                created_by=caller.actor,
                requests_per_minute=old.requests_per_minute,
                actor=None if old.actor == old.id else old.actor,
            ),
            now,
        )
        await store.insert(conn, new)
        await store.end(conn, old.id, now + overlap)
        return new, text

    def forget(self, credential_id: str) -> None:
        """Read a credential again when it is next used: its change has been committed.

        What is being read of it may be of before: nobody learns that.
        """
        self._known.pop(credential_id, None)
        self._reading.pop(credential_id, None)

    async def _by_key(self, text: str, kind: str) -> _Known:
        try:
            key = ApiKey.parse(text)
        except ApiKeyMalformed as error:
            raise _unauthorised("credentials_invalid", str(error)) from None
        known = await self._read(f"{PREFIXES[kind]}_{key.id}")
        if known is None or not key.matches(known.credential.digest):
            raise _unauthorised("credentials_invalid", "No live credential is known by this key.")
        return _unmerged(known)

    async def _by_token(self, text: str) -> tuple[_Known, frozenset[str]]:
        try:
            token = self.tokens.read(text, now=self.clock.now())
        except TokenExpired:
            raise _unauthorised("credentials_invalid", "The access token has expired.") from None
        except TokenRefused:
            raise _unauthorised(
                "credentials_invalid", "The access token is none of ours."
            ) from None
        known = await self._read(token.client_id)
        if known is None or known.credential.kind != OAUTH_CLIENT:
            raise _unauthorised("credentials_invalid", "The token's client has ended.")
        return _unmerged(known), token.scopes & known.credential.scopes

    async def _read(self, credential_id: str) -> _Known | None:
        """A live credential, read at most two seconds ago."""
        known = self._fresh(credential_id)
        if known is None:
            await self._refresh(credential_id)
            known = self._known.get(credential_id)
        if known is None or not known.credential.is_live(self.clock.now()):
            return None
        return known

    def _fresh(self, credential_id: str) -> _Known | None:
        known = self._known.get(credential_id)
        return known if known is not None and self.clock.monotonic() < known.until_s else None

    async def _count(self, credential_id: str) -> Pace:
        """Take one request from what the credential may ask; raises `rate_limited` without one."""
        while True:
            known = self._fresh(credential_id)
            now_us = self._counter_us()
            if known is not None:
                purse = known.purse
                if purse.held:
                    purse.held -= 1
                    remaining = purse.held + purse.left
                    return Pace(
                        known.credential.requests_per_minute,
                        remaining,
                        seconds(purse.full_at_us - now_us),
                    )
                if now_us < purse.none_until_us:
                    raise _exceeded(known, now_us)
            await self._refresh(credential_id, draws=True)
            if credential_id not in self._known:
                raise _unauthorised("credentials_invalid", "The credentials have ended.")

    async def _refresh(self, credential_id: str, *, draws: bool = False) -> None:
        """Read a credential, and draw a block of requests; together with whoever does so already."""
        is_read = False
        while not is_read:
            reading = self._reading.get(credential_id)
            if reading is None:
                reading = asyncio.create_task(self._read_alone(credential_id, draws=draws))
                self._reading[credential_id] = reading
            # One request that is given up ends nobody else's reading.
            is_read = await asyncio.shield(reading)

    async def _read_alone(self, credential_id: str, *, draws: bool) -> bool:
        """Whether what was read holds: it does not if the credential changed in the meantime."""
        try:
            known = await self._read_again(credential_id, draws=draws)
            holds = self._reading.get(credential_id) is asyncio.current_task()
            if holds:
                self._keep(credential_id, known)
            return holds
        finally:
            # Before it ends: who found a reading that is over would wait for nothing, again and again.
            if self._reading.get(credential_id) is asyncio.current_task():
                del self._reading[credential_id]

    async def _read_again(self, credential_id: str, *, draws: bool) -> _Known | None:
        before = self._known.get(credential_id)
        # A credential in use draws with each reading; with another's secret nothing can be drawn.
        draws = draws or (before is not None and before.purse.held > 0)
        held = 0 if before is None else before.purse.held
        now = self.clock.now()
        now_us = (now - _EPOCH) // _MICROSECOND
        at_s, offset_us = self.clock.monotonic(), self._counter_us() - now_us

        async def unit(conn: Connection) -> _Known | None:
            await scoped(conn, EVERY_TENANT)
            found = await store.find(conn, credential_id, to_draw=draws)
            if found is None:
                return None
            known = _Known(found.credential, found.party_kind, found.merged, at_s + CACHE_S)
            if draws:
                drawn = found.bucket.draw(now_us, found.bucket.block, held)
                await store.drawn(conn, credential_id, drawn.full_at_us, now)
                known.purse.put(drawn, offset_us)
            return known

        return await in_transaction(self.pool, unit)

    def _keep(self, credential_id: str, known: _Known | None) -> None:
        self._known.pop(credential_id, None)
        if known is None:
            return
        if len(self._known) >= _CACHED_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[credential_id] = known

    def _counter_us(self) -> int:
        return int(self.clock.monotonic() * MICROSECONDS)


def _exceeded(known: _Known, now_us: int) -> Problem:
    limit, purse = known.credential.requests_per_minute, known.purse
    return Problem(
        "rate_limited",
        f"These credentials may ask {limit} times a minute.",
        headers={
            "Retry-After": str(max(1, seconds(purse.none_until_us - now_us))),
            **pace_headers(Pace(limit, 0, seconds(purse.full_at_us - now_us))),
        },
    )


def pace_headers(pace: Pace) -> Mapping[str, str]:
    """What a caller is told of its limit with each answer."""
    return {
        "RateLimit-Limit": str(pace.per_minute),
        "RateLimit-Remaining": str(pace.remaining),
        "RateLimit-Reset": str(pace.reset_s),
    }


def make(ids: Ids, new: NewCredential, now: datetime) -> tuple[Credential, str]:
    """A credential, and the text its holder is shown, once."""
    credential_id = ids.new(PREFIXES[new.kind])
    key = ApiKey.make(credential_id.partition("_")[2])
    credential = Credential(
        id=credential_id,
        tenant=new.tenant,
        party=new.party,
        kind=new.kind,
        actor=new.actor or credential_id,
        label=new.label,
        scopes=new.scopes,
        digest=key.digest,
        requests_per_minute=new.requests_per_minute,
        created_by=new.created_by,
        created_at=now,
        expires_at=new.expires_at,
    )
    return credential, key.text


def check_scopes(
    asked: frozenset[str], known: frozenset[str], caller: Caller | None
) -> frozenset[str]:
    """The scopes asked for; a Problem for one that is none, or that the caller has not itself."""
    allowed = known if caller is None else known & caller.scopes
    wrong = sorted(asked - allowed)
    if wrong or not asked:
        named = ", ".join(wrong) or "none"
        raise Problem(
            "invalid_request",
            f"Scopes that cannot be given: {named}.",
            errors=(
                FieldError(
                    "/scopes",
                    "scope_not_given",
                    f"cannot be given: {named}",
                    f"take some of: {', '.join(sorted(allowed))}",
                ),
            ),
        )
    return asked


async def of_caller(conn: Connection, credential_id: str) -> Credential:
    """A credential the transaction's tenant has; raises the problem `not_found`."""
    found = await store.find(conn, credential_id)
    if found is None:
        raise not_found()
    return found.credential


def _caller(known: _Known, scopes: frozenset[str]) -> Caller:
    credential = known.credential
    operator = credential.party == OPERATOR
    return Caller(
        credential_id=credential.id,
        actor=credential.actor,
        party=credential.party,
        tenant=EVERY_TENANT if operator else credential.tenant,
        # Of whom nothing is known yet is shown the least.
        persona=Persona.OPERATOR
        if operator
        else _BY_KIND.get(known.party_kind or "", Persona.PAYEE),
        scopes=scopes,
    )


def _unmerged(known: _Known) -> _Known:
    """Those of a merged party are nobody's: the one it became shows its things to its own alone."""
    if known.merged:
        raise _unauthorised(
            "credentials_invalid",
            "The party of these credentials was merged into another.",
            problem_code="party_merged",
            remedy="Use credentials of the party it became.",
        )
    return known


def _unauthorised(
    kind: str, detail: str, *, problem_code: str | None = None, remedy: str | None = None
) -> Problem:
    return Problem(
        kind,
        detail,
        problem_code=problem_code,
        remedy=remedy,
        headers={"WWW-Authenticate": 'Bearer realm="tallystick"'},
    )
