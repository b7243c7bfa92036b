"""The service as it runs: facts in over real topics, answers out over HTTP, rebuilt while it is read."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from tally_contracts.catalogue import expand
from tally_contracts.funding_sources import PayInRefunded, ReceivableOpened
from tally_embedded import TopicSpec, ensure_topics
from tally_messaging import pace
from tally_portfolio.app import SCHEMA, build_app
from tally_portfolio.handlers import TOPICS
from tally_portfolio.rebuild import HistoryIncomplete, Rebuilt, rebuild
from tally_portfolio.settings import PortfolioSettings
from tally_reconciliation.broker import kafka_broker
from tally_runtime import SettingsError, load_settings
from tally_security.internal import VIEWER_HEADER, InternalKeys, Viewer, sign_viewer
from tally_testkit import RawRecord, Topics

KEY = base64.b64encode(b"i" * 32).decode()
_HALF_A_MINUTE = 30.0
_LISTED = ("/budgets", "/pay-ins", "/programs", "/exceptions")


def test_topics_read_are_the_ones_the_catalogue_names() -> None:
    named = {name for name, topic in expand(["cards"]).items() if "portfolio" in topic.consumers}
    assert set(TOPICS) == named


@pytest.mark.parametrize("key", [None, "c2hvcnQ="])
def test_the_read_api_does_not_start_without_a_key_to_know_the_gateway_by(key: str | None) -> None:
    dsn = SecretStr("postgresql://role:password@host/database")
    with pytest.raises(SettingsError, match="TALLY_INTERNAL_KEY"):
        load_settings(
            PortfolioSettings,
            environment="test",
            kafka="127.0.0.1:1",
            postgres_dsn=dsn,
            read_port=8090,
            internal_key=None if key is None else SecretStr(key),
        )


def test_facts_of_many_payments_wait_for_each_other() -> None:
    """Two thousand facts a second leave the view its whole pause."""
    dsn = SecretStr("postgresql://role:password@host/database")
    settings = PortfolioSettings(environment="test", kafka="127.0.0.1:1", postgres_dsn=dsn)
    facts = cast("Any", [SimpleNamespace(value=b"x" * 1_000)] * 800)
    pause = pace.interval_s(settings, facts, len(facts), gathered_s=0.4)
    assert pause == settings.batch_interval_ms / 1_000


class Running:
    """The service over real topics, and what the gateway would ask it."""

    def __init__(self, database: Any, topics: Topics) -> None:
        self.admin_dsn: str = database.admin_dsn
        self.dsn: str = database.dsn("portfolio")
        self.topics = topics
        settings = PortfolioSettings(
            environment="test",
            kafka=topics.kafka,
            postgres_dsn=SecretStr(self.dsn),
            read_port=_free_port(),
            internal_key=SecretStr(KEY),
            statement_settled_s=0,
        )
        self.app = build_app(settings)
        self.url = f"http://127.0.0.1:{settings.read_port}"

    async def publish(self, *told: Any) -> None:
        for one in told:
            for record in one.records:
                raw = RawRecord(record.value, record.headers, record.key)
                await self.topics.publish(record.topic, [raw])

    async def get(self, viewer: Viewer, path: str) -> httpx.Response:
        token = sign_viewer(viewer, InternalKeys.parse(KEY), now=self.app.clock.now())
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.get(path, headers={VIEWER_HEADER: token})

    async def until(self, viewer: Viewer, path: str, holds: Callable[[Any], bool]) -> Any:
        """Ask again until the answer is the one waited for."""
        async with asyncio.timeout(_HALF_A_MINUTE * 2):
            while True:
                answer = await self.get(viewer, path)
                if answer.status_code == 200 and holds(answer.json()):
                    return answer.json()
                await asyncio.sleep(0.1)

    async def rebuild(self) -> Rebuilt:
        async with kafka_broker(self.topics.kafka) as broker:
            return await rebuild(broker, self.admin_dsn, self.dsn)

    def spoil(self, statement: str) -> None:
        with psycopg.connect(self.admin_dsn, autocommit=True) as administrator:
            administrator.execute(statement.encode())


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture
async def running(fresh_database: Callable[..., Any], fresh_kafka: str) -> AsyncIterator[Running]:
    topics = Topics(fresh_kafka, "portfolio")
    specs = [TopicSpec(n, t.partitions, t.config()) for n, t in expand(["cards"]).items()]
    await ensure_topics(topics.kafka, specs)
    service = Running(fresh_database(SCHEMA), topics)
    await service.app.start()
    try:
        yield service
    finally:
        await service.app.stop()


@asynccontextmanager
async def _asking(running: Running, viewer: Viewer, path: str) -> AsyncIterator[list[Any]]:
    """Ask again and again meanwhile; yields the answers."""
    answers: list[Any] = []
    stop = asyncio.Event()

    async def ask_once() -> None:
        answer = await running.get(viewer, path)
        answers.append((answer.status_code, answer.json().get("items")))

    async def ask() -> None:
        while not stop.is_set():
            await ask_once()

    task = asyncio.create_task(ask())
    try:
        yield answers
    finally:
        stop.set()
        await task
        await ask_once()


@pytest.mark.stack
async def test_a_rebuild_heals_what_was_spoiled_and_readers_never_see_a_half(
    running: Running, tree: Any, story: Any, viewer_of: Any
) -> None:
    told = tree().small().opens("ann", company="acme")
    ann, acme = told.party("ann"), told.party("acme")
    stories = [story(f"s{n}", owner=ann, company=acme).whole() for n in range(6)]
    stories[0].returned(PayInRefunded, "partly_refunded", "10.00", "10.00")
    stories[0].fact(
        ReceivableOpened, "owed", receivable_id=stories[0].id("rcv"), return_id=stories[0].id("ret"),
        pay_in_id=stories[0].pay_in_id, owner=ann, company=acme, account=stories[0].wallet,
        amount={"currency": "USD", "amount": "10.00"}, reason_code="refund",
    )  # fmt: skip
    stories[0].budget("rebates", "top", acme, limit="90.00", allocated="40.00", used="5.00")
    stories[0].budget("rebates", "low", told.party("pat"), "top", limit="40.00", reserved="7.00")
    await running.publish(told, *stories)
    viewer, wallet = viewer_of(told, "acme", "company"), stories[0].wallet
    movements = f"/wallets/{wallet}/movements"
    statement = f"/wallets/{wallet}/statement?from=2026-09-01&until=2026-10-01"
    right = await running.until(viewer, movements, lambda page: len(page["items"]) == 18)
    totals = await running.until(
        viewer, "/totals", lambda page: page["items"][0]["paid"]["amount"] == "600.00"
    )
    await running.until(viewer, "/budgets", lambda page: len(page["items"]) == 2)
    listed = {path: (await running.get(viewer, path)).json()["items"] for path in _LISTED}
    written = (await running.get(viewer, statement)).content

    running.spoil(
        "DELETE FROM portfolio.movement WHERE kind = 'hold';"
        "UPDATE portfolio.hour SET posted = posted + 7;"
        "DELETE FROM portfolio.day; UPDATE portfolio.minute SET held = 1;"
        "UPDATE portfolio.record SET told = '{}'; DELETE FROM portfolio.budget;"
        "UPDATE portfolio.tier SET used = 9; DELETE FROM portfolio.keeper;"
        "DELETE FROM portfolio.belonging; UPDATE portfolio.hop SET about = NULL;"
        "UPDATE portfolio.total SET paid = 1;"
        "INSERT INTO portfolio.consent VALUES ('p', 'c', 't', true, '')"
    )
    spoiled = (await running.get(viewer, movements)).json()
    assert spoiled["items"] != right["items"]
    async with _asking(running, viewer, movements) as answers:
        rebuilt = await running.rebuild()
    assert all(answer in [(200, spoiled["items"]), (200, right["items"])] for answer in answers)
    assert answers[0] == (200, spoiled["items"])
    assert answers[-1] == (200, right["items"])
    assert {d.table: (d.only_before, d.only_after) for d in rebuilt.differences} == {
        "belonging": (0, 3),
        "budget": (0, 2),
        "consent": (1, 0),
        "day": (0, 3),
        "hop": (1, 1),
        "hour": (3, 3),
        "keeper": (0, 3),
        "minute": (3, 3),
        "movement": (0, 6),
        "record": (5, 5),
        "tier": (2, 2),
        "total": (5, 5),
    }
    assert (await running.get(viewer, "/totals")).json()["items"] == totals["items"]
    assert (await running.get(viewer, statement)).content == written
    for path, items in listed.items():
        assert (await running.get(viewer, path)).json()["items"] == items

    later = story("later", owner=ann, company=acme).whole()
    await running.publish(later)
    page = await running.until(viewer, movements, lambda page: len(page["items"]) == 21)
    assert page["items"][0]["balance"]["amount"] == "0.00"
    assert (await running.rebuild()).differences == ()


@pytest.mark.stack
async def test_a_rebuild_refuses_to_forget_what_the_topics_no_longer_hold(
    running: Running, story: Any
) -> None:
    await running.publish(story("s1").whole())

    class Shortened:
        """The broker, as if a topic's first records were gone."""

        def __init__(self, broker: Any) -> None:
            self._broker = broker
            self.records = broker.records

        async def extents(self, topics: Any) -> Any:
            found = await self._broker.extents(topics)
            return {
                where: type(extent)(min(1, extent.end), extent.end)
                for where, extent in found.items()
            }

    async with kafka_broker(running.topics.kafka) as broker:
        with pytest.raises(HistoryIncomplete, match="--forget-older"):
            await rebuild(Shortened(broker), running.admin_dsn, running.dsn)
