"""`tally demo`: the whole platform once, with trouble mixed in, and proof at the end."""

import asyncio
import base64
import os
import secrets
import shutil
from pathlib import Path
from typing import Annotated

import typer

from tally_cli.bank import bank_simulator
from tally_cli.demo.feed import Feed
from tally_cli.demo.report import finish
from tally_cli.demo.telling import CLAIM_KEY, CONTACT_KEY, tell_story
from tally_cli.demo.watch import DemoStuck
from tally_cli.output import EXIT_FAILED, VarOption, notes, reported
from tally_cli.platform import Installation, passwords, prepare_database
from tally_cli.run import prepare_environment, run_platform
from tally_embedded import embedded_stack, running_stack
from tally_railkit.sealing import SealingKey
from tally_runtime import Ids, SystemClock, configure_logging, run_process

_KEY_BYTES = 32


def demo(
    var: VarOption = Path("var"),
    events: Annotated[
        int, typer.Option(min=100, max=100_000, help="Distinct funding events.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Makes the same feed again.")] = 1,
    services: Annotated[  # noqa: FBT002 - typer makes the two flags of it
        bool,
        typer.Option(
            help="--no-services feeds a platform that already runs (TALLY_POSTGRES_DSN, TALLY_KAFKA, "
            "TALLY_API_URL, TALLY_BANK_ADMIN_URL, TALLY_SEALING_KEY, TALLY_FUNDING_CLAIM_SEALING_KEY, "
            "TALLY_DIRECTORY_SEALING_KEY)."
        ),
    ] = True,
) -> None:
    """From a thousand funding events to paid payouts, one aggregator's story, and proof.

    Starts a real Postgres, a real Kafka, every service and a bank simulator, feeds them events with
    copies, broken records and disorder, tells a story by the public API, and judges the books. Data
    is under the data folder's `demo`; the report is demo/report.json. Exit code 0 only if everything
    agrees.
    """
    folder = var / "demo"
    configure_logging("demo", os.environ.get("TALLY_LOG_LEVEL") or "ERROR", json=True)
    with reported():
        try:
            code = (
                _with_services(folder, events, seed)
                if services
                else _without_services(folder, events, seed)
            )
        except DemoStuck as error:
            typer.echo(f"error [{error.code}]: {error}", err=True)
            raise typer.Exit(EXIT_FAILED) from error
    raise typer.Exit(code)


def _with_services(folder: Path, events: int, seed: int) -> int:
    if not os.environ.get("TALLY_POSTGRES_DSN"):
        # The last demo's data stayed to be looked at; this one starts anew, and so do containers:
        # a bank that remembers more than the books would be a fault.
        embedded_stack(folder).reset()
        shutil.rmtree(folder / "bank", ignore_errors=True)
    notes.print("Starting Postgres, Kafka, the services and a bank ...")
    sealing_key = _new_key()
    for name in (CLAIM_KEY, CONTACT_KEY):
        os.environ.setdefault(name, _new_key())
    with running_stack(folder) as stack, bank_simulator(folder / "bank") as bank:
        address = stack.address
        installation = Installation(address.postgres_dsn, address.kafka, passwords(folder))
        prepare_environment({**bank.rails_environment(), "TALLY_SEALING_KEY": sealing_key})
        prepare_database(installation)
        feed = _feed(installation, bank.admin_url, sealing_key, events, seed)
        return run_process(lambda: _run(folder, feed, os.environ["TALLY_PUBLIC_URL"]))


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _without_services(folder: Path, events: int, seed: int) -> int:
    names = (
        "TALLY_POSTGRES_DSN",
        "TALLY_KAFKA",
        "TALLY_BANK_ADMIN_URL",
        "TALLY_SEALING_KEY",
        "TALLY_API_URL",
    )
    missing = [name for name in (*names, CLAIM_KEY, CONTACT_KEY) if not os.environ.get(name)]
    if missing:
        raise typer.BadParameter(
            f"feeding a running platform needs {', '.join(missing)}", param_hint="--no-services"
        )
    dsn, kafka, bank_url, sealing_key, api_url = (os.environ[name] for name in names)
    installation = Installation(dsn, kafka, passwords(folder))
    feed = _feed(installation, bank_url, sealing_key, events, seed)
    return run_process(lambda: _show(folder, feed, api_url))


def _feed(
    installation: Installation, bank_url: str, sealing_key: str, events: int, seed: int
) -> Feed:
    # The last characters: a UUIDv7 starts with the time, so they differ from run to run.
    run = f"demo-{Ids().uuid7().hex[-8:]}"
    return Feed(
        run=run,
        installation=installation,
        bank_url=bank_url,
        sealing_key=SealingKey.parse(sealing_key),
        tenant=os.environ.get("TALLY_TENANT") or "main",
        clock=SystemClock(),
        events=events,
        seed=seed,
    )


async def _show(folder: Path, feed: Feed, api_url: str) -> int:
    """The feed, the story, the verdict; the exit code."""
    outcome = await feed.run_through()
    # Ids of its own: what the feed is expected to come to does not count the story.
    name = feed.run.removeprefix("demo-")
    telling = await tell_story(feed.installation, api_url, name, feed.clock)
    return await finish(folder, feed, outcome, telling)


async def _run(folder: Path, feed: Feed, api_url: str) -> int:
    """All services and what is shown on them on one event loop; the worse of their exit codes."""
    done = asyncio.Event()
    shown: asyncio.Task[int] | None = None

    async def show() -> int:
        try:
            return await _show(folder, feed, api_url)
        finally:
            done.set()

    async def ready() -> None:
        nonlocal shown
        shown = asyncio.create_task(show(), name="demo")

    code = await run_platform(feed.installation, ready, until=done)
    if shown is None:
        return code
    if not shown.done():
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)
        return code or EXIT_FAILED
    return shown.result() or code
