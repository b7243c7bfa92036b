"""`tally portfolio`: the read models behind the portfolio view."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tally_cli.output import (
    JsonOption,
    VarOption,
    notes,
    print_json,
    print_table,
    reported,
    running_installation,
)
from tally_cli.platform import Installation
from tally_portfolio.rebuild import Rebuilt, rebuild
from tally_reconciliation.broker import kafka_broker

portfolio_app = typer.Typer(
    name="portfolio", help="The read models behind the portfolio view.", no_args_is_help=True
)


@portfolio_app.callback()
def group() -> None:
    """Keep `rebuild` a command of its own name while it is the only one."""


@portfolio_app.command("rebuild")
def rebuild_command(
    var: VarOption = Path("var"),
    *,
    forget_older: Annotated[
        bool, typer.Option("--forget-older", help="Even though the topics' beginning is gone.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the read models again from the topics, beside the live ones, then put them in place.

    Says which tables held other rows before. Readers never see a half of either.
    """
    with reported():
        rebuilt = asyncio.run(_rebuild(running_installation(var), forget_older=forget_older))
    if as_json:
        print_json(
            {
                "records": rebuilt.records,
                "applied": rebuilt.applied,
                "left_aside": rebuilt.left_aside,
                "differences": [one._asdict() for one in rebuilt.differences],
            }
        )
        return
    rows = [(d.table, str(d.only_before), str(d.only_after)) for d in rebuilt.differences]
    print_table(("table", "only before", "only after"), tuple(rows))
    notes.print(f"{rebuilt.applied} facts of {rebuilt.records} records applied", style="dim")


async def _rebuild(installation: Installation, *, forget_older: bool) -> Rebuilt:
    async with kafka_broker(installation.kafka) as broker:
        return await rebuild(
            broker,
            installation.postgres_dsn,
            installation.dsn("portfolio"),
            forget_older=forget_older,
        )
