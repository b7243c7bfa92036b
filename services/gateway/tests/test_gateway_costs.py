"""What a request costs in counts that no busy machine changes: statements, and rows that are read."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from tally_gateway.domain.access import Node
from tally_gateway.domain.rows import NDJSON
from tally_gateway.importing import BATCH_ROWS
from tally_gateway.store import EVERY_TENANT, commands, imports, log, scoped
from tally_gateway.store import tree as nodes_of
from tally_runtime import derived_uuid

from .gateway_bench import START, Bench, party, statements
from .test_gateway_commands import payout, tree

KIND, RARE = "payouts.payout.changed.v1", "rails.instrument.registered.v1"
LINES, PAGE = 2_000, 20


async def test_commands_that_come_together_are_a_constant_number_of_statements(
    bench: Bench,
) -> None:
    _, key = await tree(bench)
    wallet = await bench.wallet("acme")
    assert (await bench.post("/v1/payouts", key, payout(wallet))).status_code == 202
    counts = []
    for size in (1, 40):
        async with statements(bench) as seen:
            answers = await asyncio.gather(
                *(bench.post("/v1/payouts", key, payout(wallet)) for _ in range(size))
            )
        assert {each.status_code for each in answers} == {202}
        counts.append(len(seen))
    assert counts[0] == counts[1], "the key was read before, and all are committed together"
    assert counts[0] <= 10


async def test_each_batch_of_an_import_is_the_same_number_of_statements(bench: Bench) -> None:
    _, key = await tree(bench)
    wallet = await bench.wallet("acme")
    counts = []
    for number, batches in enumerate((1, 1, 2, 6)):
        rows = [payout(wallet) for _ in range(batches * BATCH_ROWS)]
        rows[1] = rows[-1] = {"amount": "broken"}
        async with statements(bench) as seen:
            sent = await bench.client.post(
                "/v1/imports",
                params={"kind": "payouts"},
                content=b"\n".join(json.dumps(row).encode() for row in rows),
                headers={
                    "Authorization": f"Bearer {key}",
                    "Idempotency-Key": f"import-{number}",
                    "Content-Type": NDJSON,
                },
            )
        assert sent.json()["rows_refused"] == 2, sent.text
        counts.append(len(seen))
    _, one, two, six = counts  # the first finds out what the database calls its types
    each = two - one
    assert six - two == 4 * each, "a batch costs the same, first or last"
    assert each <= 16


async def rows_read(bench: Bench, tenant: str, query: str, *arguments: object) -> int:
    """How many rows the scan of a query that looks at most looks at."""
    async with bench.pool.acquire() as conn, conn.transaction():
        await scoped(conn, tenant)
        # The planner knows nothing of a table this young, and would sort what an index has in order.
        await conn.execute("SET LOCAL enable_sort = off")
        asked = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}"
        (found,) = await conn.fetchval(asked, *arguments)
    return max(_read(found["Plan"]))


_IMPORTS = """
INSERT INTO bulk_import (import_id, tenant, principal, kind, state, rows_accepted, rows_refused,
                         started_at)
SELECT 'bulk_' || lpad((2000 - n)::text, 26, '0'), $1, $1, 'payouts', 'received', 0, 0,
       $2::timestamptz + make_interval(secs => n)
FROM generate_series(1, 2000) AS n
"""


async def test_a_page_of_imports_reads_no_more_than_it_shows(bench: Bench) -> None:
    owner = party("agg")
    async with bench.pool.acquire() as conn, conn.transaction():
        await scoped(conn, EVERY_TENANT)
        await conn.execute(_IMPORTS, owner, START)
        first = await imports.of_principal(conn, owner, None, PAGE)
        second = await imports.of_principal(conn, owner, first[-1].id, PAGE)
        assert await imports.of_principal(conn, owner, "bulk_unknown", PAGE) == []
    times = [each.started_at for each in (*first, *second)]
    assert times == [START + timedelta(seconds=2000 - n) for n in range(2 * PAGE)]
    assert await rows_read(bench, owner, imports._OF_PRINCIPAL, owner, PAGE) <= PAGE
    after = (owner, PAGE, second[-1].id)
    assert await rows_read(bench, owner, imports._OF_PRINCIPAL_AFTER, *after) <= PAGE


_COMMANDS = """
INSERT INTO command (command_id, event_id, tenant, principal, actor, type, subject, correlation_id,
                     state, accepted_at)
SELECT 'cmd_' || n, gen_random_uuid(), $1, $1, 'key', $2, 'party_' || n, 'c', 'accepted', $3
FROM generate_series(1, 2000) AS n
"""


async def test_who_is_to_be_registered_is_looked_up_by_id(bench: Bench) -> None:
    owner, asked = party("agg"), ["party_7", "party_1999", "party_0"]
    async with bench.pool.acquire() as conn, conn.transaction():
        await scoped(conn, EVERY_TENANT)
        await conn.execute(_COMMANDS, owner, "directory.party.register.v1", START)
        found = await commands.registering(conn, asked)
    assert found == {(owner, "party_7"), (owner, "party_1999")}
    assert await rows_read(bench, owner, commands._REGISTERING, asked) <= len(asked)


async def test_a_page_of_a_log_reads_no_more_lines_than_it_shows(bench: Bench) -> None:
    await bench.register("agg", "aggregator")
    owner = party("agg")
    async with bench.pool.acquire() as conn, conn.transaction():
        await scoped(conn, EVERY_TENANT)
        ids = [derived_uuid("event", str(number)) for number in range(LINES)]
        await log.append(
            conn,
            [log.EventCopy(owner, each, KIND, START, json.dumps({}).encode()) for each in ids],
            [log.Entry(owner, owner, each, KIND) for each in ids],
            {owner: owner},
        )
    assert await rows_read(bench, owner, log._PAGE, owner, 100, PAGE) <= PAGE
    # The planner knows nothing of a table this young; what it reads is bounded by the type at least.
    assert await rows_read(bench, owner, log._PAGE_OF_TYPES, owner, 100, PAGE, [RARE]) == 0


async def test_parties_are_looked_up_one_by_one_by_a_plan_from_when_there_were_none(
    bench: Bench,
) -> None:
    async with bench.pool.acquire() as conn, conn.transaction():
        await scoped(conn, EVERY_TENANT)
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await conn.execute(f"PREPARE asked (text[]) AS {nodes_of._NODES}")
        await conn.execute("EXECUTE asked ('{}')")
        parties = [
            Node(name, party("agg"), "payee", (name,)) for name in map(party, map(str, range(500)))
        ]
        await nodes_of.save_nodes(conn, parties, START)
        two = f"ARRAY['{parties[0].party}', '{parties[1].party}', 'nobody']"
        (plan,) = await conn.fetchval(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE asked ({two})"
        )
        await conn.execute("DEALLOCATE asked")
    assert max(_read(plan["Plan"])) == 2


def _read(node: dict[str, Any]) -> list[int]:
    """How many rows each scan of a plan looked at, in all its loops."""
    found = [each for inner in node.get("Plans", ()) for each in _read(inner)]
    if "Relation Name" in node:
        looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        found.append(round(looked_at * node["Actual Loops"]))
    return found
