"""`tally fund FILE`: publish funding events from a file, or import a bank statement."""

import asyncio
import base64
import gzip
import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from tally_bankfiles.camt import StatementError, read_statements
from tally_cli.output import (
    EXIT_FAILED,
    EXIT_USAGE,
    VarOption,
    print_error,
    print_json,
    reported,
    running_installation,
)
from tally_cli.publishing import CLI_SOURCE, Publication, publication, publish
from tally_contracts.base import Who
from tally_contracts.funding import (
    FundingReceived,
    ImportStatement,
    StatementImported,
)
from tally_messaging.envelope import CE_TYPE
from tally_runtime import Ids, SystemClock, derived_id, derived_uuid

_CONTENT_CHARS_MAX = 850_000


def fund(
    file: Annotated[
        Path,
        typer.Argument(
            help="A camt.053 statement (.xml), or funding events, one JSON object a line (.jsonl).",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    var: VarOption = Path("var"),
    source: Annotated[
        str, typer.Option(help="The funding source the events of a .jsonl file come from.")
    ] = "invoices",
    wait_s: Annotated[
        int,
        typer.Option("--wait", min=1, max=600, help="Seconds to wait for a statement's outcome."),
    ] = 30,
) -> None:
    """Publish funding events from a file, or import a bank statement whole or not at all.

    Examples: tally fund pay-ins.jsonl --source invoices; tally fund statement.xml

    A file with anything wrong in it publishes nothing; the message names the line and the field.
    A .jsonl line is the event's data, as in docs/reference/funding-events.md; publishing the same
    line again changes nothing, since its event id is made from source and external_id.
    """
    content = file.read_bytes()
    if file.suffix.lower() == ".xml" or content.lstrip()[:1] == b"<":
        command = _statement_command(file, content)
        with reported():
            installation = running_installation(var)
            outcome = asyncio.run(_import_statement(installation.kafka, command, wait_s))
        print_json(outcome)
        if outcome["type"] != StatementImported.TYPE:
            raise typer.Exit(EXIT_FAILED)
        return
    records = _funding_events(file, content, source)
    with reported():
        installation = running_installation(var)
        try:
            asyncio.run(publish(installation.kafka, records))
        except KafkaError as error:
            _refuse(
                "broker", f"the broker refused: {error}: is {source} one of TALLY_FUNDING_SOURCES?"
            )
    print_json({"published": len(records), "topic": f"funding.inbound.{source}.v1"})


def _funding_events(file: Path, content: bytes, source: str) -> list[Publication]:
    clock = SystemClock()
    records = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            event = FundingReceived.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "(line)"
            _refuse(
                first["type"], f"{file}:{number}: {field}: {first['msg']}; nothing was published"
            )
        records.append(
            publication(
                event,
                topic=f"funding.inbound.{source}.v1",
                key=event.external_id,
                event_id=str(derived_uuid("tally-fund", source, event.external_id)),
                source=f"/upstream/{source}",
                clock=clock,
            )
        )
    if not records:
        _refuse("empty_file", f"{file} holds no funding event: one JSON object a line")
    return records


def _statement_command(file: Path, content: bytes) -> Publication:
    try:
        read_statements(content)
    except StatementError as error:
        _refuse(error.code, f"{file}:{error.line}: {error.field}: {error}; nothing was imported")
    packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    if len(packed) > _CONTENT_CHARS_MAX:
        _refuse("file_too_large", f"{file} is too large for one import: split it by statement")
    import_id = derived_id("imp", file.name, packed)
    event = ImportStatement(
        import_id=import_id,
        file_name=file.name[:500],
        content=packed,
        who=Who(actor="cli", principal="operator"),
    )
    # A fresh record id: importing again is asked again, and answered `already_known`.
    return publication(
        event,
        topic="funding.commands.v1",
        key=import_id,
        event_id=str(Ids().uuid7()),
        source=CLI_SOURCE,
        clock=SystemClock(),
    )


async def _import_statement(kafka: str, command: Publication, wait_s: int) -> dict[str, Any]:
    assert command.value is not None, "a command has a body"
    import_id = json.loads(command.value)["import_id"]
    async with AIOKafkaConsumer(
        "funding.statements.v1", bootstrap_servers=kafka, auto_offset_reset="latest"
    ) as consumer:
        # Positions first, so that the answer cannot come before anyone listens.
        for partition in consumer.assignment():
            await consumer.position(partition)
        await publish(kafka, [command])
        try:
            async with asyncio.timeout(wait_s):
                async for record in consumer:
                    body = json.loads(record.value)
                    if body.get("import_id") == import_id:
                        event_type = dict(record.headers)[CE_TYPE].decode()
                        return {"type": event_type, **body}
        except TimeoutError:
            print_error(
                "no_answer",
                f"no outcome within {wait_s} s: is funding running? See `tally lag`.",
            )
    return {"type": "no_answer", "import_id": import_id}


def _refuse(code: str, message: str) -> NoReturn:
    typer.echo(f"error [{code}]: {message}", err=True)
    raise typer.Exit(EXIT_USAGE)
