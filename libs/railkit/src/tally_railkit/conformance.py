"""What every rail must keep, run over the rail and its simulator.

Inherit `RailConformance` in a test class, provide the fixture `bench`, and each promise is a test.
The suite needs no test framework: its methods take the bench and assert.
"""

from collections.abc import Sequence
from typing import Protocol

from tally_railkit.capabilities import Capabilities
from tally_railkit.states import AttemptState

UNMAPPED_CODE = "no_rail_has_this_code"


class RailBench(Protocol):
    """One rail inside the platform, and its simulator with an empty book.

    Attempts are called by names of the suite's choosing. Nothing leaves before `work`.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    async def submit(self, name: str) -> None:
        """Order a payment the simulator will make; the same name is the same order again."""

    async def submit_refused(self, name: str) -> None:
        """Order a payment that the rail or the simulator refuses."""

    async def cancel(self, name: str) -> None:
        """Ask to take the attempt back."""

    async def lose_next_answer(self) -> None:
        """Let the simulator do what it is asked next, and its answer get lost."""

    async def work(self) -> None:
        """Let the rail send what is due and hear of it, as often as it takes to be quiet."""

    async def settle(self) -> None:
        """Work until everything the simulator executed and keeps is paid."""

    async def deliver_return(self, name: str) -> None:
        """Let the money of a paid attempt come back, as far as the rail knows returns."""

    async def replay_news(self) -> None:
        """Deliver again everything the simulator has ever told."""

    async def say(self, name: str, provider_code: str) -> None:
        """Bring news about an attempt in by the platform's one way for news."""

    async def states(self, name: str) -> Sequence[str]:
        """Every state told of the attempt, oldest first."""

    async def executions(self, name: str) -> int:
        """How often the simulator's own book holds the payment as executed."""


class RailConformance:
    """The promises. Each method is one, named by it."""

    async def test_same_attempt_submitted_twice_executes_once(self, bench: RailBench) -> None:
        await bench.submit("twice")
        await bench.submit("twice")
        await bench.work()
        await bench.submit("twice")
        await bench.settle()
        assert await bench.executions("twice") == 1
        _once_each(await bench.states("twice"), AttemptState.PAID)

    async def test_lost_answer_is_asked_about_and_executes_once(self, bench: RailBench) -> None:
        await bench.lose_next_answer()
        await bench.submit("lost")
        await bench.work()
        await bench.settle()
        assert await bench.executions("lost") == 1
        _once_each(await bench.states("lost"), AttemptState.PAID)

    async def test_refused_order_fails_and_executes_nothing(self, bench: RailBench) -> None:
        await bench.submit_refused("refused")
        await bench.submit("good")
        await bench.work()
        await bench.settle()
        assert await bench.executions("refused") == 0
        _once_each(await bench.states("refused"), AttemptState.FAILED)
        _once_each(await bench.states("good"), AttemptState.PAID)

    async def test_cancel_in_time_executes_nothing(self, bench: RailBench) -> None:
        await bench.submit("early")
        in_time = (await bench.states("early"))[-1] == bench.capabilities.cancel_until
        assert in_time == (bench.capabilities.cancel_until is not None)
        await bench.cancel("early")
        await bench.work()
        await bench.settle()
        ends = AttemptState.CANCELLED if in_time else AttemptState.PAID
        _once_each(await bench.states("early"), ends)
        assert await bench.executions("early") == (0 if in_time else 1)

    async def test_cancel_too_late_changes_nothing(self, bench: RailBench) -> None:
        await bench.submit("late")
        await bench.work()
        before = await bench.states("late")
        await bench.cancel("late")
        assert await bench.states("late") == before
        await bench.settle()
        assert await bench.executions("late") == 1
        _once_each(await bench.states("late"), AttemptState.PAID)

    async def test_return_after_paid_counts_once(self, bench: RailBench) -> None:
        await bench.submit("back")
        await bench.work()
        await bench.settle()
        await bench.deliver_return("back")
        ends = AttemptState.PAID if bench.capabilities.final else AttemptState.RETURNED
        _once_each(await bench.states("back"), ends)
        before = await bench.states("back")
        await bench.replay_news()
        assert await bench.states("back") == before

    async def test_replayed_news_changes_nothing(self, bench: RailBench) -> None:
        await bench.submit("again")
        await bench.work()
        await bench.settle()
        before = await bench.states("again")
        await bench.replay_news()
        assert await bench.states("again") == before
        assert await bench.executions("again") == 1

    async def test_unmapped_code_changes_nothing(self, bench: RailBench) -> None:
        await bench.submit("odd")
        await bench.work()
        before = await bench.states("odd")
        await bench.say("odd", UNMAPPED_CODE)
        assert await bench.states("odd") == before


def _once_each(states: Sequence[str], last: AttemptState) -> None:
    """The attempt ended in `last`, and no state was told twice."""
    assert states, "the attempt was never heard of"
    assert states[-1] == last, states
    assert len(set(states)) == len(states), states
