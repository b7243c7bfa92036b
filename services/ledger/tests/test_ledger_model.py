"""The core against a dictionary ledger: the same answers and balances, all invariants at each step."""

import itertools
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from tally_ledger.domain import (
    Balance,
    Books,
    Entry,
    HoldState,
    Movement,
    Rejected,
    Transfer,
    TransferKind,
    fold,
)

from .ledger_commands import NOW, OPENING, SOON, commands
from .ledger_model import DictLedger


class LedgerMachine(RuleBasedStateMachine):
    """Batches of colliding commands, repeats of earlier ones, and time that passes."""

    asked = Bundle("asked")

    def __init__(self) -> None:
        super().__init__()
        self.books = Books("main")
        self.model = DictLedger()
        self.now = NOW
        self.transfers: list[Transfer] = []
        self.entries: list[Entry] = []
        self.apply([OPENING])

    @rule(target=asked, batch=st.lists(commands, min_size=1, max_size=8))
    def ask(self, batch: list[Movement]) -> object:
        self.apply(batch)
        return multiple(*batch)

    @rule(batch=st.lists(consumes(asked), min_size=1, max_size=4))
    def ask_again(self, batch: list[Movement]) -> None:
        """Invariant 7: a repeat has no second effect, and the answer it had."""
        before = (dict(self.books.balances), dict(self.books.holds), self.books.log_seq)
        self.apply(batch)
        assert before == (self.books.balances, self.books.holds, self.books.log_seq)

    @rule()
    def let_time_pass(self) -> None:
        self.now = SOON

    def apply(self, batch: list[Movement]) -> None:
        done = fold(self.books, batch, self.now)
        expected = [self.model.apply(command, self.now) for command in batch]
        answers = [
            answer.outcome.code if isinstance(answer.outcome, Rejected) else "posted"
            for answer in done.answers
        ]
        assert answers == expected
        assert done.after.log_seq == self.books.log_seq + bool(done.posted)
        self.books = done.after
        for _, posted in done.posted:
            self.transfers += posted.transfers
            self.entries += posted.entries

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        assert {
            name: (a["dp"], a["cp"], a["dr"], a["cr"]) for name, a in self.model.accounts.items()
        } == {name: balance_of(self.books, name)[:4] for name in self.books.accounts}

    @invariant()
    def debits_equal_credits_per_asset_and_no_counter_is_negative(self) -> None:
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for name, account in self.books.accounts.items():
            for index, counter in enumerate(balance_of(self.books, name)[:4]):
                assert counter >= 0
                sums[account.currency][index] += counter
        for debits, credits_, debits_pending, credits_pending in sums.values():
            assert debits == credits_
            assert debits_pending == credits_pending

    @invariant()
    def counters_are_the_replay_of_transfers(self) -> None:
        replayed: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
        for t in self.transfers:
            posted = t.amount if t.kind in {TransferKind.SINGLE, TransferKind.POST} else 0
            pending = {TransferKind.SINGLE: 0, TransferKind.PENDING: t.amount}.get(
                t.kind, -t.amount
            )
            for account, side in ((t.debit, 0), (t.credit, 1)):
                replayed[account][side] += posted
                replayed[account][side + 2] += pending
                replayed[account][4] += 1
        assert {name: tuple(counters) for name, counters in replayed.items()} == {
            name: tuple(b) for name, b in self.books.balances.items() if b.seq
        }

    @invariant()
    def entries_are_gap_free_and_each_follows_from_the_one_before(self) -> None:
        last: dict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
        for e in self.entries:
            seq, posted, pending = last[e.account]
            last[e.account] = (seq + 1, posted + e.amount, pending + e.pending)
            assert (e.seq, e.posted_after, e.pending_after) == last[e.account]
        assert len(self.entries) == 2 * len(self.transfers)

    @invariant()
    def no_guarded_account_is_below_its_floor_counting_holds(self) -> None:
        for name, account in self.books.accounts.items():
            if account.guarded:
                assert balance_of(self.books, name).available >= 0

    @invariant()
    def captures_and_returns_of_a_hold_sum_to_it(self) -> None:
        ended: dict[str, int] = defaultdict(int)
        for t in self.transfers:
            if t.pending_id is not None:
                ended[t.pending_id] += t.amount
        for hold in self.books.holds.values():
            assert ended[hold.id] == hold.amount - hold.remaining
            assert (hold.state is HoldState.OPEN) == (hold.remaining > 0)

    @invariant()
    def transfer_ids_are_used_once(self) -> None:
        ids = [t.id for t in self.transfers]
        assert len(ids) == len(set(ids))


def balance_of(state: Books, name: str) -> Balance:
    return state.balances.get(name, Balance(0, 0, 0, 0, 0))


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_a_batch_is_its_commands_one_by_one_however_it_is_cut(
    batch: list[Movement], cuts: list[int]
) -> None:
    state = fold(Books("main"), [OPENING], NOW).after
    whole = fold(state, batch, NOW)
    answers: list[object] = []
    posted: list[object] = []
    edges = sorted({0, len(batch), *(cut for cut in cuts if cut < len(batch))})
    for start, end in itertools.pairwise(edges):
        part = fold(state, batch[start:end], NOW)
        state = part.after
        answers += [unlogged(answer.outcome) for answer in part.answers]
        posted += part.posted
    assert [unlogged(answer.outcome) for answer in whole.answers] == answers
    assert whole.posted == posted
    assert whole.after.balances == state.balances
    assert whole.after.holds == state.holds
    assert whole.after.accounts == state.accounts


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, max_size=20), commands)
def test_a_refused_command_leaves_the_books_as_they_were(
    before: list[Movement], command: Movement
) -> None:
    state = fold(Books("main"), [OPENING, *before], NOW).after
    image = state.copy()
    done = fold(state, [command], NOW)
    assert state == image, "fold works on its own copy"
    if isinstance(done.answers[0].outcome, Rejected):
        after = done.after.copy()
        if command.id not in state.known:
            del after.known[command.id]
        assert after == image


def unlogged(outcome: object) -> object:
    """An outcome without its place in the log, which depends on how batches were cut."""
    return outcome if isinstance(outcome, Rejected) else outcome.transfer  # type: ignore[attr-defined]


def test_the_strategies_reach_every_answer() -> None:
    """A property over commands that all fail alike would prove nothing."""
    seen: set[str] = set()

    @settings(max_examples=250, deadline=None, database=None, derandomize=True)
    @given(st.lists(commands, min_size=10, max_size=30))
    def collect(batch: list[Movement]) -> None:
        model = DictLedger()
        model.apply(OPENING, NOW)
        half = len(batch) // 2
        seen.update(model.apply(command, NOW) for command in batch[:half])
        seen.update(model.apply(command, SOON) for command in batch[half:])

    collect()
    assert seen == {
        "posted",
        "account_mismatch",
        "account_unknown",
        "already_expired",
        "capture_exceeds_hold",
        "currency_mismatch",
        "duplicate_leg",
        "hold_not_open",
        "hold_unknown",
        "id_conflict",
        "insufficient_funds",
        "not_due",
        "same_account",
    }
