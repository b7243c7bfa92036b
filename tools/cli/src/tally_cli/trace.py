"""`tally trace`: the whole process of one payment, found by any of its ids."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tally_cli.output import (
    EXIT_NOT_FOUND,
    JsonOption,
    VarOption,
    notes,
    print_json,
    print_table,
    reported,
    running_installation,
)
from tally_portfolio.app import SCHEMA
from tally_portfolio.document import payment_document, time_line_document
from tally_portfolio.domain.projection import Account, Hop
from tally_portfolio.domain.time_line import Payment, TimeLine, Waiting
from tally_portfolio.service import Found, find, time_line
from tally_postgres import create_pool, verify_version

_LISTED_MAX = 3
_COLUMNS = ("since", "service", "what", "detail", "who")
_MATCH_COLUMNS = ("payment", "received", "source", "external id", "amount", "state", "payouts")


def trace(
    id_: Annotated[
        str, typer.Argument(metavar="ID", help="Any id: pay-in, external, journal, payout, event …")
    ],
    var: VarOption = Path("var"),
    *,
    as_json: JsonOption = False,
) -> None:
    """Show a payment from pay-in to endpoint: every hop, where the money is, who must act.

    Several payments behind one id (a wallet's, a statement's) are listed. Exit code 3: none found.
    """
    with reported():
        dsn = os.environ.get("TALLY_POSTGRES_DSN") or running_installation(var).postgres_dsn
        found, line = asyncio.run(_look_up(dsn, id_))
    if not found.payments:
        typer.echo(_not_found(id_), err=True)
        raise typer.Exit(EXIT_NOT_FOUND)
    if as_json:
        print_json(
            {
                "id": id_,
                "payments": [payment_document(payment) for payment in found.payments],
                "more_payments": found.more,
                "time_line": None if line is None else time_line_document(line),
            }
        )
    elif line is None:
        _print_rows(_MATCH_COLUMNS, [_match(payment) for payment in found.payments])
        more = "the newest of more" if found.more else "all"
        notes.print(f"{len(found.payments)} payments, {more}. See one with: tally trace PAYMENT")
    else:
        print_time_line(line)


async def _look_up(dsn: str, id_: str) -> tuple[Found, TimeLine | None]:
    pool = await create_pool(
        dsn, schema=SCHEMA.name, application_name="tally_trace", min_size=1, max_size=1
    )
    try:
        await verify_version(pool, SCHEMA)
        found = await find(pool, id_)
        if len(found.payments) != 1:
            return found, None
        return found, await time_line(pool, found.payments[0].payment_id)
    finally:
        await pool.close()


def _not_found(id_: str) -> str:
    return (
        f"error [payment_not_found]: no payment is known by {id_[:200]!r}: give the id of a pay-in, "
        "payout, journal, transfer, hold, attempt, case, event or wallet account, an external id "
        "or a correlation id. Facts may still be on their way (tally lag) or set aside "
        "(tally dlq ls)"
    )


def _print_rows(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table for the eye on a terminal; plain aligned columns for anything else."""
    shown = [tuple(map(_printable, row)) for row in rows]
    if not sys.stdout.isatty():
        print_table(headers, shown)
        return
    table = Table(*headers, box=None, header_style="bold", pad_edge=False)
    for row in shown:
        table.add_row(*map(Text, row))
    Console().print(table)


def _printable(text: str) -> str:
    """Text of others without what could move a terminal's cursor or turn its direction."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _match(payment: Payment) -> tuple[str, ...]:
    pay_in = payment.pay_in
    states = ", ".join(payout.state for payout in payment.payouts)
    received = "-" if payment.first_at is None else f"{payment.first_at:%Y-%m-%d %H:%M:%S}"
    if pay_in is None:
        amounts = ", ".join(str(payout.amount) for payout in payment.payouts)
        return (payment.payment_id, received, "-", "-", amounts or "-", "-", states or "-")
    return (
        payment.payment_id,
        received,
        pay_in.source,
        pay_in.external_id,
        str(pay_in.amount),
        pay_in.state,
        states or "-",
    )


def print_time_line(line: TimeLine) -> None:
    """Print a payment for a person: what it is, every hop, where the money is, who must act."""
    for text in _head(line):
        typer.echo(_printable(text))
    typer.echo()
    rows = [
        (
            _seconds(step.since_first),
            step.hop.service,
            step.hop.event_type.rpartition(".v")[0],
            _detail(step.hop, line.accounts),
            _listed(step.hop, "who")[0],
        )
        for step in line.steps
    ]
    _print_rows(_COLUMNS, rows)
    typer.echo()
    for text in _foot(line):
        typer.echo(_printable(text))


def _head(line: TimeLine) -> Iterator[str]:
    payment = line.payment
    pay_in = payment.pay_in
    yield f"payment   {payment.payment_id}"
    if pay_in is not None:
        parties = f"{pay_in.company or 'company not known yet'} for {pay_in.owner or 'nobody yet'}"
        yield (
            f"pay-in    {pay_in.amount}  {pay_in.state}  "
            f"{pay_in.source} {pay_in.external_id}  {parties}"
        )
    for payout in payment.payouts:
        rail = "no rail yet" if payout.rail is None else f"by {payout.rail}"
        yield f"payout    {payout.amount}  {payout.state}  {payout.payout_id}  to {payout.owner} {rail}"
    first = next((step.hop for step in line.steps if "why" in step.hop.summary), None)
    if first is not None:
        yield f"why       {' · '.join(_listed(first, 'why'))}"
        yield f"where     {' · '.join(_listed(first, 'where'))}"
    yield f"started   {line.steps[0].hop.recorded_at:%Y-%m-%d %H:%M:%S} UTC"


def _foot(line: TimeLine) -> Iterator[str]:
    for flow in line.payment.flows():
        parts = [f"out {flow.paid_out}", f"under way {flow.under_way}"]
        if flow.received is not None:
            parts = [f"in {flow.received}", *parts, f"in wallets or suspense {flow.resting}"]
        if flow.returned:
            parts.append(f"returned {flow.returned}")
        yield f"money     {', '.join(parts)}"
    if line.payment.complete:
        yield "complete  every share is allocated and every payout has ended"
    for waiting in line.payment.waiting():
        yield f"waiting   {_standing(waiting)}"
    for record in line.set_aside:
        yield (
            f"set aside {record.consumer} {record.topic} {record.partition}/{record.offset} "
            f"{record.code}: of this payment or another, see tally dlq ls"
        )
    if line.truncated:
        yield "truncated there are more hops than are shown"


def _standing(waiting: Waiting) -> str:
    since = "" if waiting.since is None else f" since {waiting.since:%Y-%m-%d %H:%M:%S} UTC"
    why = waiting.reason_code or "no reason given"
    remedy = "" if waiting.remedy is None else f" ({waiting.remedy})"
    return (
        f"{waiting.subject} {waiting.state}{since}: {why}; "
        f"{waiting.must_act or 'nobody named'} must act{remedy}"
    )


def _seconds(since: timedelta) -> str:
    milliseconds = since // timedelta(milliseconds=1)
    return f"+{milliseconds // 1000}.{milliseconds % 1000:03d}s"


def _listed(hop: Hop, name: str) -> list[str]:
    values = hop.summary.get(name)
    return [str(value) for value in values if value] if isinstance(values, list) else ["-"]


def _detail(hop: Hop, accounts: Mapping[str, Account]) -> str:
    """What a hop says, in the order a reader asks: state, amount, from where to where, why not."""
    told = hop.summary
    parts: list[str] = []
    if "state" in told:
        before = f"{told['previous']} → " if "previous" in told else ""
        parts.append(f"{before}{told['state']}")
    if "amount" in told:
        parts.append(f"{told['amount']} {told['currency']}")
    if "credit" in told:
        parts.append(_movement(told["debit"], told["credit"], accounts))
    parts += _legs(told, accounts)
    parts += _shares(told)
    if "rail" in told:
        parts.append(f"by {told['rail']}")
    if "provider_reference" in told:
        parts.append(f"reference {told['provider_reference']}")
    for name in ("path", "operation", "reason_code", "code", "detail", "remedy"):
        if name in told:
            parts.append(str(told[name]))
    if "must_act" in told:
        parts.append(f"{told['must_act']} must act")
    return ", ".join(parts)


def _movement(debit: object, credit: object, accounts: Mapping[str, Account]) -> str:
    return f"{_path(debit, accounts)} → {_path(credit, accounts)}"


def _path(account_id: object, accounts: Mapping[str, Account]) -> str:
    known = accounts.get(str(account_id))
    return str(account_id) if known is None else known.path


def _legs(told: Mapping[str, object], accounts: Mapping[str, Account]) -> list[str]:
    legs, total = told.get("legs"), told.get("legs_total")
    if not isinstance(legs, list) or not isinstance(total, int):
        return []
    shown = [
        f"{_movement(debit, credit, accounts)} {amount} {currency}"
        for debit, credit, amount, currency, _ in legs[:_LISTED_MAX]
    ]
    return shown + _and_more(total)


def _shares(told: Mapping[str, object]) -> list[str]:
    shares = told.get("allocations")
    if not isinstance(shares, list):
        return []
    shown = [
        f"{owner} {amount} as {role}{', pay out' if pay_out else ''}"
        for _, owner, role, amount, pay_out in shares[:_LISTED_MAX]
    ]
    return shown + _and_more(len(shares))


def _and_more(total: int) -> list[str]:
    return [f"and {total - _LISTED_MAX} more"] if total > _LISTED_MAX else []
