"""Carrying a plan out: each wave is published and answered before the next one goes."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from tally_cli.moving.here import refuse_what_is_here
from tally_cli.moving.past import Past
from tally_cli.moving.plan import Plan, Planned
from tally_cli.publishing import CLI_SOURCE, publication, publish
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_postgres import Connection, create_pool
from tally_runtime import Clock, Ids

_ANSWERS: Final = (
    "directory.parties.v1",
    "directory.wallets.v1",
    "programs.programs.v1",
    "funding.rules.v1",
    "ledger.journals.v1",
    "ledger.accounts.v1",
)
_REFUSED = ("refused", "rejected")
_NOT_YET = frozenset({"wallet_not_owned"})
"""Refusals of who has not read yet what the wave before made."""
_AGAIN_S = 1.0
_TRIES = 30

# A log shows a fact to the parties it knows of: what came too early would be the operator's alone.
_NOT_KNOWN = """
SELECT count(*) FROM unnest($1::text[]) AS told (party)
WHERE NOT EXISTS (SELECT FROM gateway.party_node WHERE party_id = told.party)
OR NOT EXISTS (SELECT FROM party WHERE party_id = told.party)
"""
_NOT_SHOWN = """
SELECT (SELECT count(*) FROM unnest($1::text[]) AS told (id)
        WHERE NOT EXISTS (SELECT FROM hop WHERE event_id = told.id))
     + (SELECT coalesce(sum(greatest(told.movements - (
            SELECT count(*) FROM movement m WHERE m.account = told.account AND m.brought), 0)), 0)
        FROM unnest($2::text[], $3::bigint[]) AS told (account, movements))::bigint
"""


@dataclass(slots=True)
class Outcome:
    """What became of an import: how many commands were answered well, and what stands against it.

    `not_shown` is how much of the past no view shows yet.
    """

    done: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    balances: dict[str, dict[str, int]] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)
    not_shown: int = 0

    @property
    def is_whole(self) -> bool:
        """Everything was taken in, and every balance is as it was."""
        return not (self.refused or self.unanswered or self.differing or self.not_shown)


@dataclass(frozen=True, slots=True)
class Bringing:
    """Where an import goes to, and how many seconds a wave may take."""

    kafka: str
    postgres_dsn: str
    clock: Clock
    wait_s: float

    async def carry_out(self, plan: Plan) -> Outcome:
        """Carry a plan out and compare the balances; a wave not answered well is the last.

        Raises `ArchiveFault`, with nothing asked, for what is here already and stands against it.
        """
        outcome = Outcome()
        async with self._session("ledger") as conn:
            await refuse_what_is_here(conn, plan)
        async with AIOKafkaConsumer(
            *_ANSWERS,
            bootstrap_servers=self.kafka,
            auto_offset_reset="latest",
            enable_auto_commit=False,
        ) as consumer:
            # Positions first, so that no answer can come before anyone listens.
            for partition in consumer.assignment():
                await consumer.position(partition)
            for wave in plan.waves:
                left = wave
                for tries_left in reversed(range(_TRIES)):
                    left = await self._send(consumer, left, outcome, may_wait=tries_left > 0)
                    if not left:
                        break
                    await asyncio.sleep(_AGAIN_S)
                if outcome.refused or outcome.unanswered:
                    return outcome
        async with self._session("ledger") as conn:
            await _compare(conn, plan, outcome)
        if plan.past is not None and outcome.is_whole:
            async with self._session("portfolio") as conn:
                await self._tell(conn, plan, plan.past, outcome)
        return outcome

    async def _tell(self, conn: Connection, plan: Plan, past: Past, outcome: Outcome) -> None:
        """Tell views and logs of the past once they know whose it is, and wait until it is shown."""
        outcome.not_shown = await self._until_none(conn, _NOT_KNOWN, list(plan.parties))
        if not outcome.not_shown:
            await self._publish(plan.told)
            outcome.not_shown = await self._until_none(
                conn,
                _NOT_SHOWN,
                list(past.hops),
                list(past.movements),
                list(past.movements.values()),
            )

    async def _until_none(self, conn: Connection, query: str, *arguments: object) -> int:
        """Ask until the answer is none, as long as a wave may take; the last answer."""
        until = self.clock.now() + timedelta(seconds=self.wait_s)
        while True:
            left = int(await conn.fetchval(query, *arguments))
            if not left or self.clock.now() > until:
                return left
            await asyncio.sleep(_AGAIN_S)

    @asynccontextmanager
    async def _session(self, schema: str) -> AsyncIterator[Connection]:
        """An operator's session, which sees every tenant."""
        pool = await create_pool(
            self.postgres_dsn,
            schema=schema,
            application_name="tally_import",
            min_size=1,
            max_size=1,
        )
        try:
            async with pool.acquire() as conn:
                await conn.execute("SELECT set_config('tally.tenant', '*', false)")
                yield conn
        finally:
            await pool.close()

    async def _send(
        self,
        consumer: AIOKafkaConsumer,
        wave: Sequence[Planned],
        outcome: Outcome,
        *,
        may_wait: bool,
    ) -> tuple[Planned, ...]:
        """Ask for a wave; what was refused because it came too early, to be asked for again."""
        waiting = await self._publish(wave)
        early: list[Planned] = []
        try:
            async with asyncio.timeout(self.wait_s):
                async for record in consumer:
                    headers = dict(record.headers)
                    cause = (headers.get(CAUSATION_ID) or b"").decode()
                    kind = (headers.get(CE_TYPE) or b"").decode()
                    answered = waiting.pop(cause, None)
                    if answered is None:
                        continue
                    code = _note(outcome, answered, kind, record.value)
                    if may_wait and code in _NOT_YET:
                        outcome.refused.pop()
                        early.append(answered)
                    if not waiting:
                        break
        except TimeoutError:
            outcome.unanswered += [each.of for each in waiting.values()]
        return tuple(early)

    async def _publish(self, events: Sequence[Planned]) -> dict[str, Planned]:
        """Publish; each by the id it went under."""
        # An import begun again asks under new event ids; the commands keep theirs.
        ids = Ids()
        published = {str(ids.uuid7()): each for each in events}
        records = [
            publication(
                each.event,
                topic=each.topic,
                key=each.key,
                event_id=event_id,
                source=CLI_SOURCE,
                clock=self.clock,
            )
            for event_id, each in published.items()
        ]
        await publish(self.kafka, records)
        return published


def _note(outcome: Outcome, planned: Planned, kind: str, value: bytes) -> str | None:
    """Note what a command was answered; the code of a refusal."""
    if not any(word in kind for word in _REFUSED):
        outcome.done += 1
        return None
    said: Mapping[str, Any] = json.loads(value)
    code = str(said.get("code", "refused"))
    outcome.refused.append(
        {
            "of": planned.of,
            "command": planned.event.TYPE,
            "code": code,
            "detail": str(said.get("detail") or said.get("faults") or ""),
            "remedy": str(said.get("remedy", "")),
        }
    )
    return code


async def _compare(conn: Connection, plan: Plan, outcome: Outcome) -> None:
    rows = await conn.fetch(
        "SELECT id, (credits_posted - debits_posted)::numeric(38, 0) AS balance FROM account"
        " WHERE id = ANY($1::text[])",
        list(plan.balances),
    )
    found = {row["id"]: row["balance"] for row in rows}
    for account, expected in plan.balances.items():
        sums = outcome.balances.setdefault(plan.currencies[account], {"exported": 0, "here": 0})
        sums["exported"] += expected
        sums["here"] += int(found.get(account, 0))
        if int(found.get(account, 0)) != expected:
            outcome.differing.append(account)
