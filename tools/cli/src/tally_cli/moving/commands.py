"""`tally export` and `tally import`: no tenant is locked in (F62)."""

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tally_cli.moving.archive import ArchiveFault, Manifest
from tally_cli.moving.bringing_in import Bringing, Outcome
from tally_cli.moving.plan import BROUGHT, Plan, plan
from tally_cli.moving.taking_out import take_out
from tally_cli.output import (
    EXIT_CONFLICT,
    EXIT_FAILED,
    EXIT_NOT_FOUND,
    VarOption,
    print_error,
    print_json,
    reported,
    running_installation,
)
from tally_runtime import SystemClock

_NOT_FOUND = {"tenant_unknown"}


def export(
    tenant: Annotated[str, typer.Argument(help="Party id of the tenant: the root of its tree.")],
    folder: Annotated[Path, typer.Argument(help="An empty folder to write to.", file_okay=False)],
    var: VarOption = Path("var"),
) -> None:
    """Write all that is one tenant's as JSON Lines with checksums.

    Parties, wallets, programs, rules, pay-ins, payouts, the ledger's accounts, journals, transfers
    and entries, and the tenant's event log, as of one moment. Secrets are never exported. The form
    is in docs/reference/export-format.md.
    """
    with reported():
        dsn = os.environ.get("TALLY_POSTGRES_DSN") or running_installation(var).postgres_dsn
        try:
            manifest = asyncio.run(take_out(dsn, tenant, folder))
        except ArchiveFault as error:
            _refuse(error)
    files = {name: page.rows for name, page in sorted(manifest.files.items())}
    print_json({"tenant": tenant, "digest": manifest.digest, "rows": files})


def import_(
    folder: Annotated[
        Path, typer.Argument(help="What `tally export` wrote.", exists=True, file_okay=False)
    ],
    var: VarOption = Path("var"),
    wait_s: Annotated[
        int, typer.Option("--wait", min=1, max=3600, help="Seconds each step may take.")
    ] = 60,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Check the files and say what would be done.")
    ] = False,
) -> None:
    """Bring an export into this installation: same ids, every balance to the minor unit.

    Movements come with their times and reasons, marked as imported, budgets and payables as they
    stand. Begun again it goes on where it stopped. What people have to give themselves (contacts,
    consents, connections, grants, keys) is listed, not brought.
    """
    clock = SystemClock()
    try:
        manifest = Manifest.read(folder)
        taken_at = datetime.fromisoformat(manifest.taken_at)
        planned = plan(folder, manifest.tenant, taken_at=taken_at, now=clock.now())
    except ArchiveFault as error:
        _refuse(error)
    kept = sorted(manifest.files.keys() - BROUGHT)
    said = {
        "tenant": manifest.tenant,
        "digest": manifest.digest,
        "commands": sum(len(wave) for wave in planned.waves),
        "history": _past(planned),
        "history_only": kept,
    }
    if check:
        print_json(said)
        return
    with reported():
        installation = running_installation(var)
        bringing = Bringing(installation.kafka, installation.postgres_dsn, clock, wait_s)
        try:
            outcome = asyncio.run(bringing.carry_out(planned))
        except ArchiveFault as error:
            _refuse(error)
    print_json({**said, **_told(outcome)})
    if not outcome.is_whole:
        print_error(
            "import_incomplete",
            "not everything was brought: correct what is refused, then import again",
        )
        raise typer.Exit(EXIT_CONFLICT)


def _told(outcome: Outcome) -> dict[str, object]:
    return {
        "done": outcome.done,
        "refused": outcome.refused,
        "unanswered": outcome.unanswered,
        "balances": outcome.balances,
        "differing": outcome.differing,
        "not_shown": outcome.not_shown,
    }


def _past(planned: Plan) -> dict[str, int] | None:
    past = planned.past
    if past is None:
        return None
    movements = past.movements.total()
    return {"facts": len(past.hops), "movements": movements, "left_out": past.left_out}


def _refuse(error: ArchiveFault) -> NoReturn:
    typer.echo(f"error [{error.code}]: {error}", err=True)
    raise typer.Exit(EXIT_NOT_FOUND if error.code in _NOT_FOUND else EXIT_FAILED) from error
