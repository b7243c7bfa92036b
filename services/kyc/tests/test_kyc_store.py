"""Walls between tenants, a constant number of statements, plans by index, and batches that meet."""

import asyncio
import re
from typing import Any

import pytest

from tally_contracts import directory_facts as facts
from tally_contracts import kyc as wire
from tally_kyc.store import looking, reading, standing

from .conftest import party_id, tid


async def as_tenant(bench: Any, tenant: str | None, query: str) -> list[Any]:
    async with bench.pool.acquire() as conn, conn.transaction():
        if tenant is not None:
            await conn.execute("SELECT set_config('tally.tenant', $1, true)", tenant)
        return [row[0] for row in await conn.fetch(query)]


@pytest.mark.parametrize("table", ["party", "task", "consent", "connection", "command"])
async def test_a_session_sees_the_tenant_it_named_and_without_a_name_nothing(
    kyc: Any, table: str
) -> None:
    for name, tenant in (("ann", "agg"), ("zed", "agg2")):
        of = {"tenant": party_id(tenant)}
        await kyc.send(
            kyc.registered(name, **of),
            kyc.fact(facts.ConsentGiven, party_id=party_id(name), company=party_id("x"), **of),
            kyc.fact(
                facts.ConnectionChanged,
                connection_id=tid("conn", name),
                from_party=party_id("x"),
                to_party=party_id(name),
                access="manage",
                state="accepted",
                **of,
            ),
            kyc.open(name, "document", task=name, **of),
        )
    query = f"SELECT tenant FROM {table}"
    assert set(await as_tenant(kyc, party_id("agg"), query)) == {party_id("agg")}
    assert set(await as_tenant(kyc, party_id("agg2"), query)) == {party_id("agg2")}
    for nobody in (party_id("other"), None, ""):
        assert await as_tenant(kyc, nobody, query) == []
    assert set(await as_tenant(kyc, "*", query)) == {party_id("agg"), party_id("agg2")}


def batch(bench: Any, size: int, start: int) -> list[Any]:
    """Every kind of work but tables, `size` times each."""
    work: list[Any] = []
    for number in range(start, start + size):
        name = f"n{number}"
        work += [
            bench.registered(name),
            bench.open(name, "document", task=name),
            bench.submit(tid("task", name), by=name),
            bench.decide(tid("task", name)),
            bench.fact(facts.ConsentGiven, party_id=party_id(name), company=party_id("acme")),
            bench.command(
                wire.ReportChange, party_id=party_id(name), changed=("name",), reason="x", by=name
            ),
            bench.submit(tid("task", f"{name}-lost"), by=name),
        ]
    return work


async def test_a_batch_sends_the_same_statements_whatever_its_size(kyc: Any) -> None:
    async def statements(*events: Any) -> list[str]:
        seen: list[str] = []

        def note(query: Any) -> None:
            if not query.query.startswith(("BEGIN", "COMMIT", "SELECT pg_advisory_unlock_all")):
                seen.append(query.query)

        records = [kyc.record(event) for event in events]
        async with kyc.pool.acquire() as only:
            only._con.add_query_logger(note)
        assert kyc.pool.get_size() == 1, "one session, so that every statement is seen"
        await kyc.processor.process(records)
        async with kyc.pool.acquire() as only:
            only._con.remove_query_logger(note)
        return seen

    # The first batch of a session also asks the server about types.
    sent = [
        await statements(*batch(kyc, size, start)) for size, start in ((2, 500), (2, 0), (40, 100))
    ]
    assert sent[1] == sent[2]
    assert len(sent[2]) <= 13, "inbox, turn, four questions, what has changed, answers, outbox"


async def test_no_question_reads_a_table_from_end_to_end(kyc: Any) -> None:
    """Plans of every statement that reads, as the server makes them when tables have grown."""
    queries = {
        (module.__name__, name): query
        for module in (reading, looking, standing)
        for name, query in vars(module).items()
        if isinstance(query, str) and name.startswith("_") and "FROM" in query
    }
    # All versions of all tables are read where one is published: the operator has a few.
    del queries[reading.__name__, "_VERSIONS"]
    assert len(queries) == 9
    for (module, name), query in queries.items():
        kinds = [_kind(query, number) for number in _numbers(query)]
        values = ", ".join(
            {"text[]": "'{a,b}'", "text": "'a'", "integer": "1"}.get(kind, "now()")
            for kind in kinds
        )
        async with kyc.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', '*', true)")
            await conn.execute("SET LOCAL enable_seqscan = off")
            typed = f" ({', '.join(kinds)})" if kinds else ""
            await conn.execute(f"PREPARE asked{typed} AS {query}")
            plan = await conn.fetch(f"EXPLAIN EXECUTE asked{f'({values})' if kinds else ''}")
            await conn.execute("DEALLOCATE asked")
        assert not [line[0] for line in plan if "Seq Scan" in line[0]], (module, name)


def _numbers(query: str) -> range:
    found = [int(number) for number in re.findall(r"\$(\d+)", query)]
    return range(1, max(found, default=0) + 1)


def _kind(query: str, number: int) -> str:
    if f"${number}::text[]" in query:
        return "text[]"
    if f"expires_at <= ${number}" in query:
        return "timestamptz"
    return "integer" if "policy_version <" in query else "text"


async def test_batches_that_meet_decide_one_after_the_other(kyc: Any) -> None:
    task = await kyc.first_task()
    await kyc.send(kyc.submit(task))
    await asyncio.gather(
        *(
            kyc.processor.process([kyc.record(event)])
            for event in (
                kyc.decide(task, by="agg"),
                kyc.decide(task, "failed", by="operator", reason="blurred"),
            )
        )
    )
    told = await kyc.told()
    refused = [event.code for event in told if isinstance(event, wire.KycCommandRefused)]
    assert refused == ["task_state"], "one of them came second"
    assert sum(isinstance(event, wire.TaskDecided) for event in told) == 1
