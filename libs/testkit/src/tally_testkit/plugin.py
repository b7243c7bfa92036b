"""Pytest fixtures over the real Postgres and Kafka: one of each per test session, started on demand."""

import asyncio
import itertools
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from tally_embedded import Stack, running_stack
from tally_postgres import Schema
from tally_testkit.databases import Databases, ServiceDatabase
from tally_testkit.emptied import EmptiedKafka
from tally_testkit.topics import Topics


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, in the order they have, which is another in each run.

    One that was begun last would keep one worker busy while the others have nothing to do.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """Every line logged while the test runs, at any level and before anything is redacted.

    Whatever another test made of logging in this process: loggers keep the first one they met.
    """
    unbound = type(structlog.get_logger())
    modules = [module for name, module in sys.modules.items() if name.startswith("tally_")]
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, unbound):
                vars(value).pop("bind", None)
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=False,
    )
    with structlog.testing.capture_logs() as lines:
        yield lines
    structlog.configure(**before)


@pytest.fixture(scope="session")
def postgres_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Postgres of this session's own, whose commits outlive its processes, not the machine."""
    folder = tmp_path_factory.mktemp("postgres")
    with running_stack(folder, kafka=False, ephemeral=True, durable=False) as stack:
        yield stack


@pytest.fixture(scope="session")
def kafka_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Kafka of this session's own."""
    with running_stack(tmp_path_factory.mktemp("kafka"), postgres=False, ephemeral=True) as stack:
        yield stack


@pytest.fixture(scope="session")
def emptied_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmptiedKafka]:
    """The Kafka that `fresh_kafka` and `module_kafka` lend."""
    with EmptiedKafka(lambda: tmp_path_factory.mktemp("emptied_kafka")) as kafka:
        yield kafka


@pytest.fixture
def fresh_kafka(emptied_kafka: EmptiedKafka) -> Iterator[str]:
    """A Kafka for this test alone, for tests that use the platform's real topic names."""
    yield emptied_kafka.lend().address.kafka
    _alone(emptied_kafka.take_back)


@pytest.fixture(scope="module")
def module_kafka(emptied_kafka: EmptiedKafka) -> Iterator[Stack]:
    """A Kafka for the tests of this module alone, where topics have their real names."""
    yield emptied_kafka.lend()
    _alone(emptied_kafka.take_back)


def _alone(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run to its end in a loop of its own, beside the tests' one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()


@pytest.fixture(scope="session")
def databases(postgres_stack: Stack) -> Databases:
    """Makes databases on the session's Postgres."""
    return Databases(postgres_stack.address.postgres_dsn)


@pytest.fixture
def fresh_database(databases: Databases) -> Iterator[Callable[[Schema], ServiceDatabase]]:
    """A function: schema -> a new database holding it migrated; dropped after the test."""
    made: list[ServiceDatabase] = []

    def make(*schemas: Schema) -> ServiceDatabase:
        made.append(databases.clone(*schemas))
        return made[-1]

    yield make
    for database in made:
        databases.drop(database)


_NUMBERS = itertools.count(1)


@pytest.fixture
def topics(kafka_stack: Stack, request: pytest.FixtureRequest) -> Topics:
    """Topics with names of this test's own."""
    label = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    return Topics(kafka_stack.address.kafka, f"{label}-{next(_NUMBERS)}")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The top of the checkout."""
    return Path(__file__).resolve().parents[4]
