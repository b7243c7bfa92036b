"""What a downstream application sees: the public status topic and the facts about pay-ins."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from tally_contracts.funding import (
    PayInAllocated,
    PayInSuspended,
    StatementImported,
    StatementRefused,
)
from tally_contracts.operations import RecordQuarantined
from tally_contracts.payouts import PayoutStatus
from tally_messaging.envelope import CE_TYPE

TOPICS = (
    "funding.pay_in.v1",
    "funding.statements.v1",
    "payouts.status.v1",
    "operations.quarantine.v1",
)
STANDING = frozenset({"claimable", "in_transit", "paid", "returned", "failed", "cancelled"})
"""States a payout rests in until a payee, a bank or a calendar moves it."""


class DemoStuck(RuntimeError):  # noqa: N818 - named for what it says
    """The platform did not reach a state in time; the message says what it had reached."""

    code = "demo_stuck"


@dataclass(slots=True)
class Watch:
    """Follows one run's facts; ids of another run on the same installation are passed over."""

    run: str
    kafka: str
    pay_ins: dict[str, str] = field(default_factory=dict)
    payouts: dict[str, tuple[int, str]] = field(default_factory=dict)
    quarantined: int = 0
    statement: dict[str, Any] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _consumer: AIOKafkaConsumer | None = None
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin at the end of every topic, so before anything is published."""
        consumer = AIOKafkaConsumer(
            *TOPICS,
            bootstrap_servers=self.kafka,
            auto_offset_reset="latest",
            enable_auto_commit=False,
        )
        await consumer.start()
        for partition in consumer.assignment():
            await consumer.position(partition)
        self._consumer = consumer
        self._task = asyncio.create_task(self._follow(consumer), name="demo-watch")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def states(self) -> Counter[str]:
        """How many payouts are in each state."""
        return Counter(state for _, state in self.payouts.values())

    @property
    def decided(self) -> int:
        """Pay-ins that are allocated or in suspense."""
        return len(self.pay_ins)

    @property
    def allocated(self) -> int:
        """Pay-ins whose shares the ledger holds."""
        return sum(1 for state in self.pay_ins.values() if state == "allocated")

    @property
    def moving(self) -> int:
        """Payouts on their way between two resting states."""
        return sum(number for state, number in self.states.items() if state not in STANDING)

    async def until(
        self,
        what: str,
        condition: Callable[[], bool],
        timeout_s: float,
        tick: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Wait for a condition over what was seen; raises `DemoStuck` when it takes too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not condition():
            if loop.time() > deadline:
                raise DemoStuck(
                    f"{what}: not within {timeout_s:.0f} s; pay-ins decided {self.decided}, "
                    f"payouts {dict(self.states)}, quarantined {self.quarantined}: see `tally lag` "
                    "and `tally dlq ls`"
                )
            self.changed.clear()
            if tick is not None:
                await tick()
            try:
                async with asyncio.timeout(0.25):
                    await self.changed.wait()
            except TimeoutError:
                continue

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            self._see(record)
            self.changed.set()

    def _see(self, record: ConsumerRecord) -> None:
        event_type = dict(record.headers)[CE_TYPE].decode()
        body: Mapping[str, Any] = json.loads(record.value)
        mine = str(body.get("external_id") or "").startswith(self.run)
        if event_type == PayInAllocated.TYPE and mine:
            self.pay_ins[body["pay_in_id"]] = "allocated"
        elif event_type == PayInSuspended.TYPE and mine:
            self.pay_ins[body["pay_in_id"]] = "suspended"
        elif event_type == PayoutStatus.TYPE and mine:
            sequence, _ = self.payouts.get(body["payout_id"], (0, ""))
            # A repeated or late record never takes a payout back.
            if body["sequence"] > sequence:
                self.payouts[body["payout_id"]] = (body["sequence"], body["state"])
        elif event_type == RecordQuarantined.TYPE:
            self.quarantined += 1
        elif event_type in {StatementImported.TYPE, StatementRefused.TYPE}:
            self.statement = {"type": event_type, **body}
