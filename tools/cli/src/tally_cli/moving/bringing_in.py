"""Carrying a plan out: each wave is published and answered before the next one goes."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from tally_cli.moving.plan import Plan, Planned
from tally_cli.publishing import CLI_SOURCE, publication, publish
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_postgres import create_pool
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


@dataclass(slots=True)
class Outcome:
    """What became of an import: how many commands were answered well, and what stands against it."""

    done: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    balances: dict[str, dict[str, int]] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Everything was taken in, and every balance is as it was."""
        return not (self.refused or self.unanswered or self.differing)


@dataclass(frozen=True, slots=True)
class Bringing:
    """Where an import goes to, and how many seconds a wave may take."""

    kafka: str
    postgres_dsn: str
    clock: Clock
    wait_s: float

    async def carry_out(self, plan: Plan) -> Outcome:
        """Carry a plan out and compare the balances; a wave not answered well is the last."""
        outcome = Outcome()
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
        await _compare(self.postgres_dsn, plan, outcome)
        return outcome

    async def _send(
        self,
        consumer: AIOKafkaConsumer,
        wave: Sequence[Planned],
        outcome: Outcome,
        *,
        may_wait: bool,
    ) -> tuple[Planned, ...]:
        """Ask for a wave; what was refused because it came too early, to be asked for again."""
        # An import begun again asks under new event ids; the commands keep theirs.
        ids = Ids()
        waiting = {str(ids.uuid7()): each for each in wave}
        records = [
            publication(
                each.event,
                topic=each.topic,
                key=each.key,
                event_id=event_id,
                source=CLI_SOURCE,
                clock=self.clock,
            )
            for event_id, each in waiting.items()
        ]
        await publish(self.kafka, records)
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


async def _compare(dsn: str, plan: Plan, outcome: Outcome) -> None:
    pool = await create_pool(
        dsn, schema="ledger", application_name="tally_import", min_size=1, max_size=1
    )
    try:
        rows = await pool.fetch(
            "SELECT id, (credits_posted - debits_posted)::numeric(38, 0) AS balance FROM account"
            " WHERE id = ANY($1::text[])",
            list(plan.balances),
        )
    finally:
        await pool.close()
    found = {row["id"]: row["balance"] for row in rows}
    for account, expected in plan.balances.items():
        sums = outcome.balances.setdefault(plan.currencies[account], {"exported": 0, "here": 0})
        sums["exported"] += expected
        sums["here"] += int(found.get(account, 0))
        if int(found.get(account, 0)) != expected:
            outcome.differing.append(account)
