"""Levels, tasks and tables as pure decisions."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_kyc.domain.policy import Level, PartyKind, derive, in_force
from tally_kyc.domain.refusal import Refused
from tally_kyc.domain.tables import (
    Amount,
    Gate,
    Limit,
    TableKind,
    Version,
    check_gates,
    check_limits,
    check_version,
)
from tally_kyc.domain.tasks import (
    ALLOWED,
    Shown,
    Task,
    TaskKind,
    TaskState,
    Verdict,
    decided,
    submitted,
)
from tally_kyc.policies import read, shipped

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
POLICY = in_force(shipped(), NOW)
LEVELS = list(Level)


def task(kind: str, state: str = "passed", days: int = 100, number: int = 1) -> Task:
    counts = state in {"passed", "waived"}
    return Task(
        task_id=f"task_{kind}_{number}",
        tenant="agg",
        party_id="ann",
        kind=TaskKind(kind),
        state=TaskState(state),
        reason="",
        opened_at=NOW,
        submitted_by="ann" if state != "open" else None,
        expires_at=NOW + timedelta(days=days) if counts else None,
    )


def level(*tasks: Task, kind: PartyKind = PartyKind.PERSON) -> Level:
    return derive(POLICY, kind, tasks, NOW).level


def test_f30_a_level_follows_from_the_tasks_that_were_passed() -> None:
    assert level() is Level.NONE
    assert level(task("collect_data", "submitted")) is Level.NONE
    assert level(task("collect_data")) is Level.BASIC
    assert level(task("document"), task("liveness")) is Level.NONE, "no level without those below"
    standard = (task("collect_data"), task("document"), task("liveness"))
    assert level(*standard) is Level.STANDARD
    advanced = (*standard, task("address_proof", "waived"), task("questionnaire"))
    assert level(*advanced) is Level.ADVANCED


def test_f30_a_level_lasts_as_long_as_the_first_of_what_it_rests_on() -> None:
    tasks = (task("collect_data", days=30), task("document", days=20), task("liveness", days=40))
    standing = derive(POLICY, PartyKind.PERSON, tasks, NOW)
    assert standing.valid_until == NOW + timedelta(days=20)
    later = derive(POLICY, PartyKind.PERSON, tasks, NOW + timedelta(days=20))
    assert (later.level, later.valid_until) == (Level.BASIC, NOW + timedelta(days=30))
    assert later.reasons == ("passed:collect_data", "missing:document")
    renewed = (*tasks, task("document", days=90, number=2))
    assert derive(POLICY, PartyKind.PERSON, renewed, NOW).valid_until == NOW + timedelta(days=30)


def test_a_company_may_remit_once_it_has_shown_what_that_takes() -> None:
    basic = (task("collect_data"), task("ownership"))
    assert not derive(POLICY, PartyKind.COMPANY, basic, NOW).may_remit
    whole = (*basic, task("document"), task("screening_review"))
    assert derive(POLICY, PartyKind.COMPANY, whole, NOW).may_remit
    assert not derive(POLICY, PartyKind.PERSON, whole, NOW).may_remit, "nothing lets a person"


def test_what_lets_a_company_remit_alone_ends_no_level() -> None:
    lasting = (task("collect_data"), task("ownership"), task("document"))
    brief = task("screening_review", days=20)
    standing = derive(POLICY, PartyKind.COMPANY, (*lasting, brief), NOW)
    assert standing.valid_until == NOW + timedelta(days=100)
    assert "passed:screening_review" in standing.reasons
    later = derive(POLICY, PartyKind.COMPANY, (*lasting, brief), NOW + timedelta(days=20))
    assert (later.level, later.may_remit) == (standing.level, False)
    only = derive(POLICY, PartyKind.COMPANY, (brief,), NOW)
    assert (only.level, only.valid_until) == (Level.NONE, None)


TASKS = st.lists(
    st.builds(
        task,
        st.sampled_from(list(TaskKind)),
        st.sampled_from(list(TaskState)),
        st.integers(1, 9),
        st.integers(1, 3),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(TASKS, st.sampled_from(list(PartyKind)), st.integers(0, 10))
def test_f30_more_shown_never_lowers_a_level_and_time_alone_never_raises_one(
    tasks: list[Task], kind: PartyKind, days: int
) -> None:
    rank = LEVELS.index(level(*tasks, kind=kind))
    for each in TaskKind:
        assert LEVELS.index(level(*tasks, task(each), kind=kind)) >= rank
    later = derive(POLICY, kind, tasks, NOW + timedelta(days=days))
    assert LEVELS.index(later.level) <= rank
    assert derive(POLICY, kind, tasks[::-1], NOW).level is LEVELS[rank], "order is nothing"


def test_x8_a_level_is_derived_by_the_policy_of_its_time() -> None:
    document = [
        {
            "version": number,
            "valid_from": f"202{number + 5}-01-01T00:00:00Z",
            "source": "test",
            "warn_days": 30,
            "tracks": {
                kind: {
                    "first": [],
                    "needs": {"basic": [need], "standard": ["document"], "advanced": ["liveness"]},
                    "remit": [],
                }
                for kind in ("person", "company")
            },
            "touches": {},
        }
        for number, need in ((1, "collect_data"), (2, "questionnaire"))
    ]
    policies = read(document)
    old, new = (in_force(policies, datetime(year, 5, 1, tzinfo=UTC)) for year in (2026, 2027))
    assert (old.version, new.version) == (1, 2)
    shown = [task("collect_data", days=1000)]
    assert derive(old, PartyKind.PERSON, shown, NOW).level is Level.BASIC
    assert derive(new, PartyKind.PERSON, shown, NOW).level is Level.NONE
    with pytest.raises(ValueError, match="in force"):
        in_force(policies, datetime(2025, 1, 1, tzinfo=UTC))
    for damaged in (document[::-1], [], [{**document[0], "tracks": {}}], [document[0]] * 2):
        with pytest.raises(ValueError, match=r"version|begin"):
            read(damaged)


def verdict(outcome: str, **more: object) -> Verdict:
    fields: dict[str, object] = {
        "outcome": outcome,
        "actor": "officer",
        "reason": "seen",
        "expires_at": NOW + timedelta(days=9) if outcome in {"passed", "waived"} else None,
    }
    return Verdict(**{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("state", list(TaskState))
@pytest.mark.parametrize("outcome", ["in_review", "passed", "failed", "waived"])
def test_a_task_becomes_what_may_follow_and_nothing_else(state: str, outcome: str) -> None:
    before = task("document", state)
    if TaskState(outcome) in ALLOWED[before.state]:
        after = decided(before, verdict(outcome), NOW)
        assert (after.state, after.decided_by) == (outcome, "officer")
        return
    with pytest.raises(Refused) as refused:
        decided(before, verdict(outcome), NOW)
    assert refused.value.refusal.code == "task_state"


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        (verdict("expired"), "outcome_unknown", "/outcome"),
        (verdict("passed", actor="ann"), "decided_by_submitter", None),
        (verdict("in_review", actor="ann"), "decided_by_submitter", None),
        (verdict("failed", reason=" "), "reason_missing", "/reason"),
        (verdict("waived", reason=None), "reason_missing", "/reason"),
        (verdict("in_review", reason="blurred\nand torn"), "reason_malformed", "/reason"),
        (verdict("passed", reason="seen\x7f"), "reason_malformed", "/reason"),
        (verdict("failed", reason="x" * 501), "reason_malformed", "/reason"),
        (verdict("waived", reason="a\x00b"), "reason_malformed", "/reason"),
        (verdict("passed", expires_at=None), "expiry_missing", "/expires_at"),
        (verdict("waived", expires_at=None), "expiry_missing", "/expires_at"),
        (verdict("passed", expires_at=NOW), "expiry_past", "/expires_at"),
        (verdict("failed", expires_at=NOW), "expiry_not_wanted", "/expires_at"),
    ],
)
def test_a_decision_that_may_not_be_is_refused(said: Verdict, code: str, field: str | None) -> None:
    with pytest.raises(Refused) as refused:
        decided(task("document", "submitted"), said, NOW)
    assert (refused.value.refusal.code, refused.value.refusal.field) == (code, field)


def test_a_task_without_evidence_is_not_submitted() -> None:
    with pytest.raises(Refused) as refused:
        submitted(task("document", "open"), "ann", ())
    assert refused.value.refusal.code == "evidence_missing"
    shown = submitted(task("document", "open"), "ann", (Shown("vault:1", "5" * 64),))
    assert (shown.state, shown.submitted_by) == (TaskState.SUBMITTED, "ann")


CLOSED = Gate(
    "person", "none", "exit", "any", "closed", None, "identity_too_low", "do the tasks", "payee"
)
TO_150 = replace(CLOSED, endpoint_class="cash", answer="open_to", limit=Amount("150.00", "EUR"))


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"party_kind": "pet"}, "word_unknown", "/rows/1/party_kind"),
        ({"level": "gold"}, "word_unknown", "/rows/1/level"),
        ({"act": "spend"}, "word_unknown", "/rows/1/act"),
        ({"endpoint_class": "barter"}, "word_unknown", "/rows/1/endpoint_class"),
        ({"answer": "maybe"}, "word_unknown", "/rows/1/answer"),
        ({"who_must_act": "nobody"}, "word_unknown", "/rows/1/who_must_act"),
        ({"limit": None}, "row_incomplete", "/rows/1/limit"),
        ({"answer": "closed"}, "row_incomplete", "/rows/1/limit"),
        ({"code": None}, "row_incomplete", "/rows/1/code"),
        ({"remedy": None}, "row_incomplete", "/rows/1/remedy"),
        ({"endpoint_class": "any"}, "row_duplicate", "/rows/1"),
        ({"limit": Amount("1.001", "EUR")}, "too_many_decimals", "/rows/1/limit"),
        ({"limit": Amount("1.00", "DEM")}, "unknown_currency", "/rows/1/limit"),
    ],
)
def test_a_gate_that_says_nothing_clear_is_refused(
    changed: Mapping[str, object], code: str, field: str
) -> None:
    check_gates([CLOSED, TO_150])
    with pytest.raises(Refused) as refused:
        check_gates([CLOSED, replace(TO_150, **changed)])  # type: ignore[arg-type]
    assert (refused.value.refusal.code, refused.value.refusal.field) == (code, field)


def test_a_limit_is_said_once_for_each_window_and_currency() -> None:
    day = Limit("basic", "exit", "any", "day", Amount("1000.00", "EUR"))
    check_limits([day, replace(day, window="item"), replace(day, limit=Amount("9", "JPY"))])
    for wrong, code in (
        (replace(day, limit=Amount("5.00", "EUR")), "row_duplicate"),
        (replace(day, window="week"), "word_unknown"),
        (replace(day, window="month", limit=Amount("0.5", "JPY")), "too_many_decimals"),
    ):
        with pytest.raises(Refused) as refused:
            check_limits([day, wrong])
        assert refused.value.refusal.code == code


def version(table: str, number: int, days: int, *where: str, until: int | None = None) -> Version:
    return Version(
        TableKind.GATE,
        table,
        number,
        frozenset(where or {"*"}),
        NOW + timedelta(days=days),
        None if until is None else NOW + timedelta(days=until),
    )


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (version("standard", 3, 5), None),
        (version("standard", 2, 5), "version_stale"),
        (version("standard", 4, 5), "version_stale"),
        (version("standard", 3, -1), "effective_past"),
        (version("standard", 3, 5, until=5), "period_empty"),
        (version("standard", 3, 4), "table_overlap"),
        (version("eea", 1, 5, "DE", "FR"), None),
        (version("eea", 1, 5, "DE", "*"), "table_overlap"),
        (version("eea", 1, 20, "US"), None),
        (version("eea", 1, 19, "US"), "table_overlap"),
        (version("eea", 1, 0, "US", until=10), None),
        (version("eea", 1, 0, "US", until=11), "table_overlap"),
    ],
)
def test_a_jurisdiction_has_one_table_at_a_time(new: Version, code: str | None) -> None:
    known = [
        version("standard", 1, -9),
        version("standard", 2, 4),
        version("states", 1, 10, "US", until=20),
    ]
    if code is None:
        check_version(new, known, NOW)
        return
    with pytest.raises(Refused) as refused:
        check_version(new, known, NOW)
    assert refused.value.refusal.code == code
