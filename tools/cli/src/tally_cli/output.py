"""How commands speak: data on stdout, everything else on stderr, documented exit codes."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tally_cli.platform import DEFAULT_SOURCES, Installation, passwords
from tally_embedded import StackError, embedded_stack
from tally_messaging import MessagingError, QuarantineNotFound
from tally_postgres import PostgresError
from tally_runtime import SettingsError

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_FOUND, EXIT_CONFLICT, EXIT_ORACLE_RED = 1, 2, 3, 4, 5

VarOption = Annotated[
    Path, typer.Option("--var", envvar="TALLY_VAR", help="Data folder.", file_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

notes = Console(stderr=True, highlight=False)
"""Progress, hints and errors for a person."""


def print_json(value: Any) -> None:
    """Print data for programs."""
    typer.echo(json.dumps(value, indent=2, default=str))


def print_table(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print data for a person: aligned columns, no decoration that a pipe would have to strip."""
    widths = [max(len(row[n]) for row in [headers, *rows]) for n in range(len(headers))]
    for row in [headers, *rows]:
        typer.echo("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


@contextmanager
def reported() -> Iterator[None]:
    """Turn known failures into one clear line with a code, and an exit code."""
    try:
        yield
    except QuarantineNotFound as error:
        _fail(error.code, error, EXIT_NOT_FOUND)
    except (StackError, MessagingError, PostgresError, SettingsError) as error:
        _fail(error.code, error, EXIT_FAILED)
    except OSError as error:
        _fail("unreachable", error, EXIT_FAILED)


def print_error(code: str, message: object) -> None:
    """Print one line on stderr; not by rich, which takes a code in brackets for markup and drops it."""
    typer.echo(f"error [{code}]: {message}", err=True)


def _fail(code: str, error: BaseException, exit_code: int) -> None:
    print_error(code, error)
    raise typer.Exit(exit_code) from error


def running_installation(var: Path) -> Installation:
    """The installation to talk to: the one TALLY_POSTGRES_DSN and TALLY_KAFKA name, else the embedded one.

    Exits with a remedy when there is none.
    """
    os.environ.setdefault("TALLY_FUNDING_SOURCES", DEFAULT_SOURCES)
    dsn, kafka = os.environ.get("TALLY_POSTGRES_DSN"), os.environ.get("TALLY_KAFKA")
    if dsn and kafka:
        return Installation(dsn, kafka, passwords(var))
    # An embedded platform is a sandbox; a service built for an operator's command is told so.
    os.environ.setdefault("TALLY_ENVIRONMENT", "development")
    stack = embedded_stack(var)
    if not stack.status().is_running:
        typer.echo(
            f"error [not_running]: no platform runs in {var.absolute()}: start it with `tally up`, "
            "or name a running one with TALLY_POSTGRES_DSN and TALLY_KAFKA",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED)
    return Installation(stack.address.postgres_dsn, stack.address.kafka, passwords(var))
