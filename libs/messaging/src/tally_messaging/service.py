"""A service: its pool, consumers, relay and workers, started and stopped as one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from opentelemetry import trace

from tally_messaging import quarantine
from tally_messaging.batch import BatchProcessor, Step, no_step
from tally_messaging.consumer import Consumer, create_broker
from tally_messaging.metrics import MessagingMetrics
from tally_messaging.relay import Relay
from tally_messaging.retention import Retention
from tally_messaging.router import Router
from tally_messaging.settings import MessagingSettings
from tally_messaging.unit_of_work import Transactor
from tally_postgres import MigrationSource, Pool, Schema, create_pool, is_transient, verify_version
from tally_runtime import (
    BackgroundTasks,
    Clock,
    Health,
    HealthServer,
    Ids,
    Metrics,
    SystemClock,
    Tracing,
    configure_tracing,
    get_logger,
)

_LOG = get_logger("tally_messaging.service")

MESSAGING_MIGRATIONS = MigrationSource("messaging", Path(__file__).parent / "migrations")
_GAUGE_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker works with. `stopping` is set when it should come to an end."""

    transactor: Transactor
    pool: Pool
    clock: Clock
    ids: Ids
    health: Health
    stopping: asyncio.Event

    async def take_turns(
        self, name: str, pause_s: float, turn: Callable[[], Awaitable[bool]]
    ) -> None:
        """Take turns until `stopping`: at once while a turn says there is more, else after a pause.

        A database or broker that is away ends the turn, not the worker. `name` is the worker's.
        """
        while not self.stopping.is_set():
            more = False
            try:
                more = await turn()
            except Exception as error:
                if not is_transient(error):
                    raise
                _LOG.warning("worker_backs_off", worker=name, error=type(error).__name__)
            self.health.progress(name)
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), pause_s)


class Worker(Protocol):
    """A loop beside the consumers: due jobs, polling, expiry. It returns once `stopping` is set.

    It calls `context.health.progress(name)` at least every `within_s` seconds; `take_turns` does.
    """

    @property
    def name(self) -> str: ...
    @property
    def within_s(self) -> float: ...
    async def run(self, context: WorkerContext) -> None: ...


def service_schema(name: str, package_file: str) -> Schema:
    """The schema of a service: the messaging tables, then the service's own `migrations` folder.

    `package_file` is the `__file__` of a module in the service's package.
    """
    own = MigrationSource(name, Path(package_file).parent / "migrations")
    return Schema(name, (MESSAGING_MIGRATIONS, own))


class Service:
    """One service of the platform, the same whether it shares a process with others or not.

    `steps` are called at named points of the work ("fetched", "applied", "committed", "sending", "sent") so
    that fault tests can stop the process exactly there; nothing else uses them.
    """

    def __init__(  # noqa: PLR0913 - the composition root's one call, all by keyword
        self,
        name: str,
        settings: MessagingSettings,
        *,
        schema: Schema,
        routers: Sequence[Router],
        workers: Sequence[Worker] = (),
        prepare: Callable[[Transactor], Awaitable[None]] | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        metrics: Metrics | None = None,
        step: Step = no_step,
    ) -> None:
        self.name = name
        self.settings = settings
        self.schema = schema
        self.routers = tuple(routers)
        self.clock: Clock = clock or SystemClock()
        self.ids = ids or Ids()
        self.health = Health(self.clock)
        self._workers = tuple(workers)
        self._prepare = prepare
        self._step = step
        self._metrics = (metrics or Metrics(name)).for_service(name)
        self._messaging_metrics = MessagingMetrics.of(self._metrics)
        self._background = BackgroundTasks(name)
        self._stopping = asyncio.Event()
        self._worker_tasks: list[asyncio.Task[None]] = []
        self._pool: Pool | None = None
        self._relay: Relay | None = None
        self._consumers: list[Consumer] = []
        self._health_server: HealthServer | None = None
        self._tracing: Tracing | None = None
        self.broker = create_broker(settings, name)

    @property
    def pool(self) -> Pool:
        """The service's own pool; there while it runs."""
        assert self._pool is not None, f"{self.name} is not running"
        return self._pool

    async def start(self) -> None:
        """Open the pool, check the schema's version, start publishing, consuming and working."""
        settings = self.settings
        self._tracing = configure_tracing(self.name, settings.otlp_endpoint)
        self._pool = await create_pool(
            settings.postgres_dsn.get_secret_value(),
            schema=self.schema.name,
            application_name=f"tally_{self.name}",
            max_size=settings.pool_size,
        )
        await verify_version(self._pool, self.schema)
        retention = Retention(self._pool, settings, self.clock, self._messaging_metrics)
        await retention.keep()
        owner = f"{self.name}-{settings.instance or self.ids.uuid7()}"
        self._relay = Relay(
            self._pool,
            settings,
            owner=owner,
            clock=self.clock,
            ids=self.ids,
            metrics=self._messaging_metrics,
            step=self._step,
        )
        await self._relay.start()
        transactor = self.transactor()
        if self._prepare is not None:
            await self._prepare(transactor)
        await self.broker.connect()
        self._consumers = [self._consumer(router, transactor) for router in self.routers]
        await asyncio.gather(*(consumer.start() for consumer in self._consumers))
        self._start_workers(transactor)
        self._background.start("watch", self._watch_progress())
        self._background.start("retention", retention.run())
        if settings.health_port:
            self.health.require("database", self._database_answers)
            self._health_server = HealthServer(
                self.health, self._metrics.registry, settings.health_host, settings.health_port
            )
            await self._health_server.start()

    async def stop(self) -> None:
        """Stop fetching, finish what is in work, publish what was committed, close."""
        self._stopping.set()
        await self._background.stop()
        await asyncio.gather(*(consumer.stop() for consumer in self._consumers))
        await asyncio.gather(*self._worker_tasks, return_exceptions=True)
        if self._relay is not None:
            await self._relay.stop()
        if self._health_server is not None:
            await self._health_server.stop()
        if self._pool is not None:
            await self._pool.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.shutdown)

    async def watch(self) -> None:
        """Raise when a background task of the service has ended: it cannot do its work any more."""
        await self._background.watch()

    def transactor(self, *, pool: Pool | None = None) -> Transactor:
        """Units of work of this service; with `pool`, outside the running service (operators)."""
        relay = self._relay
        return Transactor(
            pool=pool or self.pool,
            clock=self.clock,
            ids=self.ids,
            source=f"/tallystick/{self.settings.tenant}/{self.name}",
            lanes=self.settings.outbox_lanes,
            max_payload_bytes=self.settings.payload_bytes_max,
            wake_relay=(lambda: None) if relay is None else relay.wake,
            hand_over=None if relay is None else relay.hand_over,
            # Spans that nobody collects would cost as much as those somebody does.
            tracer=trace.get_tracer("tally_messaging") if self.settings.otlp_endpoint else None,
        )

    def processor(self, router: Router, transactor: Transactor) -> BatchProcessor:
        """How batches of this router are applied."""
        return BatchProcessor(
            router,
            transactor,
            self._messaging_metrics,
            attempts=self.settings.record_attempts_max,
            step=self._step,
        )

    def _consumer(self, router: Router, transactor: Transactor) -> Consumer:
        return Consumer(self.broker, self.processor(router, transactor), self.settings, self.clock)

    def _start_workers(self, transactor: Transactor) -> None:
        context = WorkerContext(
            transactor=transactor,
            pool=self.pool,
            clock=self.clock,
            ids=self.ids,
            health=self.health,
            stopping=self._stopping,
        )
        for worker in self._workers:
            self.health.expect(worker.name, worker.within_s)
            self._background.start(worker.name, self._until_stopping(worker, context))

    async def _until_stopping(self, worker: Worker, context: WorkerContext) -> None:
        task = asyncio.create_task(worker.run(context), name=f"{self.name}-{worker.name}")
        self._worker_tasks.append(task)
        # Shielded: stopping lets the call in hand end and its outcome be recorded.
        await asyncio.shield(task)

    async def _watch_progress(self) -> None:
        """Pass the progress of consumers and relay on to the liveness probe; keep gauges fresh."""
        limit = self.settings.stall_limit_s * 2
        names = [f"consumer_{consumer.router.consumer}" for consumer in self._consumers]
        for name in (*names, "relay"):
            self.health.expect(name, limit)
        relay = self._relay
        assert relay is not None, "the watch starts after the relay"
        measured_at = 0.0
        while True:
            for name, consumer in zip(names, self._consumers, strict=True):
                if consumer.seconds_without_progress < limit:
                    self.health.progress(name)
            failures = [relay.failed(), *(consumer.failed() for consumer in self._consumers)]
            for failure in failures:
                if failure is not None:
                    raise failure
            if self.clock.monotonic() - relay.progress_at < limit:
                self.health.progress("relay")
            if self.clock.monotonic() - measured_at > _GAUGE_INTERVAL_S:
                measured_at = self.clock.monotonic()
                await self._measure_quarantine()
            await asyncio.sleep(0.5)

    async def _measure_quarantine(self) -> None:
        try:
            counts = await quarantine.counts(self.pool)
        except Exception as error:
            if not is_transient(error):
                raise
            return
        waiting = sum(number for (_, _, state), number in counts.items() if state == "open")
        self._messaging_metrics.quarantine_open().set(waiting)

    async def _database_answers(self) -> None:
        await self.pool.fetchval("SELECT 1")
