"""Walls between tenants, a constant number of statements, plans by index, and batches that meet."""

import asyncio
import re
from typing import Any

import pytest

from tally_contracts import directory as asked
from tally_contracts.directory_facts import DirectoryCommandRefused, PartyRegistered
from tally_runtime import derived_id

TENANT_TABLES = (
    "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,"
    " (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = '*')"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped"
    " WHERE n.nspname = 'directory' AND c.relkind IN ('r', 'p') ORDER BY 1"
)


def tid(prefix: str, name: str) -> str:
    return derived_id(prefix, "test", name)


def pid(name: str) -> str:
    return tid("party", name)


async def fill(bench: Any) -> None:
    """At least one row of each of two tenants in the tables that both have."""
    await bench.send(
        bench.open_wallet("w1", "ann"),
        bench.open_wallet("w2", "zed", tenant=pid("agg2")),
        bench.add_contact("ann", "a@example.com"),
        bench.add_contact("zed", "z@example.com", tenant_name="agg2"),
    )


async def as_tenant(bench: Any, tenant: str | None, query: str) -> list[Any]:
    async with bench.pool.acquire() as conn, conn.transaction():
        if tenant is not None:
            await conn.execute("SELECT set_config('tally.tenant', $1, true)", tenant)
        return [row[0] for row in await conn.fetch(query)]


async def test_every_table_with_a_tenant_is_walled_and_the_wall_is_forced(planted: Any) -> None:
    tables = await planted.rows(TENANT_TABLES)
    assert len(tables) == 18
    assert [name for name, on, forced, policies in tables if not (on and forced and policies)] == []


@pytest.mark.parametrize("table", ["party", "wallet", "contact", "command"])
async def test_a_session_sees_the_tenant_it_named_and_without_a_name_nothing(
    planted: Any, table: str
) -> None:
    await fill(planted)
    query = f"SELECT tenant FROM {table}"
    assert set(await as_tenant(planted, pid("agg"), query)) == {pid("agg")}
    assert set(await as_tenant(planted, pid("agg2"), query)) == {pid("agg2")}
    assert await as_tenant(planted, pid("other"), query) == []
    assert await as_tenant(planted, None, query) == []
    assert await as_tenant(planted, "", query) == []
    assert set(await as_tenant(planted, "*", query)) == {pid("agg"), pid("agg2")}


async def test_a_session_writes_to_its_own_tenant_alone(planted: Any) -> None:
    await fill(planted)
    taken = f"UPDATE wallet SET tenant = '{pid('agg')}' RETURNING wallet_id"
    assert await as_tenant(planted, pid("agg"), taken) == [tid("wal", "w1")]
    given = "UPDATE wallet SET tenant = 'elsewhere' RETURNING wallet_id"
    with pytest.raises(Exception, match="row-level security"):
        await as_tenant(planted, pid("agg"), given)


async def test_a_row_of_two_tenants_shows_to_both_and_is_changed_by_the_first(
    planted: Any,
) -> None:
    await planted.send(
        planted.command(
            asked.InviteConnection,
            connection_id=tid("conn", "c"),
            from_party=pid("acme"),
            to_party=pid("zed"),
            access="pay",
            by="acme",
        )
    )
    seen = "SELECT connection_id FROM connection"
    for tenant in (pid("agg"), pid("agg2")):
        assert await as_tenant(planted, tenant, seen) == [tid("conn", "c")]
    assert await as_tenant(planted, pid("other"), seen) == []
    changed = "UPDATE connection SET access = 3 RETURNING connection_id"
    assert await as_tenant(planted, pid("agg"), changed) == []
    assert await as_tenant(planted, pid("agg2"), changed) == [tid("conn", "c")]


async def test_relation_types_of_all_are_seen_by_each_and_changed_by_none(planted: Any) -> None:
    assert "supplier" in await as_tenant(planted, pid("agg"), "SELECT relation FROM relation_type")
    assert await as_tenant(planted, None, "SELECT relation FROM relation_type") == []
    dropped = "DELETE FROM relation_type RETURNING relation"
    assert await as_tenant(planted, pid("agg"), dropped) == []


def batch(bench: Any, size: int, start: int) -> list[Any]:
    """Every kind of work, `size` times each."""
    work: list[Any] = []
    for number in range(start, start + size):
        name = f"n{number}"
        work += [
            bench.register(name, parent="acme", external_id=name),
            bench.command(asked.MoveParty, party_id=pid(name), parent=pid("beta")),
            bench.open_wallet(name, name),
            bench.command(
                asked.SetGrant,
                grant_id=tid("grant", name),
                wallet=tid("wal", name),
                to_party=pid("beta"),
                fields=("status",),
            ),
            bench.add_contact(name, f"{name}@example.com"),
            bench.command(asked.IssueFundingDetails, party_id=pid(name), currency="EUR"),
            bench.register(f"{name}-lost", parent="nowhere"),
            bench.pay_in(f"contact:{name}"),
        ]
    return work


async def statements(bench: Any, *events: Any) -> list[str]:
    """What a batch sends, BEGIN and COMMIT apart."""
    seen: list[str] = []

    def note(query: Any) -> None:
        if not query.query.startswith(("BEGIN", "COMMIT", "SELECT pg_advisory_unlock_all")):
            seen.append(query.query)

    records = [bench.record(event) for event in events]
    async with bench.pool.acquire() as only:
        only._con.add_query_logger(note)
    assert bench.pool.get_size() == 1, "one session, so that every statement is seen"
    await bench.process(*records)
    async with bench.pool.acquire() as only:
        only._con.remove_query_logger(note)
    return seen


async def test_a_batch_sends_the_same_statements_whatever_its_size(planted: Any) -> None:
    # The first batch of a session also asks the server about types.
    sent = [
        await statements(planted, *batch(planted, size, start))
        for size, start in ((2, 5000), (2, 0), (60, 1000))
    ]
    assert sent[1] == sent[2]
    assert len(sent[2]) <= 27, "inbox, turn, 15 questions, what has changed, answers, outbox"


async def test_money_that_arrives_asks_for_whose_it_is_alone(planted: Any) -> None:
    await planted.process(*(planted.record(planted.pay_in("contact:known")) for _ in range(2)))
    sent = await statements(planted, planted.pay_in("contact:known"))
    assert len(sent) <= 7, (
        "inbox, what is set aside, turn, merged ones, wallets, references, parties"
    )
    found = await statements(planted, planted.pay_in("contact:new"))
    assert len(found) <= 12, "and a party, its reference and its wallet, told"


async def test_no_question_reads_a_table_from_end_to_end(planted: Any) -> None:
    """Plans of every statement that reads, as the server makes them when tables have grown."""
    from tally_directory.store import reading

    queries = {
        name: query
        for name, query in vars(reading).items()
        if isinstance(query, str) and name.startswith("_") and "FROM" in query
    }
    assert len(queries) == 18
    for name, query in queries.items():
        count = max(map(int, re.findall(r"\$(\d+)", query)))
        async with planted.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('tally.tenant', '*', true)")
            await conn.execute("SET LOCAL enable_seqscan = off")
            arguments = ", ".join("ARRAY['a','b']::text[]" for _ in range(count))
            text = ", ".join(["text[]"] * count)
            await conn.execute(f"PREPARE asked ({text}) AS {query}")
            plan = await conn.fetch(f"EXPLAIN EXECUTE asked ({arguments})")
            await conn.execute("DEALLOCATE asked")
        assert not [line[0] for line in plan if "Seq Scan" in line[0]], name


async def test_batches_that_meet_decide_one_after_the_other(planted: Any) -> None:
    await planted.send(planted.register("shop2", "partner", "acme"))
    there = planted.command(asked.MoveParty, party_id=pid("shop"), parent=pid("shop2"))
    back = planted.command(asked.MoveParty, party_id=pid("shop2"), parent=pid("shop"))
    same_id = [planted.register("eve", parent="acme") for _ in range(2)]
    await asyncio.gather(
        *(
            planted.process(*map(planted.record, events))
            for events in ((there, same_id[0]), (back, same_id[1]))
        )
    )
    told = [sent.event for sent in await planted.told()]
    refused = sorted(event.code for event in told if isinstance(event, DirectoryCommandRefused))
    assert refused == ["cycle", "id_taken"], "one of each pair"
    assert sum(isinstance(event, PartyRegistered) for event in told) == 1


async def test_a_command_in_a_later_batch_sees_what_an_earlier_one_of_it_decided(
    planted: Any,
) -> None:
    told = await planted.send(
        planted.register("cell", "group", "acme"),
        planted.register("eve", parent="acme"),
        planted.command(
            asked.SetGroupMember, group=pid("cell"), party=pid("eve"), member=True, by="acme"
        ),
        planted.open_wallet("w9", "eve", by="eve", currency="EUR"),
    )
    assert not [event for event in told if isinstance(event, DirectoryCommandRefused)]
