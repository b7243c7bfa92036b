"""`tally verify`: is anything lost, doubled or out of balance? One command, one exit code."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tally_cli.output import (
    EXIT_FAILED,
    EXIT_ORACLE_RED,
    JsonOption,
    VarOption,
    notes,
    print_json,
    print_table,
    reported,
    running_installation,
)
from tally_cli.shards import LedgerDsnOption, ledger_dsns
from tally_reconciliation import ReconciliationError, Report, Sources, Verdict
from tally_reconciliation import verify as judge

_WAIT_MAX_S = 3600
_KEY_BYTES = 32
_KEY_ID_DIGITS = 16


def verify(
    var: VarOption = Path("var"),
    *,
    bank_url: Annotated[
        str | None,
        typer.Option(
            envvar="TALLY_BANK_ADMIN_URL", help="The bank simulator's admin API; unset: no O7."
        ),
    ] = None,
    wait: Annotated[
        int,
        typer.Option(
            min=0, max=_WAIT_MAX_S, help="Wait this many seconds for the platform to stand still."
        ),
    ] = 0,
    ledger_key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="TALLY_LEDGER_KEYS",
            help="ID=PUBLIC: a key that daily roots must be signed with, kept apart from the ledger;"
            " several times after a change. PUBLIC is base64, or give a file with one a line.",
        ),
    ] = None,
    ledger_dsn: LedgerDsnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that nothing is lost, doubled or out of balance.

    Reads every book, topic and outbox and changes nothing, so it can run while the platform does;
    what can only be judged at rest is then skipped, unless --wait sees it come to rest. Exit code 0:
    nothing wrong; 5: something is, with the rows at fault, or no rest within --wait although no
    input came; 1: could not look, or input came while waiting. Without --ledger-key the ledger's own
    word for its keys is taken.
    """
    keys = trusted_keys(ledger_key or ())
    with reported():
        installation = running_installation(var)
        sources = Sources(
            installation.postgres_dsn,
            installation.kafka,
            bank_url,
            ledger_keys=keys,
            ledger_dsns=ledger_dsns(ledger_dsn),
        )
        try:
            report = asyncio.run(judge(sources, wait_s=wait))
        except ReconciliationError as error:
            typer.echo(f"error [{error.code}]: {error}", err=True)
            raise typer.Exit(EXIT_FAILED) from error
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
    raise typer.Exit(_exit_code(report, waited=wait > 0))


def trusted_keys(given: Sequence[str]) -> tuple[bytes, ...]:
    """Public keys from ID=PUBLIC texts and files of them; `BadParameter` names one that is none."""
    texts: list[str] = []
    for text in given:
        if "=" in text.rstrip("="):
            texts.append(text)
            continue
        try:
            lines = Path(text).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"{text} is neither ID=PUBLIC nor a readable file") from error
        texts += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return tuple(_key(text) for text in texts)


def _key(text: str) -> bytes:
    stated, _, encoded = text.partition("=")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise typer.BadParameter(f"key {stated}: not base64") from error
    if len(raw) != _KEY_BYTES:
        raise typer.BadParameter(f"key {stated}: {len(raw)} bytes, expected {_KEY_BYTES}")
    found = hashlib.sha256(raw).hexdigest()[:_KEY_ID_DIGITS]
    if found != stated:
        raise typer.BadParameter(f"key {stated}: its id is {found}; compare it with its owner")
    return raw


def _exit_code(report: Report, *, waited: bool) -> int:
    if report.verdict is Verdict.RED:
        return EXIT_ORACLE_RED
    if waited and report.verdict is Verdict.SKIPPED:
        return EXIT_FAILED
    return 0


def print_report(report: Report) -> None:
    for check in report.checks:
        typer.echo(check.line())
        for fault in check.faults:
            typer.echo(f"    {fault}")
        if check.fault_count > len(check.faults):
            typer.echo(f"    … and {check.fault_count - len(check.faults)} more")
    typer.echo()
    rows = [
        (
            holding.currency,
            holding.purpose,
            holding.place or "-",
            str(holding.accounts),
            _decimal(holding.posted, holding.scale),
            _decimal(holding.held, holding.scale),
        )
        for holding in report.money
    ]
    print_table(("currency", "purpose", "place", "accounts", "posted", "held"), rows)
    typer.echo()
    for name, numbers in report.counts.items():
        told = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
        typer.echo(f"{name}: {told or 'none'}")
    if not report.quiet.is_quiet:
        notes.print(f"Not at rest: {'; '.join(report.quiet.moving)}.", style="yellow")
    colour = {Verdict.GREEN: "green", Verdict.RED: "red", Verdict.SKIPPED: "yellow"}
    notes.print(f"Verdict: {report.verdict}", style=colour[report.verdict])


def _decimal(minor: int, scale: int) -> str:
    digits = str(abs(minor)).rjust(scale + 1, "0")
    sign = "-" if minor < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"
