"""Further databases of the ledger, as commands that look at all of them are told of them."""

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Final, NoReturn

import typer

from tally_cli.output import EXIT_USAGE
from tally_ledger.placement import CORE, parse

_PLACEMENT: Final = "TALLY_LEDGER_PLACEMENT"
_DSNS: Final = "TALLY_LEDGER_DSNS"

LedgerDsnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ledger-dsn",
        metavar="NAME=DSN",
        envvar=_DSNS,
        help="A further database of the ledger, by its name in the placement. Repeatable; in the "
        "variable they are separated by spaces.",
    ),
]


def ledger_dsns(given: Sequence[str] | None) -> Mapping[str, str]:
    """Connection strings of the further databases, by name.

    Exits with a remedy for a text that is none, a name given twice, and a database that
    TALLY_LEDGER_PLACEMENT names and nobody gave: half of the books would prove nothing.
    """
    dsns = _parsed(given)
    _require(_placement().keys() - {CORE}, dsns)
    return dsns


def databases_of(given: Sequence[str] | None, ledger: str | None, core: str) -> Mapping[str, str]:
    """Connection strings of the databases to ask about a ledger, None is about any; by name.

    Where TALLY_LEDGER_PLACEMENT tells the ledger's database, that one alone is asked and needed.
    """
    dsns = {CORE: core, **_parsed(given)}
    placement = _placement()
    named = {name for name, ledgers in placement.items() if ledger is None or ledger in ledgers}
    if placement and not named:
        named = {CORE}
    _require(named, dsns)
    return {name: dsns[name] for name in sorted(named)} if ledger and named else dsns


def _parsed(given: Sequence[str] | None) -> dict[str, str]:
    dsns: dict[str, str] = {}
    for text in given or ():
        name, equals, dsn = text.partition("=")
        if not (name and equals and dsn) or "/" in name:
            _fail("ledger_dsn_invalid", f"write {name.partition('/')[0][:40]!r} as NAME=DSN")
        if name == CORE:
            _fail(
                "ledger_dsn_invalid", f"{CORE} is the platform's own: name it by TALLY_POSTGRES_DSN"
            )
        if name in dsns:
            _fail("ledger_dsn_invalid", f"{name} is given twice: give each database once")
        dsns[name] = dsn
    return dsns


def _placement() -> Mapping[str, frozenset[str]]:
    """Ledgers by database, nothing where there is no placement."""
    text = os.environ.get(_PLACEMENT, "")
    if not text:
        return {}
    try:
        return parse(text)
    except ValueError as error:
        _fail("placement_invalid", f"{_PLACEMENT} {error}: correct it")


def _require(names: AbstractSet[str], dsns: Mapping[str, str]) -> None:
    missing = names - dsns.keys()
    if missing:
        _fail(
            "ledger_dsn_missing",
            f"{_PLACEMENT} has databases {', '.join(sorted(missing))}: give each by "
            f"--ledger-dsn NAME=DSN or in {_DSNS}",
        )


def _fail(code: str, message: str) -> NoReturn:
    typer.echo(f"error [{code}]: --ledger-dsn: {message}", err=True)
    raise typer.Exit(EXIT_USAGE)
