"""Money between ledgers in two databases: whatever is repeated, reordered or refused, none is made or lost."""

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_contracts.ledger_transfers import TransferStarted
from tally_ledger.transfers.domain import (
    ALLOWED,
    CreditStep,
    CrossState,
    CrossTransfer,
    Refusal,
    Side,
    Step,
    begun,
    decide_credit,
    decide_outcome,
    ended,
)
from tally_ledger.transfers.facts import TRANSFERS
from tally_postgres import Schema
from tally_runtime import FixedClock
from tally_testkit import ServiceDatabase

from .ledger_builders import NOW, identify
from .ledger_shards import Pair, open_pair, settle, transfer

NO = Refusal("account_closed", "credit: is closed")


# The rules alone.


@pytest.mark.parametrize("state", list(CrossState))
def test_nothing_follows_an_end(state: CrossState) -> None:
    follows = ALLOWED[state]
    assert bool(follows) == (state is CrossState.STARTED)
    assert CrossState.STARTED not in follows


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_a_second_answer_is_no_news_or_a_contradiction_never_a_second_effect(
    first: bool, second: bool
) -> None:
    started = begun("t", None)
    assert decide_outcome(started, credited=first) is (Step.CAPTURE if first else Step.RELEASE)
    after = ended(started, None if first else NO)
    expected = Step.NOTHING if first == second else Step.CONTRADICTION
    assert decide_outcome(after, credited=second) is expected


def test_a_transfer_refused_where_it_starts_never_captures() -> None:
    refused = begun("t", NO)
    assert refused == CrossTransfer("t", CrossState.REFUSED, Side.SOURCE, NO)
    assert decide_outcome(refused, credited=True) is Step.CONTRADICTION
    with pytest.raises(AssertionError):
        ended(refused, None)


def test_an_answer_about_a_transfer_nobody_started_moves_nothing() -> None:
    assert decide_outcome(None, credited=True) is Step.UNKNOWN


@pytest.mark.parametrize("decided", [None, NO])
def test_what_the_destination_decided_stands_whatever_the_clock_says(
    decided: Refusal | None,
) -> None:
    for now in (NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)):
        assert decide_credit(decided, NOW, now, known=True) is CreditStep.ANSWER_AGAIN
    assert decide_credit(None, NOW, NOW, known=False) is CreditStep.DECLINE_EXPIRED
    assert decide_credit(None, NOW, NOW - timedelta(1), known=False) is CreditStep.POST
    assert decide_credit(None, None, NOW, known=False) is CreditStep.POST


class TwoLedgers:
    """Both sides in a few dictionaries, driven by the rules; deliveries as the test chooses."""

    def __init__(self, funds: int, amounts: dict[str, int], closed: set[str]) -> None:
        self.payer, self.held, self.sent = funds, 0, 0
        self.payee, self.received = 0, 0
        self.amounts, self.closed = amounts, closed
        self.transfers: dict[str, CrossTransfer] = {}
        self.credits: dict[str, Refusal | None] = {}
        self.bus = [("start", name) for name in amounts]

    def deliver(self, record: tuple[str, str], now: int, expires: int) -> None:
        kind, name = record
        amount = self.amounts[name]
        if kind == "start":
            if name not in self.transfers:
                short = self.payer - self.held < amount
                self.transfers[name] = begun(name, NO if short else None)
                self.held += 0 if short else amount
            if self.transfers[name].state is CrossState.STARTED:
                self.bus.append(("started", name))
        elif kind == "started":
            self._credit(name, amount, now, expires)
        else:
            step = decide_outcome(self.transfers.get(name), credited=kind == "credited")
            assert step in {Step.CAPTURE, Step.RELEASE, Step.NOTHING}
            if step is not Step.NOTHING:
                refusal = None if step is Step.CAPTURE else NO
                self.transfers[name] = ended(self.transfers[name], refusal)
                self.held -= amount
                if step is Step.CAPTURE:
                    self.payer -= amount
                    self.sent += amount

    def _credit(self, name: str, amount: int, now: int, expires: int) -> None:
        step = decide_credit(
            self.credits.get(name),
            NOW + timedelta(seconds=expires),
            NOW + timedelta(seconds=now),
            known=name in self.credits,
        )
        if step is not CreditStep.ANSWER_AGAIN:
            declined = step is CreditStep.DECLINE_EXPIRED or name in self.closed
            self.credits[name] = NO if declined else None
            if not declined:
                self.received += amount
                self.payee += amount
        self.bus.append(("credited" if self.credits[name] is None else "declined", name))


@given(
    amounts=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    closed=st.sets(st.integers(0, 7)),
    funds=st.integers(0, 150),
    seed=st.integers(0, 2**32),
)
def test_money_is_conserved_in_every_interleaving_with_repeats(
    amounts: list[int], closed: set[int], funds: int, seed: int
) -> None:
    chance = random.Random(seed)
    named = {f"t{n}": amount for n, amount in enumerate(amounts)}
    both = TwoLedgers(funds, named, {f"t{n}" for n in closed})
    past: list[tuple[str, str]] = []
    for turn in itertools.count():
        if not both.bus:
            break
        record = both.bus.pop(chance.randrange(len(both.bus)))
        past.append(record)
        both.deliver(record, turn % 50, 40)
        if turn < 100 and chance.random() < 0.3:
            both.deliver(chance.choice(past), turn % 50, 40)
        assert both.payer + both.sent == funds
        assert both.payee == both.received
        assert both.payer >= both.held >= 0
        # Credited and not captured yet is reserved: nothing can take it away meanwhile.
        assert 0 <= both.received - both.sent <= both.held
    assert both.held == 0
    assert both.sent == both.received, "in transit mirrors"
    assert all(t.state is not CrossState.STARTED for t in both.transfers.values())


# Two real databases, a bus that misbehaves.


@pytest.fixture
async def pair(fresh_database: Callable[[Schema], ServiceDatabase]) -> AsyncIterator[Pair]:
    both = await open_pair(fresh_database)
    yield both
    await both.close()


async def test_a_transfer_debits_the_payer_and_credits_the_payee(pair: Pair) -> None:
    pair.send(transfer("t1", "main", "250.00"))
    await pair.run()
    assert await pair.shards["main"].balance("main-rich") == (75000, 0)
    assert await pair.shards["us"].balance("us-poor") == (25000, 0)
    told = (await pair.facts())[identify("xfr", "t1")]
    assert [kind for kind, _ in sorted(told, key=lambda one: one[0])] == [
        "completed",
        "credited",
        "started",
    ]
    assert await pair.shards["main"].in_transit() == {"EUR": (25000, 0)}
    assert await pair.shards["us"].in_transit() == {"EUR": (-25000, 0)}


@pytest.mark.parametrize(
    ("changes", "side", "code"),
    [
        ({"credit": identify("acc", "nobody")}, "destination", "account_unknown"),
        ({"credit": identify("acc", "us-usd")}, "destination", "currency_mismatch"),
        ({"to_ledger": "mars"}, "destination", "ledger_unknown"),
        ({"to_ledger": "main"}, "source", "same_ledger"),
        ({"debit": identify("acc", "nobody")}, "source", "account_unknown"),
        ({"debit": identify("acc", "main-poor")}, "source", "insufficient_funds"),
        ({"expires_at": NOW}, "source", "already_expired"),
    ],
)
async def test_a_refused_transfer_says_which_side_and_why_and_leaves_no_money_behind(
    pair: Pair, changes: dict[str, object], side: str, code: str
) -> None:
    command = transfer("t1", "main", "1.00", **changes)
    for _ in range(2):
        pair.send(command)
        await pair.run()
    told = (await pair.facts())[command.transfer_id]
    refused = [body for kind, body in told if kind == "refused"]
    assert [(body["side"], body["code"]) for body in refused] == [(side, code)] * 2
    assert await pair.shards["main"].balance("main-rich") == (100000, 0)
    assert await pair.shards["us"].balance("us-poor") == (0, 0)
    for shard in pair.shards.values():
        assert all(found == (0, 0) for found in (await shard.in_transit()).values())


async def test_a_ledger_nobody_names_is_answered_by_exactly_one_database(pair: Pair) -> None:
    command = transfer("t1", "mars", "1.00", to_ledger="us", debit=identify("acc", "x"))
    pair.send(command)
    await pair.run()
    told = (await pair.facts())[command.transfer_id]
    assert [(kind, body["code"]) for kind, body in told] == [("refused", "ledger_unknown")]
    assert [len(s.published) for s in pair.shards.values()] != [0, 0]


async def test_the_same_id_for_another_transfer_is_refused_and_changes_nothing(pair: Pair) -> None:
    pair.send(transfer("t1", "main", "1.00"), transfer("t1", "main", "2.00"))
    await pair.run()
    told = (await pair.facts())[identify("xfr", "t1")]
    assert Counter(kind for kind, _ in told) == {
        "started": 1, "credited": 1, "completed": 1, "refused": 1,
    }  # fmt: skip
    assert [b["code"] for kind, b in told if kind == "refused"] == ["id_conflict"]
    assert await pair.shards["us"].balance("us-poor") == (100, 0)


async def test_a_transfer_that_arrives_too_late_is_given_back_and_stays_so(pair: Pair) -> None:
    command = transfer("t1", "main", "1.00", expires_at=NOW + timedelta(minutes=1))
    await pair.deliver([pair.record(command)])
    (started,) = pair.bus
    assert await pair.shards["main"].balance("main-rich") == (100000, 100)
    pair.clock.advance(timedelta(minutes=2))
    await pair.run()
    # Too late once is too late for ever, though the clock may be set back.
    us = pair.shards["us"]
    us.transactor = replace(us.transactor, clock=FixedClock(NOW))
    pair.bus = [started]
    await pair.run()
    told = (await pair.facts())[command.transfer_id]
    assert [body["code"] for kind, body in told if kind == "refused"] == ["transfer_expired"]
    assert await pair.shards["main"].balance("main-rich") == (100000, 0)
    assert await pair.shards["us"].balance("us-poor") == (0, 0)


async def test_a_reservation_outlives_any_wait_for_the_other_ledger(pair: Pair) -> None:
    command = transfer("t1", "main", "1.00", expires_at=NOW + timedelta(minutes=1))
    await pair.deliver([pair.record(command)])
    held = await pair.shards["main"].pool.fetch("SELECT state, expires_at FROM hold")
    assert [tuple(row) for row in held] == [("open", None)]


async def test_a_lost_fact_is_told_again_with_the_same_words_and_one_effect(pair: Pair) -> None:
    command = transfer("t1", "main", "1.00")
    await pair.deliver([pair.record(command)])
    (lost,) = pair.bus
    pair.bus = []
    assert await pair.ask_again("main") == 0, "not overdue yet"
    pair.clock.advance(timedelta(minutes=2))
    assert await pair.ask_again("main") == 1
    (again,) = pair.bus
    assert (again.value, again.key) == (lost.value, lost.key)
    assert await pair.ask_again("main") == 0, "not before it is overdue again"
    await pair.deliver([again, lost])
    assert await pair.shards["us"].balance("us-poor") == (100, 0)
    # The answer is lost too: asked once more, the destination answers without a second credit.
    pair.bus = []
    pair.clock.advance(timedelta(minutes=2))
    assert await pair.ask_again("main") == 1
    await pair.run()
    assert await pair.shards["main"].balance("main-rich") == (99900, 0)
    assert await pair.shards["us"].balance("us-poor") == (100, 0)
    pair.clock.advance(timedelta(minutes=2))
    assert await pair.ask_again("main") == 0
    await pair.mirrored()


def started(name: str, amount: str, **changes: object) -> TransferStarted:
    """A transfer to us as a ledger began it whose books these are not, or are no more."""
    begun = transfer(name, "main", amount).model_dump()
    return TransferStarted.model_validate({**begun, **changes})


async def test_a_restored_ledger_captures_only_what_the_other_one_credited(pair: Pair) -> None:
    """1.00 was credited; main lost that, and another transfer takes the same id."""
    us = pair.shards["us"]
    await us.take([pair.record(started("t1", "1.00"), TRANSFERS)])
    lost = [record for record in await us.publish() if record.topic == TRANSFERS]
    await pair.deliver([pair.record(transfer("t1", "main", "9.00"))])
    asked, pair.bus = pair.bus, []
    await pair.deliver(lost)
    assert await pair.shards["main"].balance("main-rich") == (100000, 900), "about something else"
    pair.bus = asked
    await pair.run()
    told = (await pair.facts())[identify("xfr", "t1")]
    assert [body["code"] for kind, body in told if kind == "refused"] == ["id_conflict"]
    assert await pair.shards["main"].balance("main-rich") == (100000, 0)
    assert await us.balance("us-poor") == (100, 0)


async def test_a_restored_ledger_captures_nothing_for_whom_another_payee_was_credited(
    pair: Pair,
) -> None:
    """1.00 was credited to us-rich; main lost that, and the id is used for us-poor."""
    us = pair.shards["us"]
    before = started("t1", "1.00", credit=identify("acc", "us-rich"))
    await us.take([pair.record(before, TRANSFERS)])
    lost = [record for record in await us.publish() if record.topic == TRANSFERS]
    await pair.deliver([pair.record(transfer("t1", "main", "1.00"))])
    asked, pair.bus = pair.bus, []
    await pair.deliver(lost)
    assert await pair.shards["main"].balance("main-rich") == (100000, 100), "about somebody else"
    pair.bus = asked
    await pair.run()
    told = (await pair.facts())[identify("xfr", "t1")]
    assert [body["code"] for kind, body in told if kind == "refused"] == ["id_conflict"]
    assert await pair.shards["main"].balance("main-rich") == (100000, 0)


@pytest.mark.parametrize(
    "changes", [{"ledger": "eu"}, {"credit": identify("acc", "us-rich")}, {}], ids=str
)
async def test_a_known_id_is_answered_for_the_same_transfer_alone(
    pair: Pair, changes: dict[str, object]
) -> None:
    us = pair.shards["us"]
    await us.take([pair.record(started("t1", "1.00"), TRANSFERS)])
    await us.publish()
    before = await us.posted()
    await us.take([pair.record(started("t1", "1.00", **changes), TRANSFERS)])
    (answer,) = await us.publish()
    expected = b"ledger.transfer.declined.v1" if changes else b"ledger.transfer.credited.v1"
    assert dict(answer.headers)["ce_type"] == expected
    assert await us.posted() == before


@pytest.mark.parametrize("seed", range(4))
async def test_repeats_and_disorder_neither_make_nor_lose_money(pair: Pair, seed: int) -> None:
    chance = random.Random(seed)
    commands = []
    for n in range(60):
        ledger = chance.choice(["main", "us"])
        changes: dict[str, object] = chance.choice(
            [{}, {}, {}, {"credit": identify("acc", "nobody")}, {"to_ledger": "mars"}]
        )
        amount = f"{chance.randint(1, 9000) / 100:.2f}"
        commands.append(transfer(f"t{n}", ledger, amount, **changes))
    pair.send(*commands, settle("early", "main"), settle("late", "us"))
    await pair.run_wildly(chance)
    ends: dict[str, set[str]] = {}
    for shard in pair.shards.values():
        rows = await shard.pool.fetch("SELECT id, state FROM cross_transfer")
        for row in rows:
            ends.setdefault(row["id"], set()).add(row["state"])
    assert ends.keys() == {command.transfer_id for command in commands}
    assert all(found in ({"completed"}, {"refused"}) for found in ends.values())
    assert {"completed", "refused"} == set().union(*ends.values())
    total = [await shard.posted() for shard in pair.shards.values()]
    assert sum(total) == 200000
    await pair.mirrored()
    pair.send(settle("s1", "main"))
    await pair.run()
    for shard in pair.shards.values():
        assert await shard.in_transit() == {"EUR": (0, 0)}
