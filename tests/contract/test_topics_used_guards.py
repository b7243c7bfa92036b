"""What services subscribe to and publish is what the catalogue declares, in both directions."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tally_contracts.catalogue import Topic, catalogue, expand, further_groups
from tally_messaging import Service
from tally_messaging.notices import QUARANTINE_TOPIC
from tally_runtime import Environment, ServiceSettings, load_settings

ROOT = Path(__file__).parents[2]
SOURCES = ("bank-feed", "cards")
SERVICES = sorted(path.parents[2].name for path in (ROOT / "services").glob("*/src/*/app.py"))
TOPICS = list(catalogue().values())


def _mentioned(service: str) -> set[str]:
    """Catalogue names of the topics a service's sources write out, families by any member."""
    texts = set(_texts(ROOT / "services" / service / "src"))
    return {topic.name for topic in TOPICS if any(map(_pattern(topic).fullmatch, texts))}


def _pattern(topic: Topic) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[a-z]+\\\}", "[^.]+", re.escape(topic.name)))


def _texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}"
                    for part in node.values
                )


def _declared(service: str) -> set[str]:
    return {
        topic.name
        for topic in TOPICS
        if service in (*topic.producers, *topic.consumers) and topic.name != QUARANTINE_TOPIC
    }


def _built(service: str) -> Service:
    settings_module = importlib.import_module(f"tally_{service}.settings")
    (settings_class,) = (
        found
        for found in vars(settings_module).values()
        if isinstance(found, type)
        and issubclass(found, ServiceSettings)
        and found.__module__ == settings_module.__name__
    )
    wanted: dict[str, Any] = {
        "environment": Environment.TEST,
        "kafka": "localhost:9092",
        "postgres_dsn": f"postgresql://tally_{service}:x@localhost:5432/tally",
        "sources": SOURCES,
    }
    given = {name: wanted[name] for name in wanted if name in settings_class.model_fields}
    settings = load_settings(settings_class, **given)
    app = importlib.import_module(f"tally_{service}.app").build_app(settings)
    assert isinstance(app, Service)
    return app


def test_guard_sees_the_services() -> None:
    assert {"funding", "ledger", "payouts"} <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_service_writes_out_exactly_the_topics_it_is_declared_for(service: str) -> None:
    mentioned, declared = _mentioned(service) - {QUARANTINE_TOPIC}, _declared(service)
    assert mentioned - declared == set(), "used, but the catalogue does not say so"
    assert declared - mentioned == set(), "declared in the catalogue, but not used"


@pytest.mark.parametrize("service", SERVICES)
async def test_service_subscribes_to_exactly_the_topics_it_is_a_consumer_of(service: str) -> None:
    subscribed = {
        subscription.topic
        for router in _built(service).routers
        for subscription in router.subscriptions
    }
    declared = {name for name, topic in expand(SOURCES).items() if service in topic.consumers}
    assert subscribed == declared


@pytest.mark.parametrize("service", SERVICES)
async def test_each_group_of_a_service_reads_exactly_the_topics_the_catalogue_gives_it(
    service: str,
) -> None:
    read = {
        router.consumer: {subscription.topic for subscription in router.subscriptions}
        for router in _built(service).routers
    }
    declared = {
        group: {
            name for name, topic in expand(SOURCES).items() if group in topic.groups_of(service)
        }
        for group in read
    }
    assert read == declared
    assert set(further_groups(service)) == set(read) - {service}


@pytest.mark.parametrize("service", SERVICES)
async def test_service_handles_only_types_its_topics_carry_and_every_command_it_gets(
    service: str,
) -> None:
    handled: set[str] = set()
    for router in _built(service).routers:
        handled |= router.event_types
    consumed = [topic for topic in TOPICS if service in topic.consumers]
    carried = {event_type for topic in consumed for event_type in topic.types}
    commands = {
        event_type for topic in consumed if ".commands." in topic.name for event_type in topic.types
    }
    assert handled - carried == set(), "no topic it consumes carries these"
    assert commands - handled == set(), "commands that nobody would carry out"


@pytest.mark.parametrize("service", SERVICES)
async def test_topics_others_write_are_subscribed_to_as_untrusted(service: str) -> None:
    real = expand(SOURCES)
    for router in _built(service).routers:
        for subscription in router.subscriptions:
            assert subscription.untrusted == ("upstream" in real[subscription.topic].producers)


def test_quarantine_notices_of_the_messaging_library_go_to_a_declared_topic() -> None:
    assert QUARANTINE_TOPIC in catalogue()
    assert set(catalogue()[QUARANTINE_TOPIC].producers) >= set(SERVICES)
