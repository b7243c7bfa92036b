"""Pay-ins over rows in memory: the functions of `tally_funding.store` that the use cases need."""

from dataclasses import dataclass
from types import SimpleNamespace

from tally_contracts.base import Amount
from tally_contracts.funding import Allocation
from tally_funding.domain import Standing
from tally_funding.store import NewPayIn, OpenCase, PayIn


@dataclass(frozen=True)
class PayInRow:
    new: NewPayIn
    standing: Standing
    case_id: str | None


async def insert_pay_ins(conn, pay_ins, now):
    await conn.statement("pay_ins.insert")
    new = set()
    for item in sorted(pay_ins, key=lambda row: row.pay_in_id):
        row = PayInRow(item, Standing(item.state, item.journal_id), item.case_id)
        if await conn.insert("pay_in", item.pay_in_id, row):
            new.add(item.pay_in_id)
    return frozenset(new)


async def contents(conn, pay_in_ids):
    await conn.statement("pay_ins.contents")
    return {i: conn.get("pay_in", i).new.content for i in pay_in_ids}


async def insert_cases(conn, cases, now):
    await conn.statement("cases.insert")
    for case in cases:
        await conn.insert("case", case.case_id, case)


async def count_repeats(conn, repeats, now):
    await conn.statement("repeats.count")
    await conn.lock("repeat", sorted(repeats))
    for pay_in_id, (same, conflicting) in repeats.items():
        before = conn.get("repeat", pay_in_id) or (0, 0)
        conn.put("repeat", pay_in_id, (before[0] + same, before[1] + conflicting))


async def lock_pay_ins(conn, pay_in_ids):
    await conn.statement("pay_ins.lock")
    known = [i for i in sorted(pay_in_ids) if conn.get("pay_in", i) is not None]
    await conn.lock("pay_in", known)
    return {i: _pay_in(conn, conn.get("pay_in", i)) for i in known}


def _pay_in(conn, row):
    new, event = row.new, row.new.event
    case = None if row.case_id is None else conn.get("case", row.case_id)
    return PayIn(
        pay_in_id=new.pay_in_id,
        source=new.source,
        external_id=event.external_id,
        standing=row.standing,
        amount=new.content.amount,
        who=event.who,
        where=event.where,
        why=event.why,
        company=event.company,
        kind=event.kind,
        rule=new.rule,
        case=None if case is None else OpenCase(case.case_id, case.reason_code, case.remedy),
    )


async def allocations(conn, pay_in_ids):
    await conn.statement("allocations.read")
    return {
        i: tuple(
            Allocation.model_construct(
                account=share.wallet.id,
                owner=share.part.owner,
                role=share.part.role,
                amount=Amount.of(share.part.amount),
                pay_out=share.part.pay_out,
            )
            for share in conn.get("pay_in", i).new.designated
        )
        for i in pay_in_ids
    }


async def move(conn, moves, now):
    await conn.statement("pay_ins.move")
    for item in moves:
        row = conn.get("pay_in", item.pay_in_id)
        assert row.standing.state is item.previous, f"{item.pay_in_id} was locked"
        standing = Standing(item.following, item.journal_id)
        conn.put("pay_in", item.pay_in_id, PayInRow(row.new, standing, item.case_id))


async def for_every_tenant(conn):
    await conn.statement("tenants.show")


async def hold(conn, companies, now):
    await conn.statement("tenants.hold")
    return dict.fromkeys(companies, "*")


async def restrict(conn, books, decisions, now):
    """No gate table is published here: everybody may receive, after it was asked."""
    await conn.statement("gates.load")
    return decisions


tenants = SimpleNamespace(hold=hold)
store = SimpleNamespace(
    insert_pay_ins=insert_pay_ins,
    contents=contents,
    insert_cases=insert_cases,
    count_repeats=count_repeats,
    lock_pay_ins=lock_pay_ins,
    allocations=allocations,
    move=move,
)
