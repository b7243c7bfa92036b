"""Many commands in one stream: row by row, in batches, each row with an answer of its own (F61).

An import is known by its Idempotency-Key. An upload that broke off is sent again with the same key:
rows that came before are passed over, and the rest is taken in. A wrong row spoils no other. One that
is cancelled takes in no more rows; the commands of those before stand.
"""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ValidationError

from tally_gateway.credentials import Caller
from tally_gateway.domain.rows import Row, rows
from tally_gateway.errors import KINDS as KINDS_OF_PROBLEMS
from tally_gateway.errors import FieldError, Problem
from tally_gateway.intake import Intake, Request, row_tenant
from tally_gateway.problems import field_errors, unread
from tally_gateway.routes import directory, funding, payouts
from tally_gateway.routes.model import CommandRoute
from tally_gateway.store import EVERY_TENANT, scoped
from tally_gateway.store import imports as store
from tally_gateway.store.imports import Import, RowAnswer
from tally_messaging import Transactor, UnitOfWork
from tally_runtime import derived_id

# As many as are read and built without keeping other requests waiting for long.
BATCH_ROWS: Final = 200
_DETAIL_CHARS: Final = 300
_ROW_REMEDY: Final = "correct the row and send it in a new import"


def _by_path(routes: Sequence[CommandRoute], path: str) -> CommandRoute:
    return next(route for route in routes if route.path == path)


KINDS: Final[Mapping[str, CommandRoute]] = {
    "payouts": _by_path(payouts.ROUTES, "/v1/payouts"),
    "pay-ins": _by_path(funding.ROUTES, "/v1/pay-ins"),
    "parties": _by_path(directory.ROUTES, "/v1/parties"),
    "wallets": _by_path(directory.ROUTES, "/v1/wallets"),
}
"""What a row may be: the body of this command."""


@dataclass(frozen=True, slots=True)
class Importing:
    """Takes imports in."""

    intake: Intake
    transactor: Transactor
    rows_max: int

    async def receive(
        self,
        caller: Caller,
        kind: str,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        media: str,
        correlation_id: str,
    ) -> Import:
        """Take in all rows of a stream; the import when the last one is answered."""
        begun = await self._begin(caller, kind, key)
        if begun.kind != kind:
            raise Problem("idempotency_key_reused", "The key came before with another import.")
        _check_open(begun)
        async for batch in _batches(rows(chunks, media)):
            if batch[-1].number > self.rows_max:
                raise Problem("body_too_large", f"An import has at most {self.rows_max} rows.")
            await self._take_in(caller, begun, batch, correlation_id)

        async def unit(uow: UnitOfWork) -> Import:
            await scoped(uow.conn, EVERY_TENANT)
            await store.end(uow.conn, begun.id, uow.now)
            return await store.lock(uow.conn, begun.id)

        return await self.transactor.run(unit)

    async def _begin(self, caller: Caller, kind: str, key: str) -> Import:
        import_id = derived_id("imp", caller.party, key)

        async def unit(uow: UnitOfWork) -> Import:
            await scoped(uow.conn, EVERY_TENANT)
            return await store.begin(uow.conn, _new(import_id, caller, kind, uow.now))

        return await self.transactor.run(unit)

    async def _take_in(
        self, caller: Caller, begun: Import, batch: Sequence[Row], correlation_id: str
    ) -> None:
        """Answer a batch in one transaction: commands, outbox and rows together."""
        hashed = {row.number: hashlib.sha256(row.raw).digest() for row in batch}
        read = {row.number: _read(row, KINDS[begun.kind]) for row in batch}

        async def unit(uow: UnitOfWork) -> None:
            conn = await scoped(uow.conn, EVERY_TENANT)
            _check_open(await store.lock(conn, begun.id))
            before = await store.hashes(conn, begun.id, batch[0].number, batch[-1].number)
            if any(hashed[number] != known for number, known in before.items()):
                raise Problem(
                    "idempotency_key_reused", "The key came before with other rows than these."
                )
            new = {n: each for n, each in read.items() if n not in before}
            requests = {
                number: Request(KINDS[begun.kind], caller, body, {}, correlation_id)
                for number, body in new.items()
                if not isinstance(body, RowAnswer)
            }
            taken = await self.intake.take_in(uow, list(requests.values()))
            answers = {n: each for n, each in new.items() if isinstance(each, RowAnswer)}
            for number, answer in zip(requests, taken, strict=True):
                answers[number] = (
                    _refused(number, answer)
                    if isinstance(answer, Problem)
                    else RowAnswer(number, b"", answer.command.id, answer.command.subject)
                )
            if answers:
                await store.add_rows(
                    conn,
                    begun.id,
                    begun.tenant,
                    [
                        replace(answers[number], row_hash=hashed[number])
                        for number in sorted(answers)
                    ],
                )

        await self.transactor.run(unit)


def _check_open(found: Import) -> None:
    if found.state == "cancelled":
        raise Problem(
            "import_cancelled",
            f"It was cancelled after {found.rows_accepted + found.rows_refused} rows.",
        )


def _new(import_id: str, caller: Caller, kind: str, now: datetime) -> Import:
    return Import(import_id, row_tenant(caller), caller.party, kind, "receiving", 0, 0, now, None)


async def _batches(found: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    batch: list[Row] = []
    async for row in found:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(row: Row, route: CommandRoute) -> BaseModel | RowAnswer:
    """The body a row is, or the answer to a row that is none."""
    if row.fields is None:
        return RowAnswer(
            row.number, b"", code="malformed_row", detail=row.fault, remedy=_ROW_REMEDY
        )
    try:
        body = route.body.model_validate(row.fields)
    except ValidationError as error:
        return _wrong(row.number, field_errors(error)[0])
    nobodys = next(unread(body, row.fields), None)
    return body if nobodys is None else _wrong(row.number, nobodys)


def _wrong(number: int, error: FieldError) -> RowAnswer:
    return RowAnswer(
        number,
        b"",
        code=error.code,
        field=error.field,
        detail=error.detail,
        remedy=error.remedy,
    )


def _refused(number: int, problem: Problem) -> RowAnswer:
    first = problem.errors[0] if problem.errors else None
    return RowAnswer(
        number,
        b"",
        code=problem.shown_code if first is None else first.code,
        field=problem.pointer if first is None else first.field,
        detail=(problem.detail if first is None else first.detail)[:_DETAIL_CHARS],
        remedy=(problem.remedy or KINDS_OF_PROBLEMS[problem.kind].remedy)
        if first is None
        else first.remedy,
    )
