"""`tally stack`: the embedded Postgres and Kafka of a data folder, from the command line."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tally_embedded import StackAddress, StackError, embedded_stack, fetch

stack_app = typer.Typer(
    name="stack",
    help="A real Postgres and a real Kafka on this machine, without a container engine.",
    no_args_is_help=True,
)

VarOption = Annotated[
    Path, typer.Option("--var", envvar="TALLY_VAR", help="Data folder.", file_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@stack_app.command("fetch")
def fetch_command() -> None:
    """Fill the cache of Kafka's jars, so that later starts need no network."""
    with _reported():
        typer.echo("Checking Kafka's jars, fetching what is missing (44 MB) ...", err=True)
        typer.echo(fetch())


@stack_app.command("start")
def start_command(var: VarOption = Path("var"), *, as_json: JsonOption = False) -> None:
    """Start both servers, leave them running, and print their addresses.

    The output is one line for a shell: eval "$(tally stack start)".
    """
    with _reported():
        typer.echo(f"Starting Postgres and Kafka in {var.absolute() / 'stack'} ...", err=True)
        stack = embedded_stack(var)
        stack.start()
        typer.echo(_address_json(stack.address) if as_json else _exports(stack.address))


@stack_app.command("stop")
def stop_command(var: VarOption = Path("var")) -> None:
    """Stop both servers cleanly; their data stays."""
    with _reported():
        embedded_stack(var).stop()
        typer.echo("Stopped.", err=True)


@stack_app.command("status")
def status_command(var: VarOption = Path("var"), *, as_json: JsonOption = False) -> None:
    """Ask both servers a real question (SELECT 1, cluster metadata); exit 1 unless both answer."""
    with _reported():
        status = embedded_stack(var).status()
    if as_json:
        typer.echo(json.dumps(asdict(status), indent=2))
    else:
        for server in status.servers:
            place = server.address.rpartition("@")[2]
            pid = f"pid {server.pid}" if server.pid else ""
            parts = (f"{server.name:<9}", server.state, place, pid, server.detail)
            typer.echo(" ".join(part for part in parts if part))
    if not status.is_running:
        raise typer.Exit(1)


@stack_app.command("reset")
def reset_command(
    var: VarOption = Path("var"),
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, delete all data.")] = False,
) -> None:
    """Stop both servers and delete their data, ports, password and logs."""
    if not yes:
        raise typer.BadParameter(
            f"this deletes all data in {var.absolute() / 'stack'}: repeat with --yes to confirm",
            param_hint="--yes",
        )
    with _reported():
        embedded_stack(var).reset()
        typer.echo("Deleted.", err=True)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except StackError as error:
        typer.echo(f"error [{error.code}]: {error}", err=True)
        raise typer.Exit(1) from error


def _address_json(address: StackAddress) -> str:
    return json.dumps(asdict(address))


def _exports(address: StackAddress) -> str:
    dsn, kafka = shlex.quote(address.postgres_dsn), shlex.quote(address.kafka)
    return f"export TALLY_POSTGRES_DSN={dsn} TALLY_KAFKA={kafka}"
