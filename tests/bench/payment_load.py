"""What the bench offers: funding events that are due at fixed moments, and when each is told as paid."""

import asyncio
import itertools
import json
import time
from datetime import UTC, datetime
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

SOURCE = "cards"
CODES = ("EUR", "USD", "JPY", "KWD")
PAYEES = 200
# What is due since the last look is sent together; what waits for a look is late, and counted so.
TICK_S = 0.01
DRAIN_S = 60


class Load:
    """Publishes events when they are due and notes when each is paid."""

    def __init__(self, kafka: str, run: str) -> None:
        self._kafka = kafka
        self._run = run
        self._topic = f"funding.inbound.{SOURCE}.v1"
        self.due: dict[str, float] = {}
        self.latency: dict[str, float] = {}
        self._paid = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka, enable_idempotence=True, max_batch_size=1 << 20
        )
        self._consumer = AIOKafkaConsumer(
            "payouts.status.v1", bootstrap_servers=self._kafka, auto_offset_reset="latest"
        )
        await self._producer.start()
        self._partitions = len(await self._producer.partitions_for(self._topic))
        await self._consumer.start()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def offer(self, rate: int, seconds: int, label: str) -> None:
        """Send at a fixed rate, however slowly the platform answers."""
        begin = time.perf_counter() + 0.1
        payments = rate * seconds
        sent = 0
        for tick in itertools.count():
            late_s = time.perf_counter() - begin
            batch = self._producer.create_batch()
            while sent < payments and sent / rate <= late_s:
                external_id = f"{self._run}-{label}-{sent}"
                self.due[external_id] = begin + sent / rate
                add_event(batch, external_id, sent)
                sent += 1
            if batch.record_count():
                partition = tick % self._partitions
                await self._producer.send_batch(batch, self._topic, partition=partition)
            if sent == payments:
                break
            await asyncio.sleep(TICK_S)
        await self._producer.flush()

    async def drain(self) -> None:
        """Wait until everything offered is paid, or the time is up."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while len(self.latency) < len(self.due):
                    self._paid.clear()
                    await self._paid.wait()
        except TimeoutError:
            print(f"{len(self.due) - len(self.latency)} payments not paid within {DRAIN_S} s")

    async def _follow(self) -> None:
        async for record in self._consumer:
            if b'"paid"' not in record.value:
                continue
            status = json.loads(record.value)
            external_id = status["external_id"]
            if status["state"] == "paid" and external_id in self.due:
                self.latency.setdefault(external_id, time.perf_counter() - self.due[external_id])
                self._paid.set()


def add_event(batch: BatchBuilder, external_id: str, number: int) -> None:
    """Put a funding event of its own id into a batch."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")  # noqa: TID251 - of the load, not the platform
    code = CODES[number % len(CODES)]
    event = {
        "external_id": external_id,
        "amount": {"currency": code, "amount": "2500" if code == "JPY" else "25"},
        "originator": {"reference": "payer-1", "country": "US"},
        "company": f"co_{number % 20}",
        "beneficiary": {"party": f"pty_bench_{number % PAYEES}"},
        "value_date": now[:10],
        "who": {"actor": "bench", "principal": "bench"},
        "where": {"channel": SOURCE},
        "why": {"program": "bench", "event": external_id, "reason": "Benchmark"},
        "occurred_at": now,
    }
    batch.append(
        key=external_id.encode(),
        value=json.dumps(event).encode(),
        timestamp=None,
        headers=[
            ("ce_specversion", b"1.0"),
            ("ce_id", external_id.encode()),
            ("ce_source", b"/bench"),
            ("ce_type", b"funding.inbound.received.v1"),
        ],
    )
