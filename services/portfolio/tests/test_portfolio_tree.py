"""Who sees what follows from the parties' tree, in whatever order the facts come."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts.funding_sources import PayInChargedBack, PayInReinstated

_READ_MODELS = {
    "party": "party_id",
    "descent": "party, ancestor",
    "involvement": "subject, party",
    "sight": "subject, viewer",
    "wallet": "account",
    "wallet_grant": "grant_id",
    "connection": "connection_id",
    "movement": "account, at, log_seq, transfer_id",
    "day": "account, starts_at",
    "hour": "account, starts_at",
    "minute": "account, starts_at",
    "account": "account_id",
    "record": "subject, kind, part",
    "budget": "budget_id",
    "tier": "budget_id",
    "belonging": "subject, whose",
    "keeper": "thing",
    "balance": "account, currency",
    "owned": "owner, currency",
    "total": "party, currency",
    "pay_in": "pay_in_id",
    "payout": "payout_id",
}


async def _all_rows(portfolio: Any) -> dict[str, list[tuple[Any, ...]]]:
    kept = {}
    for table, key in _READ_MODELS.items():
        rows = await portfolio.rows(f"SELECT * FROM {table} ORDER BY {key}")
        kept[table] = [tuple(row) for row in rows]
    # A sub-tree that lost all its wallets has nothing, as one that never had any.
    kept["total"] = [row for row in kept["total"] if any(row[3:])]
    return kept


def _facts(tree: Any, story: Any) -> tuple[Any, Any, Any]:
    told = tree().small().opens("ann", company="acme").opens("pat", "fees")
    told.moves("pat", "root", "zeta").grants("ann", told.party("zeta"), "balance")
    told.connects(told.party("acme"), told.party("bob"), "view", "accepted")
    told.registers("twin", "payee", "root", "zeta").merges("bob", "twin")
    acme, zeta = told.party("acme"), told.party("zeta")
    ann = story("s1", owner=told.party("ann"), company=acme).whole()
    bob = story("s2", owner=told.party("bob"), company=zeta).received().opened().posted()
    ann.returned(PayInChargedBack, "charged_back", "100.00", "100.00")
    ann.returned(PayInReinstated, "", "100.00", "0.00")
    for sequence, given in enumerate(("0.00", "30.00"), start=1):
        ann.budget("p", "top", acme, sequence=sequence, limit="90.00", allocated=given)
    ann.budget("p", "low", told.party("pat"), "top", limit="30.00", reserved="7.00", used="2.00")
    bob.allocated().payout(1, "claimable", "allocated", reason_code="x", must_act="payee")
    return told, ann, bob.hold_placed()


async def test_f3_each_tier_sees_its_sub_tree_and_nobody_a_sibling(
    portfolio: Any, tree: Any, story: Any
) -> None:
    told, ann, bob = _facts(tree, story)
    await portfolio.tell(told, ann, bob)

    async def sees(viewer: str) -> set[str]:
        rows = await portfolio.rows("SELECT subject FROM sight WHERE viewer = $1", viewer)
        return {row[0] for row in rows} & {
            ann.pay_in_id, ann.payout_id, ann.wallet, bob.pay_in_id, bob.payout_id, bob.wallet
        }  # fmt: skip

    of_ann = {ann.pay_in_id, ann.payout_id, ann.wallet}
    of_bob = {bob.pay_in_id, bob.payout_id, bob.wallet}
    assert await sees(told.root) == of_ann | of_bob == await sees("*")
    assert await sees(told.party("acme")) == of_ann == await sees(told.party("ann"))
    assert await sees(told.party("zeta")) == of_bob == await sees(told.party("bob"))
    assert await sees(told.party("pat")) == set()


async def test_sub_tree_totals_are_the_sums_of_the_wallets_below(
    portfolio: Any, tree: Any, story: Any
) -> None:
    told, ann, bob = _facts(tree, story)
    await portfolio.tell(told, ann, bob)
    rows = await portfolio.rows(
        "SELECT party, posted, held, received, paid, committed FROM total WHERE currency = 'USD'"
    )
    totals = {row[0]: tuple(row)[1:] for row in rows}
    paid, resting = (0, 0, 10000, 10000, 0), (10000, 10000, 10000, 0, 10000)
    assert totals[told.party("acme")] == totals[told.party("ann")] == paid
    assert totals[told.party("zeta")] == totals[told.party("bob")] == resting
    assert totals[told.root] == totals["*"] == (10000, 10000, 20000, 10000, 10000)


@pytest.mark.parametrize("seed", range(3))
async def test_facts_in_any_order_and_twice_leave_the_same_rows(
    portfolio: Any, tree: Any, story: Any, seed: int, fresh: Any
) -> None:
    records = [record for told in _facts(tree, story) for record in told.records]
    await portfolio.process(*records)
    straight = await _all_rows(portfolio)
    other = await fresh()
    order = random.Random(seed)
    shuffled = records * 2
    order.shuffle(shuffled)
    while shuffled:
        size = min(order.randint(1, 9), len(shuffled))
        await other.process(*(shuffled.pop() for _ in range(size)))
    assert await _all_rows(other) == straight
    assert all(straight[table] for table in _READ_MODELS)


@pytest.mark.parametrize("seed", range(3))
async def test_replicas_that_fold_at_the_same_time_leave_the_same_rows(
    portfolio: Any, tree: Any, story: Any, seed: int, fresh: Any
) -> None:
    records = [record for told in _facts(tree, story) for record in told.records]
    await portfolio.process(*records)
    straight = await _all_rows(portfolio)
    other = await fresh()
    random.Random(seed).shuffle(records)
    for start in range(0, len(records), 12):
        batches = (records[start + n : start + n + 4] for n in range(0, 12, 4))
        await asyncio.gather(*(other.process(*batch) for batch in batches if batch))
    assert await _all_rows(other) == straight


async def test_f9_money_that_came_before_its_payee_was_known_is_the_payees_once_claimed(
    portfolio: Any, tree: Any, story: Any
) -> None:
    early = story("s1", owner="contact:abc", company="nobody").received().opened().posted()
    await portfolio.tell(early.allocated(pay_out=False))
    told = tree().small()
    await portfolio.tell(told)

    async def of(party: str) -> tuple[set[str], int]:
        seen = await portfolio.rows("SELECT subject FROM sight WHERE viewer = $1", party)
        sums = await portfolio.rows("SELECT posted FROM total WHERE party = $1", party)
        found = {row[0] for row in seen} & {early.pay_in_id, early.wallet}
        return found, sum(row[0] for row in sums)

    assert await of(told.party("ann")) == (set(), 0)
    await portfolio.process(told.claims("ann", "contact:abc").records[-1])
    whole = ({early.pay_in_id, early.wallet}, 10000)
    for label in ("ann", "acme", "root"):
        assert await of(told.party(label)) == whole
    assert await of(told.party("zeta")) == (set(), 0)


async def test_f29_what_was_a_merged_payees_is_of_the_one_it_was_merged_into(
    portfolio: Any, tree: Any, story: Any
) -> None:
    told = tree().small().registers("twin", "payee", "root", "zeta")
    twin = story("s1", owner=told.party("twin"), company=told.party("zeta")).whole()
    await portfolio.tell(told, twin)
    await portfolio.process(told.merges("ann", "twin").records[-1])
    rows = await portfolio.rows("SELECT viewer FROM sight WHERE subject = $1", twin.wallet)
    assert {row[0] for row in rows} == {"*", told.root} | {
        told.party(label) for label in ("twin", "ann", "acme")
    }
    rows = await portfolio.rows("SELECT received FROM total WHERE party = $1", told.party("acme"))
    assert [row[0] for row in rows] == [10000]


async def test_a_party_that_moves_takes_its_money_and_its_history_along(
    portfolio: Any, tree: Any, story: Any
) -> None:
    told = tree().small()
    ann = story("s1", owner=told.party("ann"), company=told.party("ann")).whole()
    await portfolio.tell(told, ann)
    later = tree()
    later.records = [*told.records]
    later.moves("ann", "root", "zeta")
    await portfolio.process(later.records[-1])
    rows = await portfolio.rows("SELECT viewer FROM sight WHERE subject = $1", ann.payout_id)
    assert {row[0] for row in rows} == {
        "*", told.party("ann"), told.party("zeta"), told.root
    }  # fmt: skip
    rows = await portfolio.rows("SELECT party, received FROM total ORDER BY party")
    received = {row[0]: row[1] for row in rows}
    assert received[told.party("acme")] == 0
    assert received[told.party("zeta")] == received[told.root] == 10000


@pytest.mark.parametrize("first", [0, 1])
async def test_a_wallet_kept_in_parts_by_several_ledgers_is_one_wallet(
    portfolio: Any, tree: Any, story: Any, viewer_of: Any, first: int
) -> None:
    """Facts of two ledgers name one account: one balance, one history, whoever told first."""
    told = tree().small()
    acme, ann = told.party("acme"), told.party("ann")
    later = story("x").at + timedelta(minutes=5)
    parts = [
        story("s1", owner=ann, company=acme).received().opened().posted(),
        story("s2", at=later, owner=ann, company=acme, ledger="eu", amount="40.00")
        .received()
        .opened()
        .posted(),
    ]
    await portfolio.tell(told, parts[first], parts[1 - first])
    async with portfolio.asks(viewer_of(told, "op", "operator")) as client:
        wallets = (await client.get("/wallets")).json()["items"]
        moved = (await client.get(f"/wallets/{parts[0].wallet}/movements")).json()["items"]
    (wallet,) = wallets
    assert (wallet["posted"]["amount"], wallet["ledger"]) == ("140.00", "main")
    assert [(one["ledger"], one["balance"]["amount"]) for one in moved] == [
        ("eu", "140.00"), ("main", "100.00")
    ]  # fmt: skip
