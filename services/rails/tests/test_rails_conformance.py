"""Every registered rail and its simulator, through the suite any rail must pass."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tally_messaging import UnitOfWork
from tally_railkit import Capabilities, News
from tally_railkit.conformance import RailBench, RailConformance
from tally_rails.rails import REGISTRY
from tally_rails.rails.ach.config import AchSettings
from tally_rails.rails.wallet.capabilities import CAPABILITIES as WALLET
from tally_runtime import derived_id

_NUMBERS = itertools.count(1)
ANY_ACH = AchSettings(environment="test", kafka="127.0.0.1:9092")


class Bench:
    """What the benches share: commands in, states out, news by the one door."""

    rail: str
    capabilities: Capabilities

    def __init__(self, world: Any) -> None:
        self.world = world
        self.instruments: set[str] = set()

    async def order(self, name: str, details: dict[str, str], **more: Any) -> None:
        instrument = f"of-{name}"
        if instrument not in self.instruments:
            self.instruments.add(instrument)
            await self.world.feed(self.world.make.register(instrument, self.rail, details))
        await self.world.feed(self.world.make.submit(name, instrument, rail=self.rail, **more))

    async def cancel(self, name: str) -> None:
        await self.world.feed(self.world.make.cancel(name, self.rail))

    async def say(self, name: str, provider_code: str) -> None:
        attempt_id = derived_id("att", "test", name)

        async def unit(uow: UnitOfWork) -> None:
            desk = self.world.desks(uow)
            await desk.load([attempt_id])
            desk.observe(
                News(
                    attempt_id=attempt_id,
                    provider_code=provider_code,
                    reference="news-1",
                    amount=None,
                    occurred_at=datetime(2026, 11, 24, tzinfo=UTC),
                    source="operator",
                )
            )
            await desk.save()

        await self.world.transactor.run(unit)

    async def states(self, name: str) -> Sequence[str]:
        return await self.world.states(name)


class WalletBench(Bench):
    """The ledger is the provider: it moves a hold's money once for each attempt told as paid."""

    rail = "wallet"
    capabilities = WALLET

    def __init__(self, world: Any) -> None:
        super().__init__(world)
        self.heard: list[Any] = []
        self.twice = False

    async def submit(self, name: str) -> None:
        await self.order(name, self._details(name))
        if self.twice:
            # The broker did not hear that the record was applied: it comes again.
            self.twice = False
            await self.world.feed(self.world.last)

    async def submit_refused(self, name: str) -> None:
        await self.order(name, self._details(name), currency="EUR")

    def _details(self, name: str) -> dict[str, str]:
        return {"account": derived_id("acc", "test", name)}

    async def lose_next_answer(self) -> None:
        self.twice = True

    async def work(self) -> None:
        """Nothing is ever due."""

    async def settle(self) -> None:
        """Paid is paid."""

    async def deliver_return(self, name: str) -> None:
        await self.say(name, "returned")

    async def replay_news(self) -> None:
        """There is no provider that could tell anything again."""

    async def executions(self, name: str) -> int:
        return (await self.world.states(name)).count("paid")


class AchBench(Bench):
    """The bank simulator over SFTP."""

    rail = "ach"

    def __init__(self, world: Any, bank: Any) -> None:
        super().__init__(world)
        self.bank = bank
        self.capabilities = world.capabilities("ach")

    async def submit(self, name: str) -> None:
        await self.order(name, self._details("55550100"))

    async def submit_refused(self, name: str) -> None:
        await self.order(name, self._details("55550901"))

    def _details(self, account: str) -> dict[str, str]:
        return {
            "routing_number": "231380104",
            "account_number": account,
            "account_type": "checking",
            "holder_name": "Ann Ex",
        }

    async def lose_next_answer(self) -> None:
        self.bank.post("/faults", fault="drop_after_rename", times=1)

    async def work(self) -> None:
        async def quiet() -> bool:
            await self.world.send()
            return bool(await self.world.pool.fetchval("SELECT count(*) = 0 FROM job"))

        await self.world.until(quiet)

    async def settle(self) -> None:
        await self.work()
        await self._next_day()

    async def _next_day(self) -> None:
        self.bank.post("/clock", advance_days=5)
        await self.world.watch()

    async def deliver_return(self, name: str) -> None:
        self.bank.post(
            "/rules",
            behaviour="return",
            code="R02",
            match={"trace": await self.world.trace(name)},
            existing=True,
        )
        await self._next_day()

    async def replay_news(self) -> None:
        """The same files under their own names, then under names not seen before."""
        folder = self.bank.folder / "sftp" / "outbound"
        for told in self.bank.call("GET", "/files")["outbound"]:
            content = told["content"].encode()
            (folder / told["name"]).write_bytes(content)
            number = next(_NUMBERS)
            stem = told["name"].removesuffix(".ack")
            again = f"{stem}.9{number}.ack" if told["kind"] == "ack" else f"RET-again-{number}.ach"
            (folder / again).write_bytes(content)
        await self.world.watch()
        left = await self.world.pool.fetchval("SELECT count(*) FROM ach_incoming")
        assert left == 2 * len(self.bank.call("GET", "/files")["outbound"])

    async def executions(self, name: str) -> int:
        trace = await self.world.trace(name)
        book = self.bank.book()
        return 0 if trace is None or book[trace]["state"] == "rejected" else 1


class TestWallet(RailConformance):
    @pytest.fixture
    async def bench(self, world: Any) -> RailBench:
        return WalletBench(world)


class TestAch(RailConformance):
    @pytest.fixture
    async def bench(self, ach: Any, bank: Any) -> RailBench:
        return AchBench(ach, bank)


def test_every_registered_rail_is_run_through_the_suite():
    assert {bench.rail for bench in (WalletBench, AchBench)} == set(REGISTRY)


def test_declared_capabilities_carry_the_name_of_their_rail():
    built = {name: REGISTRY[name].build(ANY_ACH) for name in REGISTRY}
    assert {name: rail.capabilities.rail for name, rail in built.items()} == {
        name: name for name in REGISTRY
    }
