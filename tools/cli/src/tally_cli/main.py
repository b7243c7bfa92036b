"""The one command: `tally`."""

import os

import typer

from tally_cli.api_key import api_key_app
from tally_cli.chaos import chaos_app
from tally_cli.demo.command import demo
from tally_cli.dlq import dlq_app
from tally_cli.fund import fund
from tally_cli.lag import lag
from tally_cli.ledger import ledger_app
from tally_cli.moving.commands import export, import_
from tally_cli.portfolio import portfolio_app
from tally_cli.run import migrate, run, up
from tally_cli.stack import stack_app
from tally_cli.trace import trace
from tally_cli.verify import verify
from tally_runtime import configure_logging

app = typer.Typer(
    name="tally",
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


for command in (demo, up, run, migrate, fund, trace, lag, verify):
    app.command(command.__name__)(command)
app.command("export")(export)
app.command("import")(import_)
app.add_typer(api_key_app)
app.add_typer(chaos_app)
app.add_typer(dlq_app)
app.add_typer(ledger_app)
app.add_typer(portfolio_app)
app.add_typer(stack_app)


def main() -> None:
    """Entry point of the script."""
    app()
