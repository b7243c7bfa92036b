"""`tally api-key`: credentials made by the operator, the first ones of an installation among them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from tally_cli.output import EXIT_NOT_FOUND, EXIT_USAGE, VarOption, print_json, reported
from tally_cli.output import running_installation as running
from tally_gateway.credentials import API_KEY, OAUTH_CLIENT, NewCredential, make
from tally_gateway.domain.access import OPERATOR
from tally_gateway.routes import SCOPES
from tally_gateway.routes.model import OPERATOR_TENANT
from tally_gateway.store import EVERY_TENANT, scoped, tree
from tally_gateway.store import credentials as store
from tally_postgres import Connection, Pool, create_pool, in_transaction
from tally_runtime import Ids, SystemClock

T = TypeVar("T")
_REQUESTS_PER_MINUTE = 6_000

api_key_app = typer.Typer(
    name="api-key",
    help="Make and revoke API keys and OAuth clients, as the operator.",
    no_args_is_help=True,
)


@api_key_app.command("create")
def create(
    party: Annotated[str, typer.Option(help="Party id, or `operator`.")] = OPERATOR,
    scopes: Annotated[str, typer.Option(help="Scopes with commas, or `all`.")] = "all",
    label: Annotated[str, typer.Option(help="What it is for.")] = "made by the operator",
    days: Annotated[int, typer.Option(help="Days it lasts; 0: until it is revoked.", min=0)] = 0,
    *,
    oauth: Annotated[bool, typer.Option("--oauth", help="An OAuth client, not a key.")] = False,
    var: VarOption = Path("var"),
) -> None:
    """Make a key and print it, once: it is kept as a hash.

    Example: tally api-key create --party party_01h455vb4pex5vsknk084sn02q --scopes payouts:write
    """
    asked = SCOPES if scopes == "all" else frozenset(part for part in scopes.split(",") if part)
    unknown = sorted(asked - SCOPES)
    if unknown or not asked:
        typer.echo(
            f"error [scope_unknown]: {', '.join(unknown) or 'none'} given: take some of "
            f"{', '.join(sorted(SCOPES))}",
            err=True,
        )
        raise typer.Exit(EXIT_USAGE)
    kind = OAUTH_CLIENT if oauth else API_KEY
    now = SystemClock().now()
    ends = now + timedelta(days=days) if days else None

    async def work(conn: Connection) -> dict[str, Any] | None:
        node = (await tree.nodes(conn, [party])).get(party)
        if node is None and party != OPERATOR:
            return None
        credential, text = make(
            Ids(),
            NewCredential(
                kind=kind,
                party=party,
                tenant=OPERATOR_TENANT if node is None else node.tenant,
                label=label,
                scopes=asked,
                created_by="operator",
                requests_per_minute=_REQUESTS_PER_MINUTE,
                expires_at=ends,
            ),
            now,
        )
        await store.insert(conn, credential)
        return {"id": credential.id, "party": party, "scopes": sorted(asked), "secret": text}

    with reported():
        made = asyncio.run(_with_gateway(var, work))
    if made is None:
        typer.echo(
            f"error [party_unknown]: the gateway knows no party {party}: register it first "
            "(POST /v1/parties with a key of the operator)",
            err=True,
        )
        raise typer.Exit(EXIT_NOT_FOUND)
    print_json(made)


@api_key_app.command("revoke")
def revoke(
    credential_id: Annotated[str, typer.Argument(help="As printed when it was made.")],
    var: VarOption = Path("var"),
) -> None:
    """End a key or client for good; running gateways know within two seconds."""

    async def work(conn: Connection) -> bool:
        if await store.find(conn, credential_id) is None:
            return False
        await store.revoke(conn, credential_id, SystemClock().now())
        return True

    with reported():
        found = asyncio.run(_with_gateway(var, work))
    if not found:
        typer.echo(f"error [not_found]: no credential has the id {credential_id}", err=True)
        raise typer.Exit(EXIT_NOT_FOUND)
    print_json({"id": credential_id, "revoked": True})


async def _with_gateway(var: Path, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` in a transaction of the gateway's own role, across tenants."""
    dsn = running(var).dsn("gateway")
    pool: Pool = await create_pool(
        dsn, schema="gateway", application_name="tally_api_key", max_size=1
    )

    async def unit(conn: Connection) -> T:
        return await work(await scoped(conn, EVERY_TENANT))

    try:
        return await in_transaction(pool, unit)
    finally:
        await pool.close()
