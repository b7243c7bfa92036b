"""Commands over a real database: instruments, orders, cancels, in batches of any size."""

import random
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import tally_rails
from tally_contracts.rails import AttemptChanged, InstrumentRefused, InstrumentRegistered
from tally_railkit.sealing import SealingKey, seal
from tally_rails.rails import REGISTRY
from tally_rails.settings import RailsSettings
from tally_runtime import SettingsError, load_settings


async def test_instrument_is_kept_sealed_and_shown_masked(world, make):
    event = make.register()
    await world.feed(event)
    [registered] = await world.events(InstrumentRegistered)
    assert (registered.masked, registered.settlement_account) == ("checking …100", None)
    assert await world.pool.fetchval("SELECT sealed FROM instrument") == event.sealed
    assert "55550100" not in str(await world.dump())


async def test_same_registration_again_is_no_news(world, make):
    await world.feed(make.register())
    before = await world.dump()
    await world.feed(make.register())
    assert await world.dump() == before


@pytest.mark.parametrize(
    "other",
    [
        {"owner": "bob"},
        {
            "details": {
                "routing_number": "231380104",
                "account_number": "7",
                "account_type": "checking",
                "holder_name": "B",
            }
        },
    ],
)
async def test_other_content_under_a_known_id_is_refused_and_the_first_stands(world, make, other):
    await world.feed(make.register())
    await world.feed(make.register(**other))
    [refused] = await world.events(InstrumentRefused)
    assert (refused.code, refused.field) == ("id_conflict", "instrument_id")
    assert await world.pool.fetchval("SELECT owner FROM instrument") == "ann"
    await world.feed(make.submit())
    assert await world.states() == ["scheduled"]


async def test_refused_details_leave_the_id_free_for_right_ones(world, make):
    bad = {
        "routing_number": "231380105",
        "account_number": "1",
        "account_type": "checking",
        "holder_name": "A",
    }
    await world.feed(make.register(details=bad), make.register())
    [refused] = await world.events(InstrumentRefused)
    assert refused.code == "routing_number_check_digit"
    assert len(await world.events(InstrumentRegistered)) == 1


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"rail": "pigeon", "details": {}}, "rail_unknown", "rail"),
        ({"currency": "EUR"}, "currency_not_supported", "currency"),
        ({"sealed": "a.b.c"}, "sealing_key_unknown", "sealed"),
        (
            {"sealed": seal({}, SealingKey(b"k" * 32), instrument_id="ins_x", rail="ach")},
            "seal_broken",
            "sealed",
        ),
    ],
)
async def test_registration_that_cannot_be_used_is_refused(world, make, more, code, field):
    await world.feed(make.register(**more))
    [refused] = await world.events(InstrumentRefused)
    assert (refused.code, refused.field) == (code, field)
    assert await world.quarantined() == []
    assert await world.pool.fetchval("SELECT count(*) FROM instrument") == 0


@pytest.mark.parametrize(
    ("more", "code", "action"),
    [
        ({"instrument": "none"}, "instrument_unknown", "fix_details"),
        ({"owner": "bob"}, "instrument_not_owned", "fix_details"),
        ({"currency": "EUR"}, "currency_not_supported", "fix_details"),
        ({"rail": "wallet"}, "instrument_of_other_rail", "fix_details"),
        ({"amount": "100000000.00"}, "amount_above_limit", "operator"),
    ],
)
async def test_order_that_cannot_be_sent_fails_at_once_with_code_and_action(
    world, make, more, code, action
):
    await world.feed(make.register(), make.submit(**more))
    [change] = await world.changes()
    assert (change.state, change.code, change.action) == ("failed", code, action)
    assert await world.pool.fetchval("SELECT count(*) FROM job") == 0


async def test_same_order_again_is_no_news_and_other_content_is_a_case(world, make):
    await world.feed(make.register(), make.submit())
    before = await world.dump()
    await world.feed(make.submit())
    assert await world.dump() == before
    await world.feed(make.submit(amount="25.01"))
    assert await world.states() == ["scheduled"]
    assert await world.cases() == ["attempt_id_conflict"]


async def test_cancel_of_an_attempt_nobody_knows_changes_nothing(world, make):
    before = await world.dump()
    await world.feed(make.cancel())
    assert await world.dump() == before


async def test_order_registered_sent_and_cancelled_in_one_batch_ends_cancelled(world, make):
    await world.feed(make.register(), make.submit(), make.cancel())
    assert await world.states() == ["scheduled", "cancelled"]
    assert await world.pool.fetchval("SELECT count(*) FROM job") == 0


@pytest.fixture
def count_statements(world: Any) -> Callable[..., Awaitable[int]]:
    """How many statements a batch takes, BEGIN and COMMIT apart."""

    async def count(*events: Any) -> int:
        seen: list[str] = []

        def note(query: Any) -> None:
            if not query.query.startswith(("BEGIN", "COMMIT", "SELECT pg_advisory_unlock_all")):
                seen.append(query.query)

        async with world.pool.acquire() as only:
            only._con.add_query_logger(note)
        assert world.pool.get_size() == 1, "one session, so that every statement is seen"
        await world.feed(*events)
        async with world.pool.acquire() as only:
            only._con.remove_query_logger(note)
        return len(seen)

    return count


async def test_number_of_statements_does_not_depend_on_the_size_of_the_batch(
    world, make, count_statements
):
    def batch(prefix: str, size: int) -> list[Any]:
        events: list[Any] = []
        for n in range(size):
            name = f"{prefix}{n}"
            events += [
                make.register(name),
                make.register(f"{name}-w", "wallet"),
                make.submit(name, name),
                make.submit(f"{name}-w", f"{name}-w", rail="wallet"),
                make.submit(f"{name}-c", name),
                make.cancel(f"{name}-c"),
            ]
        return events

    # The first batch of a session also asks for the types of its parameters.
    await world.feed(*batch("first", 1))
    few = await count_statements(*batch("few", 1))
    many = await count_statements(*batch("many", 60))
    assert few == many
    assert many <= 10
    assert len(await world.events(AttemptChanged)) == 62 * 5
    assert await world.quarantined() == []


async def test_batches_cut_anywhere_tell_the_same(world, make):
    cuts = random.Random(7)
    events: list[Any] = []
    for n in range(12):
        events += [
            make.register(f"p{n}"),
            make.submit(f"p{n}", f"p{n}"),
            make.submit(f"p{n}", f"p{n}"),
        ]
    while events:
        size = cuts.randint(1, 9)
        await world.feed(*events[:size])
        events = events[size:]
    assert [await world.states(f"p{n}") for n in range(12)] == [["scheduled"]] * 12


def test_new_rail_is_one_folder_and_one_registry_line():
    package = Path(tally_rails.__file__).parent
    for name in REGISTRY:
        folder = package / "rails" / name
        assert (folder / "adapter.py").is_file()
        mentions = [
            (path.relative_to(package), line)
            for path in package.rglob("*.*")
            if path.suffix in {".py", ".sql"} and folder not in path.parents
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.search(f"(?<![a-z]){name}(?![a-z])", line.lower())
        ]
        assert [(str(path), line.strip()) for path, line in mentions] == [
            ("rails/__init__.py", f'"{name}",')
        ]


def test_sealing_key_known_to_everybody_is_refused_in_production():
    with pytest.raises(SettingsError, match="TALLY_SEALING_KEY"):
        load_settings(
            RailsSettings,
            environment="production",
            kafka="h:1",
            postgres_dsn=SecretStr("postgresql://tally_rails:long-own-word@h/db"),
        )


def test_sealing_key_of_the_wrong_length_is_refused_without_showing_it():
    with pytest.raises(SettingsError) as caught:
        load_settings(
            RailsSettings,
            environment="test",
            kafka="h:1",
            postgres_dsn=SecretStr("postgresql://tally_rails:x@h/db"),
            sealing_key=SecretStr("c2hvcnQta2V5"),
        )
    assert "openssl rand -base64 32" in str(caught.value)
    assert "c2hvcnQta2V5" not in str(caught.value)
