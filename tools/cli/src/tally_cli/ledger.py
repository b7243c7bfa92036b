"""`tally ledger`: prove that a transfer is in the books, check a proof, list signed roots."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from tally_cli.output import (
    EXIT_FAILED,
    EXIT_NOT_FOUND,
    EXIT_ORACLE_RED,
    EXIT_USAGE,
    JsonOption,
    VarOption,
    notes,
    print_json,
    print_table,
    reported,
    running_installation,
)
from tally_cli.shards import LedgerDsnOption, databases_of
from tally_ledger.app import SCHEMA
from tally_ledger.placement import home_of
from tally_ledger.proofs import (
    ChangeProof,
    Proof,
    ProofError,
    Proven,
    PublicKey,
    TransferUnknown,
    check_proof,
)
from tally_ledger.proofs.errors import KeyMalformed
from tally_ledger.proving import BooksDiffer, make_proof
from tally_ledger.store import roots as stored
from tally_postgres import Connection, create_pool, verify_version

T = TypeVar("T")
_PROOF_BYTES_MAX = 16_000_000

LedgerOption = Annotated[str | None, typer.Option(help="Of this ledger alone.")]

ledger_app = typer.Typer(name="ledger", help="Prove what is in the books.", no_args_is_help=True)


@ledger_app.command()
def prove(
    transfer: Annotated[
        str, typer.Argument(help="The id of a transfer, of its journal, or of an account change.")
    ],
    var: VarOption = Path("var"),
    *,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the proof there; unset: to stdout.")
    ] = None,
    ledger: LedgerOption = None,
    ledger_dsn: LedgerDsnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that a transfer or an account change is in the books, by a document that anyone can check offline.

    Every database of the placement is asked, or that of --ledger alone. With --out or without
    --json a summary for a person is printed. Exit code 3: no such transfer; 5: the rows are not
    those that were recorded; 1: it cannot be proven (booked before proofs were); 2: ledgers in two
    databases have an id in common, and --ledger is to say which.
    """
    proof = _the_one(_read(var, (ledger, ledger_dsn), partial(_proof, transfer, ledger)), transfer)
    text = proof.model_dump_json(indent=2) + "\n"
    if out is not None:
        out.write_text(text)
    elif as_json or not sys.stdout.isatty():
        typer.echo(text, nl=False)
        return
    if isinstance(proof, ChangeProof):
        change = proof.leaf.change
        typer.echo(f"change    {change['id']}: {change['operation']} of {change['account']}")
    else:
        typer.echo(f"journal   {proof.leaf.journal['id']} of {len(proof.leaf.transfers)} transfers")
    typer.echo(f"batch     {proof.batch.log_seq} of {proof.batch.shard}, {proof.batch.recorded_at}")
    if proof.day is None:
        last = proof.later[-1] if proof.later else proof.batch
        typer.echo(f"day       open: not signed yet; leads to head {last.log_seq} {last.root}")
    else:
        typer.echo(f"day       {proof.day.day}, signed with key {proof.day.key_id}")
    if out is None:
        notes.print("Keep the document with --out FILE or --json.")


@ledger_app.command("check-proof")
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, allow_dash=True)],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A public key one trusts, in base64; give several times after a change."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a proof without any database.

    Exit code 0: it holds (for an open day: if the head shown is the head of the books, which is to
    be learnt from elsewhere); 5: it does not, and why; 2: a key that is none.
    """
    try:
        keys = [PublicKey.parse(text) for text in key or ()]
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as stream:
            document = stream.read(_PROOF_BYTES_MAX)
        proven = check_proof(document, keys)
    except KeyMalformed as error:
        _fail(error, EXIT_USAGE)
    except ProofError as error:
        _fail(error, EXIT_ORACLE_RED)
    if as_json:
        print_json(_document(proven))
    else:
        _print(proven)


@ledger_app.command()
def roots(
    var: VarOption = Path("var"),
    *,
    ledger: LedgerOption = None,
    ledger_dsn: LedgerDsnOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the signed root of each day, and the public keys they were signed with.

    Of every database of the placement, or of that of --ledger alone.
    """
    listed = _read(var, (ledger, ledger_dsn), lambda conn: _listed(conn, ledger))
    days = sorted(
        (day for of_one, _ in listed for day in of_one), key=lambda day: (day["ledger"], day["day"])
    )
    # Databases share a key, each since its own first start.
    keys: list[dict[str, str]] = []
    for key in sorted((key for _, of_one in listed for key in of_one), key=lambda k: k["since"]):
        if key["key_id"] not in {known["key_id"] for known in keys}:
            keys.append(key)
    if as_json:
        print_json({"roots": days, "keys": keys})
        return
    names = ("ledger", "day", "first_log", "last_log", "root", "key_id")
    print_table(names, [tuple(str(day[name]) for name in names) for day in days])
    typer.echo()
    print_table(("key_id", "public_key", "since"), [tuple(key.values()) for key in keys])


async def _listed(
    conn: Connection, ledger: str | None
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    days: list[dict[str, Any]] = [
        {
            "ledger": day.of.shard,
            "day": day.of.day.isoformat(),
            "first_log": day.of.first_log,
            "last_log": day.of.last_log,
            "root": day.of.root.hex(),
            "head": day.of.head.hex(),
            "previous": day.of.previous.hex(),
            "signed_at": day.of.signed_at.isoformat(),
            "key_id": day.of.key_id,
            "signature": day.signature.hex(),
        }
        for day in await stored.days(conn, ledger)
    ]
    keys = [
        {"key_id": id_, "public_key": str(PublicKey(raw)), "since": since.isoformat()}
        for id_, raw, since in await stored.keys(conn)
    ]
    return days, keys


async def _proof(transfer: str, ledger: str | None, conn: Connection) -> Proof | ChangeProof | None:
    """The proof of a transfer of a ledger here, None if these books do not have it."""
    try:
        proof = await make_proof(conn, transfer)
    except TransferUnknown:
        return None
    return proof if ledger in {None, proof.batch.shard} else None


def _the_one(found: Sequence[Proof | ChangeProof | None], transfer: str) -> Proof | ChangeProof:
    """The proof that was found; exits where none was, or more than one."""
    proofs = [proof for proof in found if proof is not None]
    if not proofs:
        _fail(TransferUnknown(transfer), EXIT_NOT_FOUND)
    if len(proofs) > 1:
        ledgers = " and ".join(sorted(proof.batch.shard for proof in proofs))
        _fail(
            ProofError(
                f"is in the books of {ledgers}", field="transfer", remedy="choose one with --ledger"
            ),
            EXIT_USAGE,
        )
    return proofs[0]


def _read(
    var: Path,
    where: tuple[str | None, Sequence[str] | None],
    question: Callable[[Connection], Awaitable[T]],
) -> list[T]:
    """Ask each database that may keep the ledger, in one snapshot each; exits where there is no answer."""
    with reported():
        core = os.environ.get("TALLY_POSTGRES_DSN") or running_installation(var).postgres_dsn
        ledger, given = where
        try:
            return asyncio.run(_ask_each(databases_of(given, ledger, core), question))
        except BooksDiffer as error:
            _fail(error, EXIT_ORACLE_RED)
        except ProofError as error:
            _fail(error, EXIT_FAILED)


async def _ask_each(
    dsns: Mapping[str, str], question: Callable[[Connection], Awaitable[T]]
) -> list[T]:
    return [await _ask(name, dsn, question) for name, dsn in dsns.items()]


async def _ask(name: str, dsn: str, question: Callable[[Connection], Awaitable[T]]) -> T:
    pool = await create_pool(
        dsn, schema=SCHEMA.name, application_name="tally_ledger_cli", min_size=1, max_size=1
    )
    try:
        await verify_version(pool, SCHEMA)
        async with (
            pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            home = await home_of(conn)
            if home not in {None, name}:
                raise ProofError(
                    f"its processes call this database {home}",
                    field=f"database {name}",
                    remedy="correct TALLY_POSTGRES_DSN or --ledger-dsn",
                )
            return await question(conn)
    finally:
        await pool.close()


def _fail(error: ProofError, exit_code: int) -> NoReturn:
    typer.echo(f"error [{error.code}]: {error}", err=True)
    raise typer.Exit(exit_code) from error


def _document(proven: Proven) -> dict[str, Any]:
    return {
        "holds": True,
        "signed": proven.day is not None,
        "ledger": proven.shard,
        "log_seq": proven.log_seq,
        "day": proven.day,
        "key_id": proven.key_id,
        "head": proven.head,
        "head_seq": proven.head_seq,
        "journal": None if proven.journal is None else dict(proven.journal),
        "change": None if proven.change is None else dict(proven.change),
        "transfers": [dict(transfer) for transfer in proven.transfers],
    }


def _print(proven: Proven) -> None:
    if proven.journal is not None:
        typer.echo(f"journal   {proven.journal['id']}, recorded {proven.journal['recorded_at']}")
    if proven.change is not None:
        change = proven.change
        typer.echo(
            f"change    {change['id']}: {change['operation']} of {change['account']} by "
            f"{change['who_actor']}, recorded {change['recorded_at']}"
        )
    for moved in proven.transfers:
        typer.echo(
            f"transfer  {moved['id']} {moved['kind']} {moved['amount']} minor units of "
            f"{moved['asset']} from {moved['debit']} to {moved['credit']}"
        )
    if proven.day is None:
        typer.echo(
            f"holds     if the head of {proven.shard} at batch {proven.head_seq} is {proven.head}; "
            "its day is not signed yet"
        )
    else:
        typer.echo(f"holds     in the signed root of {proven.day}, key {proven.key_id}")
