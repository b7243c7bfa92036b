"""Carrying out a plan: each fault at its time, several at once, and all of it healed at the end."""

import asyncio
import contextlib
import signal
from collections import Counter
from dataclasses import dataclass, field

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tally_chaos.child import Child, ChildNotReady
from tally_chaos.launch import DIES_AT
from tally_chaos.plan import FaultKind, Plan, PlannedFault
from tally_chaos.platform import Platform
from tally_chaos.proxy import LinkFault, LinkFaultKind
from tally_chaos.topics import read_topic
from tally_cli.platform import SERVICES
from tally_postgres import is_transient

_FIND_S = 5.0
_READY_S = 20.0
_POLL_S = 0.1
_RETRY_S = 0.5
_PROCESS = "nemesis"


class FaultMissed(RuntimeError):  # noqa: N818 - named for what it says
    """What the fault was to be done to was not there; it does not count."""

    code = "fault_missed"


@dataclass(slots=True)
class Nemesis:
    """Executes one plan against one platform. `done` counts what was done, by name."""

    platform: Platform
    done: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    republished: Counter[str] = field(default_factory=Counter)
    overlapping_max: int = 0
    _under_way: int = 0
    _replicas: dict[str, Child] = field(default_factory=dict)
    _paused: dict[str, Child] = field(default_factory=dict)
    _linked: dict[str, int] = field(default_factory=dict)
    _server: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def execute(self, plan: Plan) -> None:
        """Do every fault at its time; returns when the last has ended. Cancelling ends them early."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for number, fault in enumerate(plan.faults):
                await asyncio.sleep(max(0.0, began + fault.at_ms / 1000 - loop.time()))
                group.create_task(self._one(number, fault), name=f"fault-{number}")
            left = began + plan.seconds - loop.time()
            await asyncio.sleep(max(0.0, left))

    async def heal(self) -> None:
        """Undo whatever is still in force: links, pauses, replicas, servers, the bank's faults."""
        platform = self.platform
        for proxy in platform.proxies.values():
            await proxy.heal()
        for child in (*platform.services.values(), *self._replicas.values()):
            child.send(signal.SIGCONT)
        await asyncio.gather(*(child.end() for child in self._replicas.values()))
        for server in (platform.servers.postgres, platform.servers.kafka):
            await asyncio.to_thread(server.start)
        await platform.bank.child.ready()
        await platform.bank.clear_faults()

    async def _one(self, number: int, fault: PlannedFault) -> None:
        history = self.platform.history
        about = {"number": number, "fault": fault.name, "target": fault.target, **fault.details}
        history.add(_PROCESS, "invoke", fault.kind, **about)
        self._under_way += 1
        self.overlapping_max = max(self.overlapping_max, self._under_way)
        try:
            await self._acts[fault.kind](self, fault)
        except (FaultMissed, ChildNotReady, KafkaError, httpx.HTTPError, OSError) as error:
            # A fault can be in the way of another: a topic cannot be copied while the broker is down.
            self.missed.append(f"{fault.name} {fault.target}: {error!r}"[:200])
            history.add(_PROCESS, "fail", fault.kind, **about, error=repr(error)[:300])
        else:
            self.done[fault.name] += 1
            history.add(_PROCESS, "ok", fault.kind, **about)
        finally:
            self._under_way -= 1

    async def _kill(self, fault: PlannedFault) -> None:
        await self._signal(self.platform.services[fault.target], signal.SIGKILL)

    async def _sigterm(self, fault: PlannedFault) -> None:
        await self._signal(self.platform.services[fault.target], signal.SIGTERM)

    async def _kill_at(self, fault: PlannedFault) -> None:
        child = self.platform.services[fault.target]
        child.once = {DIES_AT: f"{fault.details['point']}:{fault.details['turn']}"}
        await self._signal(child, signal.SIGKILL)

    async def _signal(self, child: Child, number: signal.Signals) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _FIND_S
        while not child.send(number):
            if loop.time() > deadline:
                raise FaultMissed(f"{child.name} has no process")
            await asyncio.sleep(_POLL_S)

    async def _pause(self, fault: PlannedFault) -> None:
        child = self.platform.services[fault.target]
        if fault.details["beside_replica"]:
            with contextlib.suppress(ChildNotReady):
                await (await self._start_replica(fault.target)).ready(_READY_S)
        await self._signal(child, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts_ms / 1000)
        finally:
            child.send(signal.SIGCONT)
            await self._end_replica(fault.target)

    async def _rolling_restart(self, _: PlannedFault) -> None:
        for name in SERVICES:
            child = self.platform.services[name]
            starts = child.starts
            await self._signal(child, signal.SIGTERM)
            async with asyncio.timeout(_READY_S):
                while child.starts == starts:  # noqa: ASYNC110 - the start is another task's
                    await asyncio.sleep(_POLL_S)

    async def _replica(self, fault: PlannedFault) -> None:
        await self._start_replica(fault.target)
        try:
            await asyncio.sleep(fault.lasts_ms / 1000)
        finally:
            await self._end_replica(fault.target)

    async def _start_replica(self, name: str) -> Child:
        if name in self._replicas:
            raise FaultMissed(f"{name} has a second process already")
        child = self.platform.child(name, instance=1, restarts=False)
        self._replicas[name] = child
        child.begin()
        return child

    async def _end_replica(self, name: str) -> None:
        child = self._replicas.get(name)
        if child is not None:
            await child.end()
            self._replicas.pop(name, None)

    async def _server_kill(self, fault: PlannedFault) -> None:
        servers = self.platform.servers
        server = servers.kafka if fault.target == "kafka" else servers.postgres
        async with self._server.setdefault(fault.target, asyncio.Lock()):
            await asyncio.to_thread(server.kill)
            try:
                await asyncio.sleep(fault.lasts_ms / 1000)
            finally:
                await asyncio.to_thread(server.start)

    async def _backends(self, _: PlannedFault) -> None:
        try:
            await self.platform.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        except Exception as error:
            if not is_transient(error):
                raise
            raise FaultMissed(f"Postgres is away: {error!r}") from error

    async def _link(self, fault: PlannedFault) -> None:
        proxy = self.platform.proxies[fault.target]
        details = fault.details
        await proxy.apply(
            LinkFault(
                LinkFaultKind(str(details["fault"])),
                latency_ms=int(str(details["latency_ms"])),
                jitter_ms=int(str(details["jitter_ms"])),
                bytes_per_s=int(str(details["bytes_per_s"])),
                close_ms=int(str(details["close_ms"])),
            )
        )
        mine = self._linked[fault.target] = self._linked.get(fault.target, 0) + 1
        await asyncio.sleep(fault.lasts_ms / 1000)
        # A link has one fault at a time: a later one has taken this one's place.
        if self._linked[fault.target] == mine:
            await proxy.heal()

    async def _republish(self, fault: PlannedFault) -> None:
        async with asyncio.timeout(_READY_S):
            while True:
                try:
                    count = await self._publish_again(fault.target)
                except (KafkaError, OSError):
                    # Another fault has the broker down; half a copy is a copy too.
                    await asyncio.sleep(_RETRY_S)
                else:
                    self.republished[fault.target] += count
                    return

    async def _publish_again(self, topic: str) -> int:
        kafka = self.platform.installation.kafka
        records = await read_topic(kafka, topic)
        async with AIOKafkaProducer(
            bootstrap_servers=kafka, enable_idempotence=True, max_batch_size=1 << 20
        ) as producer:
            waiting = [
                await producer.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    partition=record.partition,
                )
                for record in records
            ]
            await asyncio.gather(*waiting)
        return len(records)

    async def _bank_fault(self, fault: PlannedFault) -> None:
        await self.platform.bank.post("/faults", fault.details)

    async def _bank_kill(self, fault: PlannedFault) -> None:
        self.platform.bank.child.hold_s = fault.lasts_ms / 1000
        await self._signal(self.platform.bank.child, signal.SIGKILL)

    _acts = {  # noqa: RUF012 - a table of methods, never changed
        FaultKind.KILL: _kill,
        FaultKind.KILL_AT: _kill_at,
        FaultKind.PAUSE: _pause,
        FaultKind.SIGTERM: _sigterm,
        FaultKind.ROLLING_RESTART: _rolling_restart,
        FaultKind.REPLICA: _replica,
        FaultKind.KAFKA_KILL: _server_kill,
        FaultKind.POSTGRES_KILL: _server_kill,
        FaultKind.BACKENDS: _backends,
        FaultKind.LINK: _link,
        FaultKind.REPUBLISH: _republish,
        FaultKind.BANK_FAULT: _bank_fault,
        FaultKind.BANK_KILL: _bank_kill,
    }
