"""The admin API: steering and the book, for tests and demonstrations. JSON in, JSON out."""

from datetime import date, timedelta
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tally_bank_simulator.banking_days import is_banking_day
from tally_bank_simulator.desk import Desk
from tally_bank_simulator.errors import (
    InvalidRequestError,
    ResetNotConfirmedError,
    SimulatorError,
)
from tally_bank_simulator.faults import Fault, Faults
from tally_bank_simulator.rules import DEBIT_SUFFIXES, SUFFIXES, Rule
from tally_bank_simulator.views import BookFilter, book_view, files_view, rules_view

_BODY_BYTES_MAX = 1024 * 1024
_ADVANCE_DAYS_MAX = 3660
_STATES = frozenset({"accepted", "rejected", "settled", "returned"})


Model = TypeVar("Model", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClockBody(_Body):
    """One of the three."""

    date_: date | None = Field(default=None, alias="date")
    advance_days: Annotated[int, Field(ge=1, le=_ADVANCE_DAYS_MAX, strict=True)] | None = None
    follow: Literal["system"] | None = None


class SuffixBody(_Body):
    """Whether account suffixes steer the bank."""

    enabled: Annotated[bool, Field(strict=True)]


class ResetBody(_Body):
    """The confirmation of a reset."""

    confirm: str


class Admin:
    """The handlers; every one that touches the book goes through the desk."""

    def __init__(self, desk: Desk, faults: Faults) -> None:
        self._desk = desk
        self._faults = faults

    def app(self) -> Starlette:
        """The routes of README.md."""
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/book", self.book),
                Route("/clock", self.clock),
                Route("/clock", self.set_clock, methods=["POST"]),
                Route("/rules", self.rules),
                Route("/rules", self.add_rule, methods=["POST"]),
                Route("/rules", self.clear_rules, methods=["DELETE"]),
                Route("/rules/account-suffixes", self.account_suffixes),
                Route("/rules/account-suffixes", self.set_suffixes, methods=["PUT"]),
                Route("/rules/{rule_id:int}", self.remove_rule, methods=["DELETE"]),
                Route("/faults", self.faults),
                Route("/faults", self.add_fault, methods=["POST"]),
                Route("/faults", self.clear_faults, methods=["DELETE"]),
                Route("/files", self.files),
                Route("/files/{upload_id:int}/redeliver", self.redeliver, methods=["POST"]),
                Route("/reset", self.reset, methods=["POST"]),
            ],
            exception_handlers={SimulatorError: _refused},
        )

    async def health(self, _: Request) -> Response:
        today = await self._desk.call(self._desk.bank.today)
        return JSONResponse({"status": "ok", "date": today.isoformat()})

    async def book(self, request: Request) -> Response:
        wanted = _book_filter(request)
        return JSONResponse(await self._desk.call(book_view, self._desk.bank.book, wanted))

    async def clock(self, _: Request) -> Response:
        return await self._clock()

    async def set_clock(self, request: Request) -> Response:
        body = await _body(request, ClockBody)
        bank = self._desk.bank
        given = [body.date_, body.advance_days, body.follow]
        if sum(value is not None for value in given) != 1:
            raise InvalidRequestError("date, advance_days, follow: give exactly one of them")
        if body.date_ is not None:
            await self._desk.call(bank.set_date, body.date_)
        elif body.advance_days is not None:
            today = await self._desk.call(bank.today)
            await self._desk.call(bank.set_date, today + timedelta(days=body.advance_days))
        else:
            await self._desk.call(bank.follow_system)
        return await self._clock()

    async def _clock(self) -> Response:
        today = await self._desk.call(self._desk.bank.today)
        fixed = await self._desk.call(self._desk.bank.book.setting, "clock") == "fixed"
        return JSONResponse(
            {
                "date": today.isoformat(),
                "follows": "nothing" if fixed else "system",
                "banking_day": is_banking_day(today),
            }
        )

    async def rules(self, _: Request) -> Response:
        return JSONResponse(await self._desk.call(rules_view, self._desk.bank.book))

    async def add_rule(self, request: Request) -> Response:
        rule = await _body(request, Rule)
        rule_id, reached = await self._desk.call(self._desk.bank.add_rule, rule)
        return JSONResponse({"rule_id": rule_id, "existing_reached": reached}, 201)

    async def clear_rules(self, _: Request) -> Response:
        await self._desk.call(self._desk.bank.clear_rules)
        return JSONResponse({"rules": []})

    async def remove_rule(self, request: Request) -> Response:
        await self._desk.call(self._desk.bank.remove_rule, request.path_params["rule_id"])
        return JSONResponse({"removed": request.path_params["rule_id"]})

    async def account_suffixes(self, _: Request) -> Response:
        tables = {"all": SUFFIXES, "debits_only": DEBIT_SUFFIXES}
        return JSONResponse(
            {
                name: {
                    suffix: rule.model_dump(mode="json", exclude_defaults=True)
                    for suffix, rule in table.items()
                }
                for name, table in tables.items()
            }
        )

    async def set_suffixes(self, request: Request) -> Response:
        body = await _body(request, SuffixBody)
        await self._desk.call(self._desk.bank.use_suffixes, enabled=body.enabled)
        return JSONResponse({"enabled": body.enabled})

    async def faults(self, _: Request) -> Response:
        return JSONResponse({"faults": self._faults.listed()})

    async def add_fault(self, request: Request) -> Response:
        fault = await _body(request, Fault)
        return JSONResponse({"fault_id": self._faults.add(fault)}, 201)

    async def clear_faults(self, _: Request) -> Response:
        self._faults.clear()
        return JSONResponse({"faults": []})

    async def files(self, _: Request) -> Response:
        return JSONResponse(await self._desk.call(files_view, self._desk.bank.book))

    async def redeliver(self, request: Request) -> Response:
        upload_id = request.path_params["upload_id"]
        return JSONResponse({"name": await self._desk.call(self._desk.bank.redeliver, upload_id)})

    async def reset(self, request: Request) -> Response:
        body = await _body(request, ResetBody)
        if body.confirm != "reset":
            raise ResetNotConfirmedError('confirm: send {"confirm": "reset"} to forget everything')
        self._faults.clear()
        await self._desk.call(self._desk.bank.reset)
        return JSONResponse({"reset": True})


async def _body(request: Request, model: type[Model]) -> Model:
    raw = await request.body()
    if len(raw) > _BODY_BYTES_MAX:
        raise InvalidRequestError(f"body: at most {_BODY_BYTES_MAX} bytes, split the request")
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidRequestError(f"{field}: {first['msg']}; see README.md") from error


def _book_filter(request: Request) -> BookFilter:
    query = request.query_params
    unknown = set(query) - {"state", "since", "trace", "after", "limit"}
    if unknown:
        raise InvalidRequestError(f"{min(unknown)}: not a filter, see README.md")
    state, since = query.get("state"), query.get("since")
    if state is not None and state not in _STATES:
        raise InvalidRequestError(f"state: one of {', '.join(sorted(_STATES))}")
    numbers: dict[str, int | None] = {"after": 0, "limit": None}
    for name in numbers:
        text = query.get(name)
        if text is not None:
            if not (text.isascii() and text.isdigit()):
                raise InvalidRequestError(f"{name}: a whole number from 0")
            numbers[name] = int(text)
    try:
        since_date = None if since is None else date.fromisoformat(since)
    except ValueError as error:
        raise InvalidRequestError("since: a date such as 2026-11-24") from error
    return BookFilter(
        state, since_date, query.get("trace"), numbers["after"] or 0, numbers["limit"]
    )


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, SimulatorError)
    return JSONResponse({"error": {"code": error.code, "message": str(error)}}, error.status)
