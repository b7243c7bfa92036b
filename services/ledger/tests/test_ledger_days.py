"""Days are closed once, in order, for good, and signed."""

import asyncio
import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tally_ledger.closing import GRACE, announce_key, close_next_day
from tally_ledger.proofs import SigningKey
from tally_ledger.proofs.errors import KeyMalformed
from tally_runtime import FixedClock

from .conftest import LedgerFixture
from .ledger_builders import NOW, account, journal, leg

KEY = SigningKey.parse(base64.b64encode(bytes(range(32))).decode())
NEXT_KEY = SigningKey.parse(base64.b64encode(bytes(range(1, 33))).decode())
DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


async def book(ledger: LedgerFixture, name: str) -> None:
    accounts = [account("cards", guarded=False), account("ann")]
    await ledger.apply(journal(name, leg(name, "cards", "ann", "1.00"), opens=accounts))


async def close(ledger: LedgerFixture, key: SigningKey = KEY) -> list[date]:
    """Close all that can be closed."""
    await ledger.transactor.run(lambda uow: announce_key(uow, key.public))
    closed = []
    while (day := await close_next_day(ledger.transactor, "main", key)) is not None:
        closed.append(day)
    return closed


async def rows(ledger: LedgerFixture) -> list[Any]:
    return await ledger.pool.fetch("SELECT * FROM daily_root ORDER BY shard, day")


def to(ledger: LedgerFixture, moment: datetime) -> None:
    ledger.clock.advance(moment - ledger.clock.now())


def record(row: Any) -> bytes:
    """The signed bytes from the words of proofs/days.py alone."""
    signed_at = row["signed_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    hashes = [row[name].hex() for name in ("root", "head", "previous")]
    span = [str(row["first_log"]), str(row["last_log"])]
    fields = ["D", "1", row["shard"], str(row["day"]), *span, *hashes, signed_at, row["key_id"]]
    return ("\x1f".join(fields) + "\x1e").encode()


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


async def test_a_finished_day_is_one_signed_root_over_its_batches_and_published(
    ledger: LedgerFixture,
) -> None:
    for name in ("a", "b", "c"):
        await book(ledger, name)
    to(ledger, MIDNIGHT + GRACE)
    await ledger.published()
    assert await close(ledger) == [date(2026, 3, 1)]

    heads = [row[0] for row in await ledger.pool.fetch("SELECT root FROM log ORDER BY seq")]
    one, two, three = (sha256(b"\x00", head) for head in heads)
    (row,) = await rows(ledger)
    assert row["root"] == sha256(b"\x01", sha256(b"\x01", one, two), three)
    assert (row["first_log"], row["last_log"], row["head"]) == (1, 3, heads[-1])
    assert row["previous"] == bytes(32)
    assert row["record_hash"] == sha256(record(row))
    public = await ledger.pool.fetchval(
        "SELECT public_key FROM signing_key WHERE id = $1", row["key_id"]
    )
    assert row["key_id"] == sha256(public).hex()[:16]
    Ed25519PublicKey.from_public_bytes(public).verify(row["signature"], record(row))

    (fact,) = await ledger.published()
    assert (fact.topic, fact.key) == ("ledger.roots.v1", "main")
    assert fact.body["root"] == row["root"].hex()
    assert fact.body["signature"] == row["signature"].hex()
    assert fact.body["signed_at"] == "2026-03-02T00:01:00Z"


async def test_a_day_is_open_until_the_time_of_grace_is_over(ledger: LedgerFixture) -> None:
    to(ledger, MIDNIGHT + GRACE)
    assert await close(ledger) == [], "books nobody wrote to have no days"
    await book(ledger, "a")
    to(ledger, MIDNIGHT + DAY + GRACE - timedelta(microseconds=1))
    assert await close(ledger) == []
    to(ledger, MIDNIGHT + DAY + GRACE)
    assert await close(ledger) == [date(2026, 3, 2)]


async def test_days_after_a_pause_are_all_closed_those_without_batches_too(
    ledger: LedgerFixture,
) -> None:
    await book(ledger, "a")
    ledger.clock.advance(3 * DAY)
    await book(ledger, "b")
    ledger.clock.advance(2 * DAY)
    assert await close(ledger) == [date(2026, 3, day) for day in (1, 2, 3, 4, 5)]
    days = await rows(ledger)
    spans = [(row["first_log"], row["last_log"]) for row in days]
    assert spans == [(1, 1), (2, 1), (2, 1), (2, 2), (3, 2)]
    assert {row["root"] for row in days if row["last_log"] < row["first_log"]} == {sha256(b"")}
    assert [row["head"] for row in days[1:3]] == [days[0]["head"]] * 2
    assert [row["previous"] for row in days[1:]] == [row["record_hash"] for row in days[:-1]]


async def test_replicas_at_the_same_time_close_a_day_once(ledger: LedgerFixture) -> None:
    await book(ledger, "a")
    await ledger.transactor.run(lambda uow: announce_key(uow, KEY.public))
    ledger.clock.advance(DAY + GRACE)
    await ledger.published()
    closed = await asyncio.gather(
        *(close_next_day(ledger.transactor, "main", KEY) for _ in range(4))
    )
    assert len(await rows(ledger)) == 1
    assert len(await ledger.published()) == 1
    assert sum(day is not None for day in closed) == 1


async def test_nothing_is_recorded_into_a_closed_day_by_a_clock_that_is_behind(
    ledger: LedgerFixture,
) -> None:
    await book(ledger, "a")
    to(ledger, MIDNIGHT + GRACE)
    await close(ledger)
    behind = replace(ledger.transactor, clock=FixedClock(MIDNIGHT - timedelta(hours=3)))
    ledger.transactor, exact = behind, ledger.transactor
    await book(ledger, "late")
    ledger.transactor = exact
    times = await ledger.pool.fetch(
        "SELECT recorded_at FROM log UNION SELECT recorded_at FROM journal"
    )
    assert {row[0] for row in times} == {NOW, MIDNIGHT}
    to(ledger, MIDNIGHT + DAY + GRACE)
    await close(ledger)
    assert [(row["first_log"], row["last_log"]) for row in await rows(ledger)] == [(1, 1), (2, 2)]


async def test_a_batch_decided_before_its_day_was_closed_starts_again(
    ledger: LedgerFixture,
) -> None:
    await book(ledger, "a")
    version = await ledger.pool.fetchval("SELECT version FROM shard_state WHERE shard = 'main'")
    to(ledger, MIDNIGHT + GRACE)
    await close(ledger)
    slow = "SELECT advance_shard('main', $1, 1, $2, sha256(''), sha256(''))"
    with pytest.raises(asyncpg.SerializationError, match="has moved on"):
        await ledger.pool.execute(slow, version, NOW)
    with pytest.raises(asyncpg.CheckViolationError, match="is before that"):
        await ledger.pool.execute(slow, version + 1, NOW)


async def test_the_release_before_can_still_post_but_not_into_a_closed_day(
    ledger: LedgerFixture,
) -> None:
    await book(ledger, "a")
    to(ledger, MIDNIGHT + GRACE)
    await close(ledger)
    version = await ledger.pool.fetchval("SELECT version FROM shard_state WHERE shard = 'main'")
    old = "SELECT advance_shard('main', $1, 1, sha256('x'), $2)"
    with pytest.raises(asyncpg.SerializationError, match="has moved on"):
        await ledger.pool.execute(old, version, NOW)
    await ledger.pool.execute(old, version, MIDNIGHT)
    row = await ledger.pool.fetchrow("SELECT form, leaves, root FROM log WHERE seq = 2")
    assert tuple(row) == (1, None, sha256(b"x"))


async def test_the_roots_of_a_key_before_stay_when_the_key_changes(ledger: LedgerFixture) -> None:
    await book(ledger, "a")
    ledger.clock.advance(DAY)
    await close(ledger)
    ledger.clock.advance(DAY)
    await close(ledger, NEXT_KEY)
    assert [row["key_id"] for row in await rows(ledger)] == [KEY.public.id, NEXT_KEY.public.id]
    assert await ledger.pool.fetchval("SELECT count(*) FROM signing_key") == 2


async def test_signed_roots_and_keys_cannot_be_changed(ledger: LedgerFixture) -> None:
    await book(ledger, "a")
    ledger.clock.advance(DAY)
    await close(ledger)
    for table in ("daily_root", "signing_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ledger.pool.execute(f"DELETE FROM {table}")
        with pytest.raises(Exception, match="insert-only"):
            ledger.as_admin(f"DELETE FROM ledger.{table}")


@pytest.mark.parametrize("text", ["", "short", "A" * 43, "=" * 44, "é" * 44])
def test_a_key_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(KeyMalformed) as refused:
        SigningKey.parse(text)
    assert refused.value.field == "ledger_signing_key"
    assert "base64" in refused.value.remedy


def test_a_private_key_is_never_shown() -> None:
    assert base64.b64encode(bytes(range(32))).decode() not in json.dumps([repr(KEY), str(KEY)])
