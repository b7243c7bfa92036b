"""Money that moves while things break: payees, funding events with copies and poison, banking days."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tally_chaos.platform import Platform
from tally_cli.demo.dataset import Dataset, make_dataset
from tally_cli.demo.payees import choose, register
from tally_cli.publishing import Publication
from tally_railkit.sealing import SealingKey
from tally_runtime import Clock

_TICK_S = 0.25
_RETRY_S = 0.5
_DELIVERY_MS = 90_000
_CLOSE_S = 5.0
_BANKING_DAYS_MAX, _RETURN_DAYS = 12, 3
# Longer than the rail's poll, so that it has looked at least once.
_DAY_S = 0.8
_PROCESS = "load"


class Load:
    """Publishes as an upstream would, straight to the broker, and keeps on when it is away."""

    def __init__(self, platform: Platform, clock: Clock, *, seed: int, events: int) -> None:
        self._platform = platform
        self._clock = clock
        self.run = f"chaos-{seed}"
        self.dataset: Dataset = make_dataset(
            self.run, events, seed, clock.now() - timedelta(hours=1)
        )
        self.published = 0
        self._producer: AIOKafkaProducer | None = None

    async def prepare(self) -> None:
        """Payees register where they can be paid; most choose how."""
        early = [payee for payee in self.dataset.payees if not payee.chooses_late]
        key = SealingKey.parse(self._platform.sealing_key)
        registrations = register(
            self.dataset.payees, run=self.run, tenant="main", key=key, clock=self._clock
        )
        await self._publish([*registrations, *choose(early, run=self.run, clock=self._clock)])

    async def offer(self, seconds: float) -> None:
        """The feed, spread evenly over the time; what the broker's absence holds up comes later."""
        feed = self.dataset.feed
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent = 0
        while sent < len(feed):
            share = min(1.0, (loop.time() - began) / seconds)
            due = max(sent + 1, round(len(feed) * share))
            await self._publish(feed[sent:due])
            sent = due
            await asyncio.sleep(_TICK_S)

    async def finish(self, until_quiet: Callable[[], Awaitable[float]]) -> None:
        """Late payees choose; then banking days pass until ACH has settled and returns have come."""
        late = [payee for payee in self.dataset.payees if payee.chooses_late]
        await self._publish(choose(late, run=self.run, clock=self._clock))
        await until_quiet()
        in_transit = await payouts_in(self._platform, "in_transit")
        days = 0
        while days < _BANKING_DAYS_MAX and in_transit:
            await self._next_day(until_quiet)
            in_transit = await payouts_in(self._platform, "in_transit")
            days += 1
        for _ in range(_RETURN_DAYS):
            await self._next_day(until_quiet)

    async def _next_day(self, until_quiet: Callable[[], Awaitable[float]]) -> None:
        await self._platform.bank.post("/clock", {"advance_days": 1})
        await asyncio.sleep(_DAY_S)
        await until_quiet()

    async def _publish(self, records: Sequence[Publication]) -> None:
        """Publish until the broker has said yes; a chunk in doubt is sent again and so may be doubled."""
        history = self._platform.history
        number = self.published
        self.published += len(records)
        about = {"first": number, "records": len(records)}
        history.add(_PROCESS, "invoke", "publish", **about)
        while True:
            try:
                await self._send(records)
            except (KafkaError, OSError) as error:
                history.add(_PROCESS, "info", "publish", **about, error=repr(error)[:200])
                await asyncio.sleep(_RETRY_S)
            else:
                history.add(_PROCESS, "ok", "publish", **about)
                return

    async def _send(self, records: Sequence[Publication]) -> None:
        producer = await self._opened()
        try:
            waiting = [
                await producer.send(
                    record.topic, value=record.value, key=record.key, headers=list(record.headers)
                )
                for record in records
            ]
            await asyncio.gather(*waiting)
        except BaseException:
            await self.close()
            raise

    async def _opened(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._platform.installation.kafka,
                client_id="tally-chaos-load",
                acks="all",
                enable_idempotence=True,
                max_batch_size=1 << 20,
                request_timeout_ms=_DELIVERY_MS,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        """Let go of the broker; the next publication connects anew."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await producer.stop()


async def payouts_in(platform: Platform, *states: str) -> int:
    """How many payouts are in one of these states."""
    rows = await platform.query(
        "SELECT count(*) FROM payouts.payout WHERE state = ANY($1::text[])", list(states)
    )
    return int(rows[0][0])
