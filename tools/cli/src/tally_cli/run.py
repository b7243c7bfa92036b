"""`tally migrate`, `tally run SERVICE`, `tally up`: starting the platform, in parts or whole."""

import asyncio
import base64
import os
import secrets
import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tally_cli.bank import bank_simulator
from tally_cli.output import (
    EXIT_USAGE,
    VarOption,
    notes,
    print_json,
    reported,
    running_installation,
)
from tally_cli.platform import (
    DEFAULT_SOURCES,
    SERVICES,
    Installation,
    configured_sources,
    given_password,
    passwords,
    prepare_database,
    prepare_topics,
)
from tally_embedded import free_ports, is_free, running_stack
from tally_messaging.launch import run_until_stopped
from tally_runtime import Metrics, configure_logging, run_all, run_process

_API_PORT = 8080
_KEY_BYTES = 32


def migrate(
    var: VarOption = Path("var"),
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVICE",
            help="This service's schema alone, and no topics: for a further database. Repeatable.",
        ),
    ] = None,
) -> None:
    """Create roles, schemas, tables and topics that are missing. Safe to run again.

    Reads TALLY_POSTGRES_DSN (an administrator's), TALLY_KAFKA, and each TALLY_<SERVICE>_POSTGRES_DSN
    for the password of that service's role.

    Example: tally migrate --only ledger
    """
    names = only or []
    for name in names:
        _check_service(name)
    with reported():
        if names:
            print_json({"migrations": prepare_database(_further_database(var, names), names)})
            return
        installation = running_installation(var)
        applied = prepare_database(installation)
        created = asyncio.run(prepare_topics(installation, configured_sources()))
    print_json({"migrations": applied, "topics": created})


def _further_database(var: Path, names: Sequence[str]) -> Installation:
    """Where single schemas go: no broker is asked, and no password is kept for another server."""
    dsn = os.environ.get("TALLY_POSTGRES_DSN")
    if not dsn:
        return running_installation(var)
    return Installation(dsn, "", {name: given_password(name) for name in names})


def _check_service(name: str) -> None:
    if name not in SERVICES:
        typer.echo(
            f"error [unknown_service]: {name} is no service: take one of {', '.join(SERVICES)}",
            err=True,
        )
        raise typer.Exit(EXIT_USAGE)


def run(
    service: Annotated[str, typer.Argument(help=f"One of: {', '.join(SERVICES)}.")],
    var: VarOption = Path("var"),
) -> None:
    """Run one service in this process until SIGTERM; its settings come from the environment."""
    _check_service(service)
    configure_logging(service, os.environ.get("TALLY_LOG_LEVEL") or "INFO")
    os.environ.setdefault("TALLY_FUNDING_SOURCES", DEFAULT_SOURCES)
    with reported():
        dsn, kafka = (
            os.environ.get(f"TALLY_{service.upper()}_POSTGRES_DSN"),
            os.environ.get("TALLY_KAFKA"),
        )
        # A service needs its own role alone; the administrator's address is for operators.
        installation = Installation("", kafka, {}) if dsn and kafka else running_installation(var)
        code = run_until_stopped(installation.build(service))
    raise typer.Exit(code)


def up(var: VarOption = Path("var")) -> None:
    """Start everything in this process and stay up: Postgres, Kafka, all services, a bank simulator.

    Data stays in the data folder. In another terminal: tally fund, tally lag, tally trace, tally
    verify. Ctrl-C stops it cleanly.
    """
    configure_logging("platform", os.environ.get("TALLY_LOG_LEVEL") or "WARNING")
    with (
        reported(),
        running_stack(var, lasting=True) as stack,
        bank_simulator(var / "bank") as bank,
    ):
        address = stack.address
        installation = Installation(address.postgres_dsn, address.kafka, passwords(var))
        prepare_environment(bank.rails_environment())
        prepare_database(installation)

        async def ready() -> None:
            notes.print("[green]The platform is up.[/] Ctrl-C stops it. In another terminal:")
            notes.print(
                "  tally fund FILE · tally trace ID · tally lag · tally dlq ls · tally verify · "
                "tally api-key create"
            )
            for name, value in (
                ("TALLY_KAFKA", address.kafka),
                ("TALLY_POSTGRES_DSN", address.postgres_dsn),
                ("TALLY_ENVIRONMENT", os.environ["TALLY_ENVIRONMENT"]),
                ("TALLY_FUNDING_SOURCES", os.environ["TALLY_FUNDING_SOURCES"]),
                ("TALLY_API_URL", os.environ["TALLY_PUBLIC_URL"]),
                ("TALLY_BANK_ADMIN_URL", bank.admin_url),
            ):
                typer.echo(f"export {name}={shlex.quote(value)}")

        code = run_process(lambda: run_platform(installation, ready))
    raise typer.Exit(code)


def prepare_environment(more: dict[str, str]) -> None:
    """Settings of an embedded platform, where the environment does not say otherwise."""
    os.environ.setdefault("TALLY_ENVIRONMENT", "development")
    os.environ.setdefault("TALLY_FUNDING_SOURCES", DEFAULT_SOURCES)
    if "TALLY_GATEWAY_PORT" not in os.environ:
        port = _API_PORT if is_free(_API_PORT) else free_ports(1)[0]
        os.environ["TALLY_GATEWAY_PORT"] = str(port)
    # Nobody types these: as the servers' ports are chosen, so that two platforms of one machine
    # that start together do not both find the same one free.
    for name, port in zip(("PORTFOLIO", "DIRECTORY", "KYC"), free_ports(3), strict=True):
        chosen = os.environ.setdefault(f"TALLY_{name}_READ_PORT", str(port))
        os.environ.setdefault(f"TALLY_{name}_URL", f"http://127.0.0.1:{chosen}")
    # Known to the four of this process alone.
    os.environ.setdefault(
        "TALLY_INTERNAL_KEY", base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    )
    os.environ.setdefault(
        "TALLY_PUBLIC_URL", f"http://127.0.0.1:{os.environ['TALLY_GATEWAY_PORT']}"
    )
    os.environ.update(more)


async def run_platform(
    installation: Installation,
    ready: Callable[[], Awaitable[None]],
    *,
    until: asyncio.Event | None = None,
    names: Sequence[str] = SERVICES,
) -> int:
    """All services on one event loop, until a signal, a crash, or `until`; the exit code."""
    await prepare_topics(installation, configured_sources())
    metrics = Metrics("platform")
    apps = [installation.build(name, metrics=metrics) for name in names]
    return await run_all(apps, ready, until=until, graceful_timeout_s=30)
