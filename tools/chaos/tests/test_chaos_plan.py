"""A plan is a pure function of its seed and length, and says what it promises to do."""

import pytest

from tally_chaos.plan import FAULTS_MIN, FaultKind, make_plan
from tally_chaos.proxy import LinkFaultKind
from tally_cli.platform import SERVICES

SECONDS = 45


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert make_plan(7, SECONDS) == make_plan(7, SECONDS)
    assert make_plan(7, SECONDS).hash == make_plan(7, SECONDS).hash
    assert len({make_plan(seed, SECONDS).hash for seed in range(50)}) == 50
    assert make_plan(7, SECONDS).hash != make_plan(7, SECONDS + 1).hash


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_plan_of_45_seconds_has_every_kind_and_more_than_thirty_faults(seed: int) -> None:
    plan = make_plan(seed, SECONDS)
    assert len(plan.faults) > 30
    assert {fault.kind for fault in plan.faults} == set(FaultKind)
    assert {f"link_{kind}" for kind in LinkFaultKind} <= set(plan.counts())


@pytest.mark.parametrize("seconds", [6, 12, 45, 300])
def test_faults_come_in_order_within_the_time_and_some_overlap(seconds: int) -> None:
    for seed in range(20):
        plan = make_plan(seed, seconds)
        times = [fault.at_ms for fault in plan.faults]
        assert len(times) >= FAULTS_MIN
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] < seconds * 1000
        ends = [fault.at_ms + fault.lasts_ms for fault in plan.faults]
        assert any(end > later for end, later in zip(ends, times[1:], strict=False))


def test_servers_are_killed_once_however_long_a_plan_is() -> None:
    counts = make_plan(3, 600).counts()
    assert counts["kafka_kill"] == counts["postgres_kill"] == counts["rolling_restart"] == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_topic_is_published_again_when_there_is_something_to_repeat(seed: int) -> None:
    faults = make_plan(seed, SECONDS).faults
    places = [n for n, fault in enumerate(faults) if fault.kind is FaultKind.REPUBLISH]
    assert places
    assert min(places) >= len(faults) // 2


def test_targets_are_things_that_exist() -> None:
    for fault in make_plan(5, 600).faults:
        if fault.kind in {FaultKind.KILL, FaultKind.KILL_AT, FaultKind.PAUSE, FaultKind.REPLICA}:
            assert fault.target in SERVICES
        if fault.kind is FaultKind.LINK:
            service, _, server = fault.target.partition("-")
            assert service in SERVICES
            assert server in {"kafka", "postgres"}
