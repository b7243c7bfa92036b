"""The one command: `tally`."""

import importlib
import os
from collections.abc import Mapping
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from tally_runtime import configure_logging

COMMANDS: Final[Mapping[str, str]] = {
    "demo": "tally_cli.demo.command:demo",
    "up": "tally_cli.run:up",
    "run": "tally_cli.run:run",
    "migrate": "tally_cli.run:migrate",
    "fund": "tally_cli.fund:fund",
    "trace": "tally_cli.trace:trace",
    "lag": "tally_cli.lag:lag",
    "verify": "tally_cli.verify:verify",
    "export": "tally_cli.moving.commands:export",
    "import": "tally_cli.moving.commands:import_",
    "api-key": "tally_cli.api_key:api_key_app",
    "chaos": "tally_cli.chaos:chaos_app",
    "dlq": "tally_cli.dlq:dlq_app",
    "ledger": "tally_cli.ledger:ledger_app",
    "portfolio": "tally_cli.portfolio:portfolio_app",
    "stack": "tally_cli.stack:stack_app",
}
"""Every command: where it is, to be imported once it is asked for.

A process that runs one service imports nothing of the others: it starts in half the time.
"""


class _OnDemand(TyperGroup):
    """A group that imports the command it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, typer.Typer):
            return get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(found)
        return get_command(alone)


app = typer.Typer(
    name="tally",
    cls=_OnDemand,
    help=(
        "Tallystick, an open payments platform.\n\n"
        "Data goes to stdout, everything else to stderr. Exit codes: 0 ok, 1 failed, 2 usage, "
        "3 not found, 4 conflict, 5 the books do not agree.\n\n"
        "Start with: tally demo"
    ),
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def quiet_logs() -> None:
    """Logs of libraries go to stderr, from warnings on; commands that run services say more."""
    configure_logging("tally", os.environ.get("TALLY_LOG_LEVEL") or "WARNING")


def main() -> None:
    """Entry point of the script."""
    app()
