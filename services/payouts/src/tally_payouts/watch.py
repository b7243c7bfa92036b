"""Payouts that stand, as gauges: by state with their age, and by who must act."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import Gauge

from tally_messaging import Watch
from tally_payouts.domain.states import ENDED, MustAct, PayoutState
from tally_payouts.store.standing import cases, standing
from tally_postgres import Pool
from tally_runtime import Metrics

_STANDING: Final = tuple(state for state in PayoutState if state not in ENDED)


@dataclass(frozen=True, slots=True)
class PayoutMetrics:
    """Each is a function from its labels to a series."""

    standing: Callable[..., Gauge]
    age_seconds: Callable[..., Gauge]
    must_act: Callable[..., Gauge]
    cases: Callable[..., Gauge]

    @classmethod
    def of(cls, metrics: Metrics) -> "PayoutMetrics":
        """The set of this service."""
        return cls(
            standing=metrics.gauge("payouts_standing", "Payouts not ended, by state", "state"),
            age_seconds=metrics.gauge(
                "payouts_standing_age_seconds",
                "Time since the last change of the payout that has stood longest, by state",
                "state",
            ),
            must_act=metrics.gauge(
                "payouts_must_act", "Payouts not ended, by who must act", "must_act"
            ),
            cases=metrics.gauge("payouts_cases", "Cases opened so far, by code", "code"),
        )


@dataclass(frozen=True, slots=True)
class StandingWatch(Watch):
    """Measures what waits."""

    metrics: PayoutMetrics

    async def measure(self, pool: Pool, now: datetime) -> None:
        """Set the gauges to what stands in the database; a state nobody stands in is zero."""
        number: Counter[PayoutState] = Counter()
        waiting_for: Counter[MustAct] = Counter()
        since: dict[PayoutState, datetime] = {}
        for group in await standing(pool):
            number[group.state] += group.payouts
            waiting_for[group.must_act] += group.payouts
            since[group.state] = min(since.get(group.state, now), group.since)
        for state in _STANDING:
            age = now - since.get(state, now)
            self.metrics.standing(state).set(number[state])
            self.metrics.age_seconds(state).set(age.total_seconds())
        for party in MustAct:
            self.metrics.must_act(party).set(waiting_for[party])
        for code, opened in (await cases(pool)).items():
            self.metrics.cases(code).set(opened)
