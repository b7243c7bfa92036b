"""The core against a dictionary ledger: the same answers and balances, all invariants at each step."""

import itertools
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from tally_ledger.domain import (
    Balance,
    BatchEntry,
    Books,
    Done,
    Entry,
    HoldState,
    Rejected,
    Request,
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
        self.entries: list[Entry | BatchEntry] = []
        self.log: dict[int, list[Transfer]] = {}
        self.apply([OPENING])

    @rule(target=asked, batch=st.lists(commands, min_size=1, max_size=8))
    def ask(self, batch: list[Request]) -> object:
        self.apply(batch)
        return multiple(*batch)

    @rule(batch=st.lists(consumes(asked), min_size=1, max_size=4))
    def ask_again(self, batch: list[Request]) -> None:
        """Invariant 7: a repeat has no second effect, and the answer it had."""
        before = (dict(self.books.balances), dict(self.books.holds), self.books.log_seq)
        self.apply(batch)
        assert before == (self.books.balances, self.books.holds, self.books.log_seq)

    @rule()
    def let_time_pass(self) -> None:
        self.now = SOON

    def apply(self, batch: list[Request]) -> None:
        done = fold(self.books, batch, self.now)
        expected = [self.model.apply(command, self.now) for command in batch]
        answers = [
            answer.outcome.code if isinstance(answer.outcome, Rejected) else "posted"
            for answer in done.answers
        ]
        assert answers == expected
        assert done.after.log_seq == self.books.log_seq + bool(done.posted or done.changed)
        self.books = done.after
        moved = [transfer for _, posted in done.posted for transfer in posted.transfers]
        self.transfers += moved
        self.log[done.after.log_seq] = self.log.get(done.after.log_seq, []) + moved
        self.entries += (*done.entries, *done.grouped)

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
        touched: set[tuple[str, int]] = set()
        for seq, t in ((seq, t) for seq, batch in self.log.items() for t in batch):
            posted, pending = effect(t)
            for account, side in ((t.debit, 0), (t.credit, 1)):
                replayed[account][side] += posted
                replayed[account][side + 2] += pending
                again = (account, seq) in touched and self.books.accounts[account].aggregated
                replayed[account][4] += not again
                touched.add((account, seq))
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

    @invariant()
    def an_aggregated_account_has_one_entry_for_each_log_row_that_touches_it(self) -> None:
        expected = {
            (name, seq): [
                sum((t.credit == name) * part - (t.debit == name) * part for t, part in parts)
                for parts in (
                    [(t, effect(t)[0]) for t in batch],
                    [(t, effect(t)[1]) for t in batch],
                )
            ]
            for seq, batch in self.log.items()
            for name, account in self.books.accounts.items()
            if account.aggregated and any(name in {t.debit, t.credit} for t in batch)
        }
        whole = [entry for entry in self.entries if isinstance(entry, BatchEntry)]
        assert {(e.account, e.log_seq): [e.amount, e.pending] for e in whole} == expected
        assert len(whole) == len(expected)
        singles = [entry for entry in self.entries if isinstance(entry, Entry)]
        assert len(singles) == sum(
            not self.books.accounts[side].aggregated
            for t in self.transfers
            for side in (t.debit, t.credit)
        )

    @invariant()
    def no_account_is_beyond_its_limits_and_closed_ones_are_settled(self) -> None:
        for name, account in self.books.accounts.items():
            dp, cp, dr, cr, _ = balance_of(self.books, name)
            if account.no_credit_overdraft:
                assert cp + cr <= dp
            if account.max_balance is not None:
                assert cp + cr - dp <= account.max_balance
            if account.closed:
                assert (cp - dp, dr, cr) == (0, 0, 0)

    @invariant()
    def flags_are_those_of_the_model(self) -> None:
        assert {
            name: (a["in"], a["out"], a["closed"]) for name, a in self.model.accounts.items()
        } == {n: (a.frozen_in, a.frozen_out, a.closed) for n, a in self.books.accounts.items()}

    @invariant()
    def no_transfer_is_reversed_beyond_its_amount_nor_a_reversal(self) -> None:
        by_id = {t.id: t for t in self.transfers}
        moved_back: dict[str, int] = defaultdict(int)
        for t in self.transfers:
            if t.kind is TransferKind.REVERSE:
                assert t.pending_id is not None
                target = by_id[t.pending_id]
                assert target.kind in {TransferKind.SINGLE, TransferKind.POST}
                assert (t.debit, t.credit) == (target.credit, target.debit)
                moved_back[target.id] += t.amount
        for target_id, amount in moved_back.items():
            assert amount <= by_id[target_id].amount

    @invariant()
    def no_guarded_account_is_below_its_floor_counting_holds(self) -> None:
        for name, account in self.books.accounts.items():
            if account.guarded:
                assert balance_of(self.books, name).available >= 0

    @invariant()
    def captures_and_returns_of_a_hold_sum_to_it(self) -> None:
        ended: dict[str, int] = defaultdict(int)
        for t in self.transfers:
            if t.pending_id is not None and t.kind is not TransferKind.REVERSE:
                ended[t.pending_id] += t.amount
        for hold in self.books.holds.values():
            assert ended[hold.id] == hold.amount - hold.remaining
            assert (hold.state is HoldState.OPEN) == (hold.remaining > 0)

    @invariant()
    def transfer_ids_are_used_once(self) -> None:
        ids = [t.id for t in self.transfers]
        assert len(ids) == len(set(ids))


def effect(transfer: Transfer) -> tuple[int, int]:
    """What a transfer adds to posted and to pending on both sides."""
    amount = transfer.amount
    return {"single": (amount, 0), "pending": (0, amount), "post": (amount, -amount),
            "reverse": (amount, 0)}.get(transfer.kind, (0, -amount))  # fmt: skip


def balance_of(state: Books, name: str) -> Balance:
    return state.balances.get(name, Balance(0, 0, 0, 0, 0))


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_a_batch_is_its_commands_one_by_one_however_it_is_cut(
    batch: list[Request], cuts: list[int]
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
        posted += [(c, p.transfers, p.hold, p.opened) for c, p in part.posted]
    assert [unlogged(answer.outcome) for answer in whole.answers] == answers
    assert [(c, p.transfers, p.hold, p.opened) for c, p in whole.posted] == posted
    aggregated = {name for name, account in state.accounts.items() if account.aggregated}
    for name in whole.after.balances.keys() | state.balances.keys():
        together, apart = balance_of(whole.after, name), balance_of(state, name)
        # The entries of an aggregated account are grouped by batch, so their number may differ.
        assert together[:4] == apart[:4]
        assert name in aggregated or together.seq == apart.seq
    assert whole.after.holds == state.holds
    assert whole.after.accounts == state.accounts
    assert whole.after.reversed == state.reversed


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, max_size=20), commands)
def test_a_refused_command_leaves_the_books_as_they_were(
    before: list[Request], command: Request
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
    return outcome.transfer if isinstance(outcome, Done) else outcome


def test_the_strategies_reach_every_answer() -> None:
    """A property over commands that all fail alike would prove nothing."""
    seen: set[str] = set()

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(st.lists(commands, min_size=10, max_size=30))
    def collect(batch: list[Request]) -> None:
        model = DictLedger()
        model.apply(OPENING, NOW)
        half = len(batch) // 2
        seen.update(model.apply(command, NOW) for command in batch[:half])
        seen.update(model.apply(command, SOON) for command in batch[half:])

    collect()
    assert seen == {
        "posted",
        "account_closed",
        "account_frozen",
        "account_mismatch",
        "account_not_settled",
        "account_unknown",
        "already_expired",
        "amount_not_positive",
        "balance_limit_exceeded",
        "capture_exceeds_hold",
        "credit_overdraft",
        "currency_mismatch",
        "duplicate_leg",
        "hold_not_open",
        "hold_unknown",
        "id_conflict",
        "insufficient_funds",
        "journal_unknown",
        "not_due",
        "not_reversible",
        "reversal_exceeds_target",
        "same_account",
        "too_many_decimals",
    }
