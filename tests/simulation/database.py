"""Postgres as the services rely on it: rows, row locks, read-committed statements, atomic commits.

A statement sees what was committed when it runs, and its own transaction's writes. A row that is
locked or written stays locked to the end of the transaction; others wait for it, and give up after a
while. A session that stands still too long inside a transaction is ended by the server.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Self

import asyncpg

from .world import Process, World

_LOCK_TIMEOUT_S = 2.0
_IDLE_LIMIT_S = 8.0
_DELETED = object()
Key = object


class Database:
    """The committed rows of one service's schema. `journalled` counts commits."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.rows: dict[str, dict[Key, object]] = defaultdict(dict)
        self.locks: dict[tuple[str, Key], Transaction] = {}
        self.waiting: dict[tuple[str, Key], list[asyncio.Future]] = {}
        self.commits = 0

    def pool(self, process: Process) -> "Sessions":
        return Sessions(self, process)


class Sessions:
    """A process's pool: transactions, and statements outside of one."""

    def __init__(self, database: Database, process: Process) -> None:
        self.database = database
        self.process = process
        self._open: dict[Transaction, None] = {}
        process.on_death.append(self._dropped)
        process.on_stop.append(self._frozen)

    def acquire(self, timeout: float = 0) -> "Transaction":
        return Transaction(self)

    async def expire_connections(self) -> None:
        return None

    async def statement(self, what: str) -> None:
        """One statement on its own; it may fail for want of a connection."""
        await self.process.step(what)
        _maybe_broken(self.database.world, what)

    def opened(self, transaction: "Transaction") -> None:
        self._open[transaction] = None

    def closed(self, transaction: "Transaction") -> None:
        self._open.pop(transaction, None)

    def _dropped(self) -> None:
        """The server notices after a moment that nobody is there any more."""
        delay = self.database.world.rng.choice([0.0, 0.4, 1.5])
        for transaction in list(self._open):
            self.database.world.loop.call_later(delay, transaction.abort)

    def _frozen(self, pause: float) -> None:
        if pause > _IDLE_LIMIT_S and self.database.world.rng.random() < 0.5:
            for transaction in list(self._open):
                self.database.world.loop.call_later(_IDLE_LIMIT_S, transaction.abort)


class Transaction:
    """A connection in a transaction; what services know as `conn`."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.database = sessions.database
        self.world = sessions.database.world
        self.writes: dict[str, dict[Key, object]] = {}
        self.held: dict[tuple[str, Key], None] = {}
        self.over = False

    async def __aenter__(self) -> Self:
        self.sessions.opened(self)
        await self.statement("begin")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()

    def transaction(self) -> "_Committing":
        return _Committing(self)

    async def statement(self, what: str) -> None:
        """A round trip to the server."""
        await self.sessions.process.step(f"{self.database.name}.{what}")
        if self.over:
            raise asyncpg.exceptions.IdleInTransactionSessionTimeoutError("terminated: stood still")
        _maybe_broken(self.world, what)

    def get(self, table: str, key: Key):
        """The row as this statement sees it, or None."""
        written = self.writes.get(table)
        if written is not None and key in written:
            value = written[key]
            return None if value is _DELETED else value
        return self.database.rows[table].get(key)

    def table(self, name: str) -> dict[Key, object]:
        """All rows of a table as this statement sees them."""
        rows = {**self.database.rows[name], **self.writes.get(name, {})}
        return {key: value for key, value in rows.items() if value is not _DELETED}

    async def lock(self, table: str, keys: Iterable[Key]) -> None:
        """Lock rows, in the order given; wait for whoever has one."""
        for key in keys:
            place = (table, key)
            while (owner := self.database.locks.get(place)) is not self:
                if owner is None:
                    self.database.locks[place] = self
                    self.held[place] = None
                    break
                await self._wait_for(place)

    async def _wait_for(self, place: tuple[str, Key]) -> None:
        released = self.world.loop.create_future()
        self.database.waiting.setdefault(place, []).append(released)
        try:
            async with asyncio.timeout(_LOCK_TIMEOUT_S):
                await released
        except TimeoutError:
            self.world.count("lock_timeout")
            if self.world.rng.random() < 0.5:
                raise asyncpg.DeadlockDetectedError("deadlock detected") from None
            raise asyncpg.LockNotAvailableError("lock timeout") from None
        if self.over:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed") from None

    def put(self, table: str, key: Key, value: object) -> None:
        """Write a row whose lock is held, or which nobody else can write."""
        assert not self.over, "a transaction that is over writes nothing"
        self.writes.setdefault(table, {})[key] = value

    def delete(self, table: str, key: Key) -> None:
        self.put(table, key, _DELETED)

    async def insert(self, table: str, key: Key, value: object) -> bool:
        """ON CONFLICT DO NOTHING: wait for a concurrent insert of the same key; False if it is there."""
        await self.lock(table, [key])
        if self.get(table, key) is not None:
            return False
        self.put(table, key, value)
        return True

    async def insert_new(self, table: str, key: Key, value: object) -> None:
        """A plain insert: a key that is taken is a unique violation."""
        if not await self.insert(table, key, value):
            raise asyncpg.UniqueViolationError(f"{table} {key} exists")

    def commit(self) -> None:
        for table, rows in self.writes.items():
            committed = self.database.rows[table]
            for key, value in rows.items():
                if value is _DELETED:
                    committed.pop(key, None)
                else:
                    committed[key] = value
        self.database.commits += 1
        self.abort()

    def abort(self) -> None:
        """End the transaction; what was not committed is gone, and its locks are free."""
        self.over = True
        self.writes = {}
        self.sessions.closed(self)
        for place in self.held:
            if self.database.locks.get(place) is self:
                del self.database.locks[place]
            for waiter in self.database.waiting.pop(place, ()):
                if not waiter.done():
                    waiter.set_result(None)
        self.held = {}


class _Committing:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, *_: object) -> None:
        transaction = self._transaction
        if kind is not None:
            transaction.abort()
            return
        await transaction.statement("commit")
        world = transaction.world
        if world.likely(world.odds.database):
            transaction.abort()
            world.count("serialization_failure")
            raise asyncpg.SerializationError("could not serialize access")
        transaction.commit()
        if world.likely(world.odds.lost_commit_answer):
            world.count("commit_answer_lost")
            raise asyncpg.ConnectionDoesNotExistError("connection was closed after the commit")


def _maybe_broken(world: World, what: str) -> None:
    if world.likely(world.odds.database):
        world.count("database")
        raise _broken(world.rng)


def _broken(rng: random.Random) -> Exception:
    return rng.choice(
        [
            asyncpg.ConnectionDoesNotExistError("connection was closed"),
            asyncpg.DeadlockDetectedError("deadlock detected"),
            asyncpg.AdminShutdownError("terminating connection due to administrator command"),
            asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        ]
    )
