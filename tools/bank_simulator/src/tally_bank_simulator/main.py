"""The command `tally-bank-simulator`: one bank, two ports, one line of JSON when it is ready."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from tally_bank_simulator import sftp
from tally_bank_simulator.admin import Admin
from tally_bank_simulator.bank import Bank
from tally_bank_simulator.book import Book
from tally_bank_simulator.desk import Desk
from tally_bank_simulator.errors import CredentialsMissingError, SimulatorError
from tally_bank_simulator.faults import Faults
from tally_bank_simulator.folder import Folder

_USAGE_ERROR = 2
_DRAIN_SECONDS = 5
_log = logging.getLogger("tally_bank_simulator")
cli = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line gives."""

    folder: Path
    host: str
    sftp_port: int
    admin_port: int
    login: sftp.Login
    seed: int
    stop_at_end_of_input: bool = False


class _AdminServer(uvicorn.Server):
    """Leaves the signals to this process: one SIGTERM stops both servers in order."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; raises whatever ended the bank otherwise."""
    folder = Folder(settings.folder)
    folder.create()
    held = folder.lock()
    faults = Faults(settings.seed)
    desk = Desk(Bank(folder, Book(folder.book), faults, settings.seed))
    await desk.call(desk.bank.recover)
    key = sftp.host_key(folder)
    acceptor = await sftp.listen(
        host=settings.host,
        port=settings.sftp_port,
        key=key,
        login=settings.login,
        folder=folder,
        faults=faults,
        arrived=desk.wake,
    )
    listener = socket.create_server((settings.host, settings.admin_port))
    admin = _AdminServer(
        uvicorn.Config(
            Admin(desk, faults).app(),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )
    ready = {
        "sftp_port": acceptor.get_port(),
        "admin_port": listener.getsockname()[1],
        "host_key_fingerprint": key.get_fingerprint(),
        "host_key": key.export_public_key().decode().strip(),
        "pid": os.getpid(),
    }
    stop = await _stopped(at_end_of_input=settings.stop_at_end_of_input)
    await _until_stopped(stop, desk, admin, listener, ready)
    acceptor.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await acceptor.wait_closed()
    await desk.close()
    os.close(held)
    _log.info("stopped")


async def _stopped(*, at_end_of_input: bool) -> asyncio.Event:
    """Set by a signal or, if asked for, once whoever started this process holds its input no more."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if at_end_of_input:

        class Input(asyncio.Protocol):
            def connection_lost(self, _: Exception | None) -> None:
                stop.set()

        await loop.connect_read_pipe(Input, sys.stdin)
    return stop


async def _until_stopped(
    stop: asyncio.Event,
    desk: Desk,
    admin: _AdminServer,
    listener: socket.socket,
    ready: dict[str, object],
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(admin.serve(sockets=[listener]))
        working = group.create_task(desk.run())
        await admin.listening.wait()
        print(json.dumps(ready), flush=True)
        _log.info("ready")
        await stop.wait()
        working.cancel()
        admin.should_exit = True


@cli.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter per command line option
    folder: Annotated[Path, typer.Option(help="Where the bank keeps its book, files and host key")],
    user: Annotated[str, typer.Option(help="The originator's SFTP user")],
    password_env: Annotated[
        str | None, typer.Option(help="Name of the variable that holds the password")
    ] = None,
    authorized_keys: Annotated[
        Path | None, typer.Option(help="Public keys that may log in", exists=True, dir_okay=False)
    ] = None,
    sftp_port: Annotated[int, typer.Option(min=0, max=65535, help="0 = any free port")] = 0,
    admin_port: Annotated[int, typer.Option(min=0, max=65535, help="0 = any free port")] = 0,
    host: Annotated[str, typer.Option(help="Address of both ports")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Fixes every chance of rules and faults")] = 1,
    *,
    stop_at_end_of_input: Annotated[
        bool, typer.Option(help="Stop when standard input ends: with the process that started this")
    ] = False,
) -> None:
    """Run a bank that takes NACHA files by SFTP, keeps its own book, and misbehaves on request."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s"
    )
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        login = sftp.Login(user, _password(password_env, authorized_keys), authorized_keys)
        settings = Settings(folder, host, sftp_port, admin_port, login, seed, stop_at_end_of_input)
        asyncio.run(serve(settings))
    except SimulatorError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        raise typer.Exit(_USAGE_ERROR) from error


def _password(variable: str | None, authorized_keys: Path | None) -> str | None:
    if variable is None and authorized_keys is None:
        raise CredentialsMissingError("give --password-env, --authorized-keys or both")
    password = None if variable is None else os.environ.get(variable)
    if variable is not None and not password:
        raise CredentialsMissingError(f"--password-env: the variable {variable} is not set")
    return password


def main() -> None:
    """Entry point of the script."""
    cli()


if __name__ == "__main__":
    main()
