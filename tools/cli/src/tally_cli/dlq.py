"""`tally dlq`: records that were set aside, what is wrong with them, and how to let them go."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
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
from tally_cli.platform import SERVICES, Installation
from tally_messaging import QuarantineNotFound, Router, Service, quarantine
from tally_messaging.batch import BatchProcessor
from tally_messaging.quarantine import RELAY_CONSUMER, QuarantinedRecord
from tally_messaging.replay import Replayed, drop, replay
from tally_postgres import Pool, create_pool

_SHOWN_BYTES = 2000

dlq_app = typer.Typer(
    name="dlq",
    help="Records set aside: list, look, replay after a fix, drop.",
    no_args_is_help=True,
)
IdArgument = Annotated[str, typer.Argument(help="The record's id, from `tally dlq ls`.")]
ActorOption = Annotated[
    str, typer.Option("--actor", envvar="TALLY_ACTOR", help="Who decides; kept with the record.")
]


@dataclass(frozen=True, slots=True)
class Located:
    """A record, and the service whose schema holds it."""

    service: str
    record: QuarantinedRecord


@dlq_app.command("ls")
def list_command(
    var: VarOption = Path("var"),
    service: Annotated[str | None, typer.Option(help="Only this service.")] = None,
    code: Annotated[str | None, typer.Option(help="Only this reason.")] = None,
    *,
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    state: Annotated[str, typer.Option(help="open, replayed, dropped, duplicate or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_json: JsonOption = False,
) -> None:
    """List quarantined records, oldest first."""
    with reported():
        found = asyncio.run(
            _find_all(
                running_installation(var), service, code=code, topic=topic, state=state, limit=limit
            )
        )
    if as_json:
        print_json([_as_json(record) for record in found])
        return
    rows = [
        (
            str(record.id),
            record.consumer,
            record.code,
            record.field or "-",
            record.topic,
            f"{record.partition}/{record.offset}",
            record.state,
        )
        for record in found
    ]
    print_table(("id", "consumer", "code", "field", "topic", "partition/offset", "state"), rows)
    notes.print(f"{len(found)} records. Look at one with: tally dlq show ID", style="dim")


@dlq_app.command("show")
def show_command(record_id: IdArgument, var: VarOption = Path("var")) -> None:
    """Show one record whole, as JSON: reason, headers, raw bytes, traceback."""
    with reported():
        located = asyncio.run(_find_one(running_installation(var), record_id))
    print_json(_shown(located.record))


@dlq_app.command("replay")
def replay_command(record_id: IdArgument, actor: ActorOption, var: VarOption = Path("var")) -> None:
    """Apply a record after its cause was fixed, exactly once, and those waiting behind it.

    Nothing changes when it still cannot be applied; the message says why.
    """

    async def act(processor: BatchProcessor, wanted: uuid.UUID) -> Replayed:
        return await replay(processor, wanted, actor)

    with reported():
        done = asyncio.run(_resolve(running_installation(var), record_id, act))
    print_json({"id": record_id, **asdict(done)})


@dlq_app.command("drop")
def drop_command(
    record_id: IdArgument,
    actor: ActorOption,
    var: VarOption = Path("var"),
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, never apply it.")] = False,
) -> None:
    """Give a record up for good; the ones waiting behind it are applied."""
    if not yes:
        raise typer.BadParameter(
            f"{record_id} will never be applied: repeat with --yes to confirm", param_hint="--yes"
        )

    async def act(processor: BatchProcessor, wanted: uuid.UUID) -> Replayed:
        return await drop(processor, wanted, actor)

    with reported():
        done = asyncio.run(_resolve(running_installation(var), record_id, act))
    behind = {"applied_behind_it": done.applied, "passed_over_behind_it": done.passed_over}
    print_json({"id": record_id, "dropped": True, **behind})


async def _find_all(
    installation: Installation,
    service: str | None,
    *,
    code: str | None,
    topic: str | None,
    state: str,
    limit: int,
) -> list[QuarantinedRecord]:
    found: list[QuarantinedRecord] = []
    for name in SERVICES if service is None else (service,):
        async with _pool(installation, name) as pool:
            found += await quarantine.find(
                pool, code=code, state=None if state == "all" else state, topic=topic, limit=limit
            )
    return sorted(found, key=lambda record: record.quarantined_at)[:limit]


async def _find_one(installation: Installation, record_id: str) -> Located:
    """The record, wherever it is; raises `QuarantineNotFound`."""
    try:
        wanted = uuid.UUID(record_id)
    except ValueError:
        raise QuarantineNotFound(record_id) from None
    for name in SERVICES:
        async with _pool(installation, name) as pool:
            record = await quarantine.get(pool, wanted)
            if record is not None:
                return Located(name, record)
    raise QuarantineNotFound(record_id)


async def _resolve(
    installation: Installation,
    record_id: str,
    act: Callable[[BatchProcessor, uuid.UUID], Awaitable[Replayed]],
) -> Replayed:
    """Act on a record with the handlers of the service that holds it."""
    located = await _find_one(installation, record_id)
    service = installation.build(located.service)
    async with _pool(installation, located.service) as pool:
        router = _router(service, located.record.consumer)
        processor = service.processor(router, service.transactor(pool=pool))
        return await act(processor, located.record.id)


@asynccontextmanager
async def _pool(installation: Installation, name: str) -> AsyncIterator[Pool]:
    pool = await create_pool(
        installation.dsn(name), schema=name, application_name="tally_dlq", max_size=2
    )
    try:
        yield pool
    finally:
        await pool.close()


def _router(service: Service, consumer: str) -> Router:
    if consumer == RELAY_CONSUMER:
        return service.routers[0]
    return next(router for router in service.routers if router.consumer == consumer)


def _shown(record: QuarantinedRecord) -> dict[str, object]:
    whole = _as_json(record)
    whole["headers"] = [
        [name, None if value is None else _bytes_shown(value)] for name, value in record.headers
    ]
    whole["key"] = None if record.key is None else _bytes_shown(record.key)
    whole["value"] = None if record.value is None else _bytes_shown(record.value[:_SHOWN_BYTES])
    whole["value_base64"] = (
        None if record.value is None else base64.b64encode(record.value).decode()
    )
    whole["trace"] = record.trace
    return whole


def _bytes_shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _as_json(record: QuarantinedRecord) -> dict[str, object]:
    return {
        "id": str(record.id),
        "consumer": record.consumer,
        "code": record.code,
        "field": record.field,
        "detail": record.detail,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "state": record.state,
        "quarantined_at": record.quarantined_at.isoformat(),
        "resolved_by": record.resolved_by,
    }
