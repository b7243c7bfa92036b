"""API keys and OAuth clients: made, listed, rotated, revoked. A secret is shown once."""

import hmac
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from tally_contracts.base import Text, Token, UtcTime
from tally_gateway import credentials as recognising
from tally_gateway.api.commands import idempotency_key, iso
from tally_gateway.api.model import (
    Answer,
    Document,
    Gateway,
    Operation,
    Query,
    Route,
    answer,
    read_body,
    read_query,
)
from tally_gateway.credentials import (
    API_KEY,
    OAUTH_CLIENT,
    PREFIXES,
    Caller,
    NewCredential,
    check_scopes,
)
from tally_gateway.domain.access import OPERATOR, Access, World, reaches
from tally_gateway.errors import FieldError, Problem, not_found
from tally_gateway.intake import row_tenant
from tally_gateway.routes import MANDATE_SCOPES, SCOPES
from tally_gateway.routes.model import OPERATOR_TENANT, Body
from tally_gateway.store import EVERY_TENANT, commands, scoped, tree
from tally_gateway.store import credentials as store
from tally_gateway.store.commands import Claim
from tally_gateway.store.credentials import Credential
from tally_messaging import UnitOfWork
from tally_postgres import Connection, in_transaction

PAGE_MAX: Final = 500
_KINDS: Final = ((API_KEY, "api-keys", "API key"), (OAUTH_CLIENT, "oauth-clients", "OAuth client"))
_EXAMPLE_ID: Final = "key_01h455vb4pex5vsknk084sn02q"

Person = Annotated[str, StringConstraints(pattern=r"^person_[0-7][0-9a-hjkmnp-tv-z]{25}$")]


class CredentialDocument(Document):
    """A credential. `secret` is shown once, when it is made: the key, or the client's secret."""

    id: str
    party: str
    label: str
    actor: str
    scopes: list[str]
    requests_per_minute: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    secret: str | None = None


class CredentialPage(Document):
    """Credentials in the order they were made."""

    data: list[CredentialDocument]
    next: str | None


class MakeCredential(Body):
    """What the credential shall be allowed; never more than the caller's own."""

    party: Token | None = Field(default=None, description="of this party; the caller's if absent")
    label: Text
    scopes: Annotated[tuple[Token, ...], Field(min_length=1, max_length=64)]
    expires_at: UtcTime | None = None
    person: Person | None = Field(
        default=None, description="acts as this person, with the roles it has at the party"
    )


class RotateCredential(Body):
    """How long the old secret still works beside the new one."""

    overlap_hours: int = Field(default=24, ge=0, le=720, strict=True)


class Nothing(Body):
    """An empty object."""


class CredentialsQuery(Query):
    """Which credentials."""

    party: Token | None = None
    after: str | None = Field(default=None, pattern=r"^[a-z]{1,16}_[0-9a-hjkmnp-tv-z]{26}$")
    limit: int = Field(default=50, ge=1, le=PAGE_MAX)


_EXAMPLE: Final = {
    "id": _EXAMPLE_ID,
    "party": "party_01h455vb4pex5vsknk084sn02q",
    "label": "Payroll export",
    "actor": _EXAMPLE_ID,
    "scopes": ["payouts:write", "wallets:read"],
    "requests_per_minute": 6000,
    "created_at": "2026-09-21T08:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
}
_MADE: Final = {**_EXAMPLE, "secret": "shown once"}


def operations(gateway: Gateway) -> Iterator[Route]:
    """The same four operations for keys and for clients."""
    for kind, path, name in _KINDS:
        yield _make(gateway, kind, path, name)
        yield _list(gateway, kind, path, name)
        yield _rotate(gateway, kind, path, name)
        yield _revoke(gateway, kind, path, name)


def _make(gateway: Gateway, kind: str, path: str, name: str) -> Route:
    async def make(request: Request) -> Response:
        caller = await gateway.caller(request, "keys:write")
        key = idempotency_key(request)
        body = await read_body(request, MakeCredential)
        scopes = check_scopes(frozenset(body.scopes), SCOPES, caller)
        _check_mandate(caller, body.party or caller.party, scopes)
        now = gateway.clock.now()
        if body.expires_at is not None and body.expires_at <= now:
            raise _wrong("/expires_at", "in_the_past", "give a time to come, or none")
        said = f"{path}\n{body.model_dump_json()}".encode()
        request_hash = hmac.digest(gateway.internal_keys.current, said, "sha256")

        async def unit(uow: UnitOfWork) -> tuple[Credential, str | None]:
            await scoped(uow.conn, EVERY_TENANT)
            tenant = await _tenant_of(uow.conn, caller, body.party or caller.party, "/party")
            made, text = recognising.make(
                gateway.ids,
                NewCredential(
                    kind=kind,
                    party=body.party or caller.party,
                    tenant=tenant,
                    label=body.label,
                    scopes=scopes,
                    created_by=caller.actor,
                    requests_per_minute=gateway.settings.requests_per_minute,
                    expires_at=body.expires_at,
                    actor=body.person,
                ),
                uow.now,
            )
            claim = Claim(row_tenant(caller), caller.party, key, request_hash, made.id)
            if await commands.claim(uow.conn, [claim], uow.now):
                await store.insert(uow.conn, made)
                return made, text
            known = (await commands.claimed(uow.conn, [(caller.party, key)]))[caller.party, key]
            if known.request_hash != request_hash:
                raise Problem("idempotency_key_reused", "The key came with another request.")
            return await recognising.of_caller(uow.conn, known.made), None

        made, text = await gateway.transactor.run(unit)
        return answer(_document(made, text), 201 if text is not None else 200)

    operation = Operation(
        method="POST",
        path=f"/v1/{path}",
        name=f"{kind}_make",
        summary=f"Make an {name}; its secret is shown once, in this answer",
        tag="credentials",
        scope="keys:write",
        body=MakeCredential,
        body_example={"label": "Payroll export", "scopes": ["payouts:write"]},
        answers={
            201: Answer("It was made", CredentialDocument, _MADE),
            200: Answer("It was made before with this key", CredentialDocument, _EXAMPLE),
        },
        problems=("idempotency_key_missing", "idempotency_key_reused", "not_found"),
    )
    return operation, make


def _list(gateway: Gateway, kind: str, path: str, name: str) -> Route:
    async def listing(request: Request) -> Response:
        caller = await gateway.caller(request, "keys:read")
        query = read_query(request, CredentialsQuery)

        async def read(conn: Connection) -> list[Credential]:
            await scoped(conn, EVERY_TENANT)
            party = query.party or caller.party
            await _tenant_of(conn, caller, party)
            found = await store.of_party(conn, kind, party, query.after or "", query.limit + 1)
            return list(found)

        found = await in_transaction(gateway.pool, read)
        page = found[: query.limit]
        following = page[-1].id if len(found) > query.limit else None
        return answer({"data": [_document(each) for each in page], "next": following})

    operation = Operation(
        method="GET",
        path=f"/v1/{path}",
        name=f"{kind}_list",
        summary=f"Every {name} of a party, revoked ones too",
        tag="credentials",
        scope="keys:read",
        query=CredentialsQuery,
        answers={200: Answer("A page", CredentialPage, {"data": [_EXAMPLE], "next": None})},
        problems=("not_found",),
    )
    return operation, listing


def _rotate(gateway: Gateway, kind: str, path: str, name: str) -> Route:
    async def rotate(request: Request) -> Response:
        caller = await gateway.caller(request, "keys:write")
        body = await read_body(request, RotateCredential)
        overlap = timedelta(hours=body.overlap_hours)

        async def unit(uow: UnitOfWork) -> tuple[Credential, Credential, str]:
            old = await _reached(uow.conn, caller, kind, request.path_params["id"])
            check_scopes(old.scopes, SCOPES, caller)
            _check_mandate(caller, old.party, old.scopes)
            made, text = await gateway.credentials.rotate(uow.conn, old, overlap, caller, uow.now)
            return old, made, text

        old, made, text = await gateway.transactor.run(unit)
        gateway.credentials.forget(old.id)
        return answer(_document(made, text), 201)

    operation = Operation(
        method="POST",
        path=f"/v1/{path}/{{id}}/rotate",
        name=f"{kind}_rotate",
        summary=f"A second live {name} for the same; the old one ends after the overlap",
        tag="credentials",
        scope="keys:write",
        body=RotateCredential,
        body_example={"overlap_hours": 24},
        answers={201: Answer("The new one", CredentialDocument, _MADE)},
    )
    return operation, rotate


def _revoke(gateway: Gateway, kind: str, path: str, name: str) -> Route:
    async def revoke(request: Request) -> Response:
        caller = await gateway.caller(request, "keys:write")
        await read_body(request, Nothing)

        async def unit(uow: UnitOfWork) -> Credential:
            old = await _reached(uow.conn, caller, kind, request.path_params["id"])
            await store.revoke(uow.conn, old.id, uow.now)
            return await recognising.of_caller(uow.conn, old.id)

        ended = await gateway.transactor.run(unit)
        gateway.credentials.forget(ended.id)
        return answer(_document(ended))

    operation = Operation(
        method="POST",
        path=f"/v1/{path}/{{id}}/revoke",
        name=f"{kind}_revoke",
        summary=f"End an {name} for good",
        tag="credentials",
        scope="keys:write",
        body=Nothing,
        body_example={},
        answers={200: Answer("It has ended", CredentialDocument, _EXAMPLE)},
    )
    return operation, revoke


async def _reached(conn: Connection, caller: Caller, kind: str, credential_id: str) -> Credential:
    """A credential of a party the caller manages."""
    await scoped(conn, EVERY_TENANT)
    if not credential_id.startswith(f"{PREFIXES[kind]}_"):
        raise not_found()
    found = await recognising.of_caller(conn, credential_id)
    await _tenant_of(conn, caller, found.party)
    return found


async def _tenant_of(conn: Connection, caller: Caller, party: str, field: str | None = None) -> str:
    """The tenant of a party in the caller's own tree; a connection gives no right to credentials."""
    if party == OPERATOR and caller.is_operator:
        return OPERATOR_TENANT
    nodes = await tree.nodes(conn, [party])
    if party not in nodes or not reaches(World(nodes), caller.party, party, Access.MANAGE):
        raise not_found(field)
    return nodes[party].tenant


def _check_mandate(caller: Caller, party: str, scopes: frozenset[str]) -> None:
    """Raise a Problem where a secret would give another party's own word (F7, F26)."""
    taken = sorted(scopes & MANDATE_SCOPES)
    if caller.is_operator or party == caller.party or not taken:
        return
    raise Problem(
        "scope_missing",
        f"Who holds such a secret gives the party's own word: {', '.join(taken)}.",
        problem_code="mandate_missing",
        pointer="/scopes",
        remedy="Leave these scopes out; the party makes such a key itself, its first one the operator.",
    )


def _wrong(field: str, code: str, remedy: str) -> Problem:
    return Problem(
        "invalid_request",
        "Fields of the body are wrong.",
        errors=(FieldError(field, code, "cannot be taken", remedy),),
    )


def _document(credential: Credential, text: str | None = None) -> dict[str, Any]:
    def moment(at: datetime | None) -> str | None:
        return None if at is None else iso(at)

    document = {
        "id": credential.id,
        "party": credential.party,
        "label": credential.label,
        "actor": credential.actor,
        "scopes": sorted(credential.scopes),
        "requests_per_minute": credential.requests_per_minute,
        "created_at": iso(credential.created_at),
        "expires_at": moment(credential.expires_at),
        "revoked_at": moment(credential.revoked_at),
        "last_used_at": moment(credential.last_used_at),
    }
    return document if text is None else {**document, "secret": text}
