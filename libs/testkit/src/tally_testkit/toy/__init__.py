"""A service of one table that shows every double, lost or disordered application. For fault tests."""

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tally_messaging import (
    MessagingSettings,
    Received,
    Router,
    Service,
    Subscription,
    UnitOfWork,
    service_schema,
)
from tally_postgres import Pool

SCHEMA = service_schema("toy", __file__)
_APPLY = """
INSERT INTO step (name, n) SELECT s.name, s.n FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS s (name, n, o)
ORDER BY s.o
"""


class StepAdded(BaseModel):
    """Step `n` of `name`; `fails` makes the use case raise until the fix is in."""

    model_config = ConfigDict(frozen=True)
    TYPE: ClassVar[str] = "toy.step.added.v1"
    name: str
    n: int
    fails: bool = False


class StepCounted(BaseModel):
    """Step `n` of `name` was applied."""

    model_config = ConfigDict(frozen=True)
    TYPE: ClassVar[str] = "toy.step.counted.v1"
    name: str
    n: int


class ToySettings(MessagingSettings):
    """Where the toy works."""

    postgres_dsn: SecretStr = Field(validation_alias="TALLY_TOY_POSTGRES_DSN")
    toy_input: str = "toy.in"
    toy_output: str = "toy.out"
    toy_ordered: bool = True
    toy_consumer: str = "toy"


class UnfixedError(RuntimeError):
    """The use case's own bug."""


def build_app(
    settings: ToySettings, step: Callable[[str], Awaitable[None]] | None = None
) -> Service:
    """The toy: applies steps in order, tells of each."""
    router = Router(
        settings.toy_consumer, [Subscription(settings.toy_input, ordered=settings.toy_ordered)]
    )

    @router.fold(StepAdded)
    async def apply(uow: UnitOfWork, messages: Sequence[Received[StepAdded]]) -> None:
        if any(message.event.fails for message in messages) and not await uow.conn.fetchval(
            "SELECT bool_or(fixed) FROM fix"
        ):
            raise UnfixedError("this step fails until the fix is in")
        events = [message.event for message in messages]
        await uow.conn.execute(_APPLY, [e.name for e in events], [e.n for e in events])
        for message in messages:
            event = message.event
            uow.emit(
                StepCounted(name=event.name, n=event.n),
                topic=settings.toy_output,
                key=event.name,
                cause=message,
            )

    if step is None:
        return Service("toy", settings, schema=SCHEMA, routers=[router])
    return Service("toy", settings, schema=SCHEMA, routers=[router], step=step)


async def applied(pool: Pool) -> dict[str, list[int]]:
    """The steps applied, by name, in the order they were applied."""
    steps: dict[str, list[int]] = defaultdict(list)
    for name, n in await pool.fetch("SELECT name, n FROM step ORDER BY id"):
        steps[name].append(n)
    return dict(steps)


def dies_at(point: str, turn: int) -> Callable[[str], Awaitable[None]]:
    """A step that kills this process with SIGKILL the `turn`-th time `point` is reached."""
    seen: Counter[str] = Counter()

    async def step(reached: str) -> None:
        seen[reached] += 1
        if reached == point and seen[reached] == turn:
            os.kill(os.getpid(), signal.SIGKILL)

    return step
