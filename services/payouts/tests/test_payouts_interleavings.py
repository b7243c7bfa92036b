"""Random interleavings: a strict ledger and a moody rail play with the saga, facts late and doubled.

Order holds per payout and topic, nowhere else. The ledger and the rail of this file raise when they
are asked for what must never be asked for: a hold resolved twice, an attempt submitted twice, a
release while the rail has not said that the money stays.
"""

import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from opentelemetry import trace

from tally_contracts.base import Amount, Where, Who, Why
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.kyc import GateRow, GateTablePublished, LevelChanged
from tally_contracts.ledger import (
    CaptureHold,
    HoldCaptured,
    HoldPlaced,
    HoldRejected,
    HoldReleased,
    JournalPosted,
    PlaceHold,
    PostJournal,
    ReleaseHold,
)
from tally_contracts.payouts import CancelPayout, ChooseMethod, PayoutStatus, RequestPayout
from tally_contracts.rails import (
    AttemptChanged,
    CancelAttempt,
    InstrumentRefused,
    InstrumentRegistered,
    SubmitPayout,
)
from tally_contracts.registry import BY_TYPE
from tally_gates import GATES, Party, StoredTable
from tally_messaging import Cause, Envelope, Received, UnitOfWork
from tally_payouts.batch import Batch, Needs
from tally_payouts.domain.exits import decide_again
from tally_payouts.domain.methods import Instrument, Methods
from tally_payouts.domain.states import ALLOWED, ENDED, FIRST, RANK, PayoutState
from tally_payouts.exits import Exits
from tally_payouts.keeping import Keeper
from tally_payouts.outgoing import Outgoing
from tally_payouts.turn import Installation, Turn
from tally_runtime import FixedClock, SeededIds, derived_id

AT = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
WS: dict[str, Any] = {
    "who": Who(actor="svc", principal="acme"),
    "where": Where(channel="api"),
    "why": Why(program="rebates", event="ev-1", reason="rebate"),
    "occurred_at": AT,
}
AMOUNT = Amount(currency="USD", amount="25.00")
OWNERS = ANN, BOB = derived_id("party", "ann"), derived_id("party", "bob")
INSTRUMENTS = {
    derived_id("ins", "ann-1"): ANN,
    derived_id("ins", "ann-2"): ANN,
    derived_id("ins", "bob-1"): BOB,
}
RAIL_MOVES = {
    "new": ("scheduled", "submitting", "unknown", "submitted", "failed", "paid", "returned"),
    "scheduled": ("submitting", "failed"),
    "submitting": ("unknown", "submitted", "failed", "paid"),
    "unknown": ("submitted", "in_transit", "failed", "paid", "returned"),
    "submitted": ("in_transit", "unknown", "failed", "paid", "returned"),
    "in_transit": ("paid", "failed", "returned"),
    "paid": ("returned",),
}
EXIT_FROM_BASIC = StoredTable.of(
    GATES,
    GateTablePublished(
        tenant="main", who=WS["who"], occurred_at=AT, table="default", version=1,
        jurisdictions=("*",), valid_from=AT, valid_until=None, source="a test",
        rows=(GateRow(party_kind="person", level="basic", act="exit", endpoint_class="any",
                      answer="open"),),
    )
)  # fmt: skip
pytestmark = pytest.mark.slow


@dataclass
class Attempt:
    submit: SubmitPayout
    state: str = "new"
    sequence: int = 0
    was_paid: bool = False


@dataclass
class Hold:
    place: PlaceHold
    state: str = "open"


@dataclass
class Platform:
    """The saga in memory, its neighbours, and the queues between them."""

    queues: dict[tuple[str, str], deque[Any]] = field(default_factory=lambda: defaultdict(deque))
    delivered: list[Any] = field(default_factory=list)
    commands: deque[Any] = field(default_factory=deque)
    holds: dict[str, Hold] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    returns: dict[str, PostJournal] = field(default_factory=dict)
    statuses: dict[str, list[PayoutStatus]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        clock = FixedClock(AT)
        self.uow = UnitOfWork(
            conn=None,  # type: ignore[arg-type]  # nothing here touches a database
            now=AT,
            ids=SeededIds(1, clock),
            source="/test",
            max_payload_bytes=900_000,
            tracer=trace.NoOpTracer(),
        )
        self.service = Installation("main", "main", frozenset({"ach", "wallet"}))
        parties = {owner: Party(owner) for owner in OWNERS}
        self.exits = Exits(AT, "main", None, tables=[EXIT_FROM_BASIC], parties=parties)
        self.levels = 0
        methods = {(owner, "USD"): Methods(owner, "USD") for owner in OWNERS}
        self.batch = Batch({}, {}, methods, {i: Instrument(i) for i in INSTRUMENTS}, {}, {})

    def publish(self, topic: str, key: str, event: Any) -> None:
        self.queues[topic, key].append(event)

    def waiting(self) -> list[tuple[str, str]]:
        return [key for key, queue in self.queues.items() if queue]

    def deliver(self, key: tuple[str, str]) -> None:
        event = self.queues[key].popleft()
        self.delivered.append(event)
        self.apply(event)

    def apply(self, event: Any) -> None:
        self.batch.openings.update(Needs.of([_received(event)], "main").openings)
        outgoing = Outgoing(self.uow, "main")
        Turn(self.service, self.batch, self.exits, outgoing, _received(event)).take()
        self._take_in_all()

    def ask_again(self) -> None:
        """Ask about all that is held, as the worker does for parties that are due."""
        keeper = Keeper(self.service.rails, self.batch, self.exits, Outgoing(self.uow, "main"))
        for tracked in self.batch.payouts.values():
            if tracked.payout.state is PayoutState.HELD:
                keeper.keep(tracked, decide_again(tracked.payout, self.exits.rule(tracked)))
        self._take_in_all()

    def tell_level(self, owner: str, level: str) -> None:
        self.levels += 1
        told = LevelChanged(
            tenant="main", who=WS["who"], occurred_at=AT, party_id=owner, party_kind="person",
            jurisdiction=None, level=level, previous=None, may_remit=False, reasons=(),
            policy_version=1, valid_until=None, sequence=self.levels,
        )  # fmt: skip
        self.publish("identity", owner, told)

    def _take_in_all(self) -> None:
        for record in self.uow.outgoing:
            sent = BY_TYPE[record.headers["ce_type"]].model_validate_json(record.payload)
            self.take_in(sent)
        self.uow.outgoing.clear()

    def take_in(self, sent: Any) -> None:
        match sent:
            case PayoutStatus():
                self._status(sent)
            case SubmitPayout():
                level = self.exits.parties[sent.owner].level
                assert level == "basic", "nothing leaves below the level that opens the exit"
                assert sent.attempt_id not in self.attempts, "an attempt is submitted once"
                assert self.holds[_hold_of(sent.payout_id)].state == "open", "funds come first"
                self.attempts[sent.attempt_id] = Attempt(sent)
            case CancelAttempt():
                attempt = self.attempts[sent.attempt_id]
                if attempt.state in {"new", "scheduled"}:
                    self.rail_says(attempt, "cancelled")
            case CaptureHold():
                assert self.attempt_of(sent.reference).was_paid, "captured before it was paid"
                self.commands.append(sent)
            case ReleaseHold():
                attempt = self.attempts.get(_attempt_of(sent.reference))
                stays = {"failed", "cancelled", "returned"}
                assert attempt is None or attempt.state in stays, "released while in flight"
                self.commands.append(sent)
            case PlaceHold() | PostJournal():
                self.commands.append(sent)

    def _status(self, status: PayoutStatus) -> None:
        before = self.statuses[status.payout_id]
        state = PayoutState(status.state)
        assert status.sequence == len(before) + 1, "sequence without gaps"
        assert status.rank == RANK[state]
        if before:
            assert status.rank > before[-1].rank, "never staler than what was published"
            assert state in ALLOWED[PayoutState(before[-1].state)]
            assert not before[-1].final, "a final state is never left"
        else:
            assert state in FIRST
        assert state in ENDED or (status.must_act and status.reason_code), "who must act, and why"
        before.append(status)

    def told(self) -> int:
        """How many statuses were published."""
        return sum(len(statuses) for statuses in self.statuses.values())

    def ledger_step(self, *, refuse: bool = False) -> None:
        """Apply the next command, as strictly as the ledger would."""
        command = self.commands.popleft()
        match command:
            case PlaceHold() if refuse:
                self._hold_fact(
                    HoldRejected, command, command_id=command.hold_id, operation="place",
                    code="insufficient_funds", detail="not enough",
                )  # fmt: skip
            case PlaceHold():
                assert command.hold_id not in self.holds, "a hold is placed once"
                self.holds[command.hold_id] = Hold(command)
                more = {"debit": command.debit, "credit": command.credit, "expires_at": None}
                self._hold_fact(HoldPlaced, command, log_seq=1, amount=AMOUNT, **more)
            case CaptureHold():
                place = self._resolve(command.hold_id, "captured")
                self._hold_fact(
                    HoldCaptured, command, transfer_id=command.transfer_id, log_seq=1,
                    debit=place.debit, credit=place.credit, amount=AMOUNT,
                    remaining=Amount(currency="USD", amount="0.00"),
                )  # fmt: skip
            case ReleaseHold():
                place = self._resolve(command.hold_id, "released")
                self._hold_fact(
                    HoldReleased, command, transfer_id=command.transfer_id, log_seq=1,
                    debit=place.debit, amount=AMOUNT, expired=False,
                )  # fmt: skip
            case PostJournal():
                self._return(command)

    def _resolve(self, hold_id: str, state: str) -> PlaceHold:
        hold = self.holds[hold_id]
        assert hold.state == "open", f"a hold that is {hold.state} cannot be {state}"
        hold.state = state
        return hold.place

    def _return(self, command: PostJournal) -> None:
        place = self.holds[_hold_of(command.reference)].place
        [leg] = command.legs
        assert command.journal_id not in self.returns, "a return is posted once"
        assert self.holds[place.hold_id].state == "captured"
        assert (leg.debit, leg.credit, leg.amount.amount) == (place.credit, place.debit, "25.00")
        self.returns[command.journal_id] = command
        posted = JournalPosted(
            journal_id=command.journal_id, ledger="main", reference=command.reference,
            log_seq=1, legs=command.legs, effective_at=AT, **WS,
        )  # fmt: skip
        self.publish("journals", command.reference, posted)

    def _hold_fact(self, kind: type[Any], command: Any, **more: Any) -> None:
        fact = kind(
            hold_id=command.hold_id, ledger="main", reference=command.reference, **WS, **more
        )
        self.publish("holds", command.reference, fact)

    def attempt_of(self, payout_id: str) -> Attempt:
        return self.attempts[_attempt_of(payout_id)]

    def rail_says(self, attempt: Attempt, state: str, amount: Amount = AMOUNT) -> None:
        """Publish the attempt's next state; with another amount, a report that must be refused."""
        attempt.sequence += 1
        if amount == AMOUNT:
            attempt.state = state
            attempt.was_paid = attempt.was_paid or state == "paid"
        submit = attempt.submit
        changed = AttemptChanged(
            attempt_id=submit.attempt_id, payout_id=submit.payout_id, rail=submit.rail,
            sequence=attempt.sequence, state=state, amount=amount, provider_reference=None,
            code="R03" if state in {"failed", "returned"} else None,
            action="fix_details" if state in {"failed", "returned"} else "none", source="poll",
            return_reference="ret-1" if state == "returned" else None, **WS,
        )  # fmt: skip
        self.publish("attempts", submit.payout_id, changed)

    def open_attempts(self) -> list[Attempt]:
        return [a for a in self.attempts.values() if a.state in RAIL_MOVES]


def _received(event: Any) -> Received[Any]:
    envelope = Envelope("e", "/test", event.TYPE, Cause("payment-1"))
    return Received(event, envelope, None, uuid.UUID(int=1), b"")  # type: ignore[arg-type]


def _hold_of(payout_id: str) -> str:
    return derived_id("hld", payout_id)


def _attempt_of(payout_id: str) -> str:
    return derived_id("att", payout_id, "1")


def _wallet(owner: str) -> str:
    return derived_id("acc", "main", f"wallet/{owner}/USD")


ANN_1 = derived_id("ins", "ann-1")
PAYOUTS_MAX = 6
OTHER_AMOUNT = Amount(currency="USD", amount="24.99")
INDEX = st.integers(min_value=0, max_value=50)
ONE_IN_TEN = st.integers(0, 9).map(lambda n: n == 9)
OWNER = st.sampled_from(OWNERS)
INSTRUMENT = st.sampled_from(sorted(INSTRUMENTS))


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.platform = Platform()
        self.opened = 0

    @initialize()
    def one_payee_has_a_method(self) -> None:
        self._register(ANN_1)
        self._choose(ANN, ANN_1)
        for owner in OWNERS:
            self.platform.tell_level(owner, "basic")
        self.everything_arrives()

    @rule(owner=OWNER, level=st.sampled_from(["none", "basic"]))
    def a_level_changes(self, owner: str, level: str) -> None:
        self.platform.tell_level(owner, level)

    @precondition(lambda self: self.platform.exits.due)
    @rule()
    def what_is_held_is_asked_about_again(self) -> None:
        self.platform.ask_again()

    @precondition(lambda self: self.opened < PAYOUTS_MAX)
    @rule(owner=OWNER, withdrawal=st.booleans())
    def a_payout_begins(self, owner: str, *, withdrawal: bool) -> None:
        self.opened += 1
        if withdrawal:
            request = RequestPayout(
                payout_id=derived_id("po", str(self.opened)), ledger="main",
                account=_wallet(owner), owner=owner, company="acme",
                amount=AMOUNT.model_dump(), **WS,
            )  # fmt: skip
            self.platform.publish("commands", request.payout_id, request)
            return
        pay_in = derived_id("pin", str(self.opened))
        share = Allocation(
            account=_wallet(owner), owner=owner, role="beneficiary", amount=AMOUNT, pay_out=True
        )
        event = PayInAllocated(
            pay_in_id=pay_in, journal_id=derived_id("jrn", pay_in), source="cards",
            external_id=f"ext-{self.opened}", company="acme", amount=AMOUNT, rule="r@1",
            allocations=(share,), **WS,
        )  # fmt: skip
        self.platform.publish("pay_in", pay_in, event)

    @rule(owner=OWNER, instrument=INSTRUMENT, act=st.sampled_from(["choose", "register", "die"]))
    def a_method_changes(self, owner: str, instrument: str, act: str) -> None:
        if act == "choose":
            self._choose(owner, instrument)
        elif act == "register":
            self._register(instrument)
        else:
            event = InstrumentRefused(
                instrument_id=instrument, rail="ach", owner=INSTRUMENTS[instrument], code="r02",
                field="account", remedy="open another", occurred_at=AT,
            )  # fmt: skip
            self.platform.publish("instruments", instrument, event)

    def _choose(self, owner: str, instrument: str) -> None:
        event = ChooseMethod(
            owner=owner, currency="USD", rail="ach", instrument=instrument, who=WS["who"],
            occurred_at=AT,
        )  # fmt: skip
        self.platform.publish("commands", owner, event)

    def _register(self, instrument: str) -> None:
        event = InstrumentRegistered(
            instrument_id=instrument, rail="ach", owner=INSTRUMENTS[instrument], currency="USD",
            masked="****1", settlement_account=None, occurred_at=AT,
        )  # fmt: skip
        self.platform.publish("instruments", instrument, event)

    @precondition(lambda self: self.platform.statuses)
    @rule(index=INDEX)
    def somebody_cancels(self, index: int) -> None:
        known = list(self.platform.statuses)
        event = CancelPayout(
            payout_id=known[index % len(known)], who=WS["who"], reason="no", occurred_at=AT
        )
        self.platform.publish("commands", event.payout_id, event)

    @precondition(lambda self: self.platform.waiting())
    @rule(index=INDEX)
    def a_record_arrives(self, index: int) -> None:
        waiting = self.platform.waiting()
        self.platform.deliver(waiting[index % len(waiting)])

    @precondition(lambda self: self.platform.waiting() or self.platform.commands)
    @rule()
    def everything_arrives(self) -> None:
        while self.platform.commands:
            self.platform.ledger_step()
        while waiting := self.platform.waiting():
            self.platform.deliver(waiting[0])

    @precondition(lambda self: self.platform.delivered)
    @rule(index=INDEX)
    def an_old_record_arrives_again(self, index: int) -> None:
        delivered = self.platform.delivered
        event = delivered[-1 - index % len(delivered)]
        # A command repeated is a wish repeated; all other records must change nothing.
        if not isinstance(event, ChooseMethod | InstrumentRegistered | InstrumentRefused):
            before = self.platform.told(), len(self.platform.commands)
            self.platform.apply(event)
            if not isinstance(event, CancelPayout):
                assert (self.platform.told(), len(self.platform.commands)) == before

    @precondition(lambda self: self.platform.commands)
    @rule(refuse=ONE_IN_TEN)
    def the_ledger_works(self, *, refuse: bool) -> None:
        self.platform.ledger_step(refuse=refuse)

    @precondition(lambda self: self.platform.open_attempts())
    @rule(index=INDEX, moves=st.lists(st.tuples(INDEX, ONE_IN_TEN), min_size=1, max_size=4))
    def the_rail_moves(self, index: int, moves: list[tuple[int, bool]]) -> None:
        attempts = self.platform.open_attempts()
        attempt = attempts[index % len(attempts)]
        for move, wrong_amount in moves:
            states = RAIL_MOVES.get(attempt.state, ())
            if states:
                amount = OTHER_AMOUNT if wrong_amount else AMOUNT
                self.platform.rail_says(attempt, states[move % len(states)], amount)

    @invariant()
    def published_is_what_is_held(self) -> None:
        for payout_id, tracked in self.platform.batch.payouts.items():
            last = self.platform.statuses[payout_id][-1]
            payout = tracked.payout
            assert (last.state, last.sequence) == (payout.state, payout.sequence)
            if not payout.ended:
                assert payout.standing.must_act is not None
                assert payout.standing.reason_code is not None

    def teardown(self) -> None:
        platform = self.platform
        for owner in OWNERS:
            platform.tell_level(owner, "basic")
        self._settle()
        platform.ask_again()
        self._settle()
        for attempt in platform.open_attempts():
            if attempt.state != "paid":
                platform.rail_says(attempt, "paid")
        self._settle()
        for payout_id, tracked in platform.batch.payouts.items():
            self._agrees(payout_id, tracked.payout.state)

    def _settle(self) -> None:
        platform = self.platform
        while platform.commands or platform.waiting():
            if platform.commands:
                platform.ledger_step()
            for key in platform.waiting():
                platform.deliver(key)

    def _agrees(self, payout_id: str, state: PayoutState) -> None:
        """Saga, ledger and rail tell the same story of a payout once all is quiet."""
        platform = self.platform
        hold = platform.holds.get(_hold_of(payout_id))
        attempt = platform.attempts.get(_attempt_of(payout_id))
        returned = [j for j in platform.returns.values() if j.reference == payout_id]
        if state is PayoutState.CLAIMABLE:
            assert (hold, attempt) == (None, None)
            return
        assert state in ENDED, f"{payout_id} stands in {state} when nothing is under way"
        captured = hold is not None and hold.state == "captured"
        assert captured == (state in {PayoutState.PAID, PayoutState.RETURNED})
        assert hold is None or hold.state in {"captured", "released"}
        assert len(returned) == (1 if state is PayoutState.RETURNED else 0)
        if attempt is not None:
            kept = attempt.state == "paid"
            assert kept == (state is PayoutState.PAID), f"the rail says {attempt.state}"


TestInterleavings: Callable[..., Any] = Interleavings.TestCase
TestInterleavings.settings = settings(  # type: ignore[attr-defined]
    max_examples=250,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
