"""Ledgers in several databases: each command is answered by one of them, whatever dies meanwhile."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tally_embedded import running_stack
from tally_ledger.app import SCHEMA
from tally_ledger.errors import LedgerPlacedElsewhere, WrongDatabase
from tally_ledger.placement import Placement, parse, settle_in
from tally_ledger.settings import LedgerSettings
from tally_postgres import Schema
from tally_runtime import Environment, SettingsError, load_settings
from tally_testkit import Databases, ServiceDatabase

from .conftest import LedgerFixture
from .ledger_builders import capture, identify, journal, leg, place, release
from .ledger_cluster import TRANSFERS, Cluster, open_cluster, until
from .ledger_shards import OTHER, funding, settle, transfer


def settings(**changes: object) -> LedgerSettings:
    return load_settings(
        LedgerSettings,
        **{
            "environment": Environment.TEST,
            "kafka": "localhost:9092",
            "postgres_dsn": "postgresql://tally_ledger:x@localhost/t",
            **changes,
        },
    )


def test_without_a_placement_one_database_keeps_every_ledger_and_refuses_the_rest() -> None:
    placement = settings(further_ledgers="eu").placement
    assert (placement.group, placement.own) == ("ledger", {"main", "eu"})
    assert placement.wants(b"mars")
    assert placement.wants(None)


def test_every_key_is_wanted_by_exactly_one_database() -> None:
    databases = parse("core:main,eu;west:us;east:jp")
    places = [Placement.of(databases, name) for name in databases]
    for key in (b"main", b"eu", b"us", b"jp", b"mars", b"", b"\xff", None):
        assert sum(place.wants(key) for place in places) == 1, key
    assert [place.group for place in places] == ["ledger", "ledger.west", "ledger.east"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ledger_placement": "core:main;west:main"}, "places ledger main twice"),
        ({"ledger_placement": "core:main;core:us"}, "names database core twice"),
        ({"ledger_placement": "west:main", "ledger_database": "west"}, "lacks database core"),
        ({"ledger_placement": "core:main;west"}, "is written like"),
        ({"ledger_placement": "core:main;west:us", "ledger_database": "east"}, "lacks database"),
        ({"ledger_placement": "core:main;west:us"}, "TALLY_LEDGER_DATABASE is required"),
        ({"ledger_database": "west"}, "give TALLY_LEDGER_PLACEMENT"),
        ({"ledger_placement": "core:eu"}, "lacks main"),
        ({"ledger_placement": "core:main", "further_ledgers": "eu"}, "drop TALLY_FURTHER_LEDGERS"),
    ],
)
def test_a_placement_that_two_could_read_differently_stops_the_start(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        settings(**changes)


async def test_a_database_keeps_its_name_for_good(ledger: LedgerFixture) -> None:
    databases = parse("core:main,second;west:us")
    core, west = (Placement.of(databases, name) for name in ("core", "west"))
    for _ in range(2):
        await ledger.transactor.run(lambda uow: settle_in(uow.conn, core))
    with pytest.raises(WrongDatabase, match="this database is core"):
        await ledger.transactor.run(lambda uow: settle_in(uow.conn, west))


async def test_books_of_a_ledger_placed_elsewhere_stop_the_start(ledger: LedgerFixture) -> None:
    placed = Placement.of(parse("core:main;west:second"), "core")
    with pytest.raises(LedgerPlacedElsewhere, match="books of ledger second are in this database"):
        await ledger.transactor.run(lambda uow: settle_in(uow.conn, placed))


# Two servers, one broker.


@pytest.fixture(scope="session")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    folder = tmp_path_factory.mktemp("second_postgres")
    with running_stack(folder, kafka=False, ephemeral=True, durable=False) as stack:
        yield Databases(stack.address.postgres_dsn)


@pytest.fixture
async def cluster(
    fresh_kafka: str,
    fresh_database: Callable[[Schema], ServiceDatabase],
    second_server: Databases,
) -> AsyncIterator[Cluster]:
    databases = {"core": fresh_database(SCHEMA), "west": second_server.clone(SCHEMA)}
    both = await open_cluster(fresh_kafka, databases)
    yield both
    await both.close()
    second_server.drop(databases["west"])


_ANSWERED = """
SELECT count(*) FROM (SELECT id FROM journal UNION ALL SELECT id FROM rejection) a
WHERE id = ANY($1::text[])
"""


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_load_on_both_with_one_killed_is_answered_once_and_every_invariant_holds(
    cluster: Cluster,
) -> None:
    doomed = cluster.start("core", dies_at="applied:5")
    cluster.start("west")
    chance = random.Random(4)
    await cluster.send(funding("main"), funding("us"))
    asked = {"main": [identify("jrn", "main-fund")], "us": [identify("jrn", "us-fund")]}
    asked["mars"] = []
    for turn in range(30):
        events = []
        for n in range(12):
            name, ledger = f"{turn}-{n}", chance.choice(["main", "us", "main", "us", "mars"])
            amount = f"{chance.randint(1, 6000) / 100:.2f}"
            rich, poor = f"{ledger}-rich", f"{ledger}-poor"
            if n % 3 == 0:
                events.append(place(name, rich, poor, amount, ledger=ledger))
                asked[ledger].append(identify("hld", name))
                follow = chance.choice([capture(name, name, amount), release(name, name)])
                events.append(follow.model_copy(update={"ledger": ledger}))
                asked[ledger].append(identify("tr", name))
            else:
                events.append(journal(name, leg(name, rich, poor, amount), ledger=ledger))
                asked[ledger].append(identify("jrn", name))
        await cluster.send(*events)
        await asyncio.sleep(0.1)
    assert await asyncio.to_thread(doomed.wait, 60) == -signal.SIGKILL
    cluster.start("core")
    everything = [one for ids in asked.values() for one in ids]

    async def answered() -> bool:
        return sum((await cluster.values(_ANSWERED, everything)).values()) >= len(everything)

    await until(answered, "every command answered")
    # The same commands under the same event ids: nothing is answered by anybody else, or twice.
    await cluster.publish("ledger.commands.v1", cluster.sent)
    await cluster.send(journal("last", leg("last", "us-rich", "us-poor", "0.01"), ledger="us"))
    await until(lambda: _has(cluster, identify("jrn", "last")), "the repeats are read")
    for database, ledgers in (("core", ("main", "mars")), ("west", ("us",))):
        for ledger, ids in asked.items():
            expected = len(ids) if ledger in ledgers else 0
            assert (await cluster.values(_ANSWERED, ids))[database] == expected, (database, ledger)
    assert await cluster.wrong() == []
    assert await cluster.values("SELECT count(*) FROM quarantine") == {"core": 0, "west": 0}


async def _has(cluster: Cluster, journal_id: str) -> bool:
    found = await cluster.values(_ANSWERED, [journal_id])
    return sum(found.values()) == 1


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("victim", "point"),
    [("core", "applied:4"), ("west", "committed:3"), ("core", "sent:3"), ("west", "sending:3")],
)
async def test_transfers_both_ways_survive_a_kill_and_repeats_with_nothing_left_in_transit(
    cluster: Cluster, victim: str, point: str
) -> None:
    other = {"core": "west", "west": "core"}[victim]
    doomed = cluster.start(victim, dies_at=point)
    cluster.start(other)
    await cluster.send(funding("main"), funding("us"))
    chance = random.Random(point)
    commands = []
    for n in range(220):
        ledger = chance.choice(["main", "us"])
        changes: dict[str, object] = chance.choice(
            [
                {},
                {},
                {},
                {},
                {"credit": identify("acc", "nobody")},
                {"credit": identify("acc", f"{OTHER[ledger]}-usd")},
                {"to_ledger": "mars"},
                {"debit": identify("acc", f"{ledger}-usd")},
            ]
        )
        amount = f"{chance.randint(1, 1500) / 100:.2f}"
        commands.append(transfer(f"{victim}-{point}-{n}", ledger, amount, **changes))
    settlements = 0
    for first in range(0, len(commands), 20):
        await cluster.send(*commands[first : first + 20])
        if first % 60 == 0:
            settlements += 1
            await cluster.send(settle(f"{victim}-{point}-{first}", chance.choice(["main", "us"])))
        await asyncio.sleep(0.15)
    assert await asyncio.to_thread(doomed.wait, 60) == -signal.SIGKILL
    cluster.start(victim)
    await until(lambda: _ended(cluster, len(commands)), "every transfer ended")
    await until(lambda: _settled(cluster, settlements), "every settlement ended")
    records = await cluster.read(TRANSFERS)
    await cluster.publish(TRANSFERS, [(r.key, r.value, list(r.headers)) for r in records])
    # The same facts under other event ids, as the worker that asks again tells them.
    await cluster.publish(TRANSFERS, [_renamed(r, n) for n, r in enumerate(records)])
    await cluster.publish("ledger.commands.v1", cluster.sent)
    await cluster.send(settle("s1", "us"))
    await until(lambda: _settled(cluster, settlements + 1), "the last settlement ended")
    await until(lambda: _in_transit_is_zero(cluster), "nothing in transit")
    ends = await cluster.values("SELECT json_object_agg(id, state)::text FROM cross_transfer")
    assert all("started" not in text for text in ends.values())
    assert sum(text.count("completed") for text in ends.values()) > 20
    assert sum(text.count("refused") for text in ends.values()) > 20
    money = await cluster.values(
        "SELECT sum(credits_posted - debits_posted)::bigint FROM account WHERE purpose = 'wallet'"
    )
    assert sum(money.values()) == 200000
    owed = await cluster.values(
        "SELECT sum(credits_posted - debits_posted)::bigint FROM account"
        " WHERE path LIKE 'clearing/shards/%'"
    )
    assert sum(owed.values()) == 0
    assert await cluster.wrong() == []
    assert await cluster.values("SELECT count(*) FROM quarantine") == {"core": 0, "west": 0}


def _renamed(record: object, number: int) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    headers = [
        (name, f"again-{number}".encode() if name == "ce_id" else value)
        for name, value in record.headers  # type: ignore[attr-defined]
    ]
    return record.key, record.value, headers  # type: ignore[attr-defined]


async def _ended(cluster: Cluster, number: int) -> bool:
    done = await cluster.values("SELECT count(*) FROM cross_transfer WHERE state <> 'started'")
    return bool(sum(done.values()) == number)


async def _in_transit_is_zero(cluster: Cluster) -> bool:
    left = await cluster.values(
        "SELECT count(*) FILTER (WHERE credits_posted <> debits_posted"
        " OR debits_pending + credits_pending > 0) FROM account WHERE purpose = 'in_transit'"
    )
    return bool(sum(left.values()) == 0)


async def _settled(cluster: Cluster, number: int) -> bool:
    done = await cluster.values("SELECT count(*) FROM transit_settlement WHERE state <> 'started'")
    return bool(sum(done.values()) == number)
