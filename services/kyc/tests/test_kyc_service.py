"""Tasks, levels and tables by commands, facts of the directory, and the clock (F30)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tally_contracts import directory_facts as facts
from tally_contracts import kyc as wire
from tally_kyc.domain.policy import Level, PartyKind
from tally_kyc.domain.tasks import TaskKind
from tally_kyc.service import Identity

from .conftest import LATER, SHOWN, START, party_id, tid

UNREGISTERED = tid("party", "nobody")


def types(told: list[Any]) -> list[str]:
    return [event.TYPE.removeprefix("kyc.").removesuffix(".v1") for event in told]


async def test_f27_a_party_is_asked_for_the_tasks_of_basic_once_it_is_registered(kyc: Any) -> None:
    opened, changed = await kyc.send(kyc.registered("bob", country=None))
    assert (opened.kind, opened.code, opened.who_must_act) == (
        "collect_data",
        "registered",
        "payee",
    )
    assert (changed.level, changed.previous, changed.sequence) == ("none", None, 1)
    assert (changed.party_kind, changed.jurisdiction) == ("person", None)
    again = await kyc.send(kyc.registered("bob", country=None))
    assert again == [], "told again, nothing new"
    moved = await kyc.send(kyc.registered("bob", country="FR"))
    assert types(moved) == ["level.changed"]
    assert (moved[0].jurisdiction, moved[0].sequence) == ("FR", 2)
    company = await kyc.send(kyc.registered("shop", "partner"))
    assert [event.kind for event in company[:-1]] == ["collect_data", "ownership"]
    assert (company[0].who_must_act, company[-1].party_kind) == ("company", "company")


async def test_a_group_and_a_payee_nobody_has_claimed_are_asked_for_nothing(kyc: Any) -> None:
    assert await kyc.send(kyc.registered("team", "group")) == []
    assert await kyc.send(kyc.registered("bob", state="unclaimed")) == []
    assert types(await kyc.send(kyc.registered("bob"))) == ["task.opened", "level.changed"]


async def test_f30_a_task_that_is_passed_makes_the_level_and_says_by_which_policy(kyc: Any) -> None:
    task = await kyc.first_task()
    (submitted,) = await kyc.send(kyc.submit(task))
    assert (submitted.evidence, submitted.who_must_act) == ((SHOWN,), "operator")
    (review,) = await kyc.send(kyc.decide(task, "in_review"))
    assert review.TYPE == "kyc.task.in_review.v1"
    decided, changed = await kyc.send(kyc.decide(task))
    assert (decided.outcome, decided.submitted_by, decided.who_must_act) == (
        "passed",
        "key_of_ann",
        None,
    )
    assert (changed.previous, changed.level, changed.policy_version) == ("none", "basic", 1)
    assert changed.reasons == ("passed:collect_data", "missing:document", "missing:liveness")
    assert (changed.valid_until, changed.jurisdiction) == (LATER, "DE")
    await kyc.passed("document", "liveness")
    assert await kyc.level() == "standard"
    waived = await kyc.send(
        kyc.open("ann", "address_proof", task="a"),
        kyc.decide(tid("task", "a"), "waived", by="operator", reason="known for ten years"),
        *(kyc.open("ann", "questionnaire", task="q"), kyc.submit(tid("task", "q"))),
        kyc.decide(tid("task", "q"), by="operator"),
    )
    assert waived[-1].level == "advanced"
    assert "waived:address_proof" in waived[-1].reasons


async def test_a_failed_task_makes_no_level_and_a_new_one_may_be_opened(kyc: Any) -> None:
    task = await kyc.first_task()
    (decided,) = (await kyc.send(kyc.submit(task), kyc.decide(task, "failed", reason="blurred")))[
        1:
    ]
    assert (decided.outcome, decided.reason) == ("failed", "blurred")
    assert await kyc.level() == "none"
    assert await kyc.refusal(kyc.decide(task)) == ("task_state", "/task_id")
    (opened,) = await kyc.send(kyc.open("ann", "collect_data", task="again", by="ann"))
    assert (opened.task_id, opened.code) == (tid("task", "again"), "asked")


async def test_a_reason_that_no_fact_can_carry_is_refused(kyc: Any) -> None:
    task = await kyc.first_task()
    await kyc.send(kyc.submit(task))
    for outcome in ("in_review", "passed", "failed", "waived"):
        for reason in ("blurred\nand torn", "x" * 501):
            said = kyc.decide(task, outcome, reason=reason)
            assert await kyc.refusal(said) == ("reason_malformed", "/reason")
    (review, decided) = await kyc.send(
        kyc.decide(task, "in_review", reason=" seen \n"),
        kyc.decide(task, "failed", reason="x" * 500),
    )
    assert (review.reason, decided.reason) == ("seen", "x" * 500)


async def test_who_may_not_is_refused_and_nothing_changes(kyc: Any) -> None:
    task = await kyc.first_task()
    assert await kyc.refusal(kyc.submit(task, by="agg")) == ("not_permitted", None)
    assert await kyc.refusal(kyc.submit(task, by="operator")) == ("not_permitted", None)
    assert await kyc.refusal(kyc.submit(task, by="acme")) == ("not_permitted", None)
    await kyc.send(kyc.submit(task))
    for by in ("ann", "acme"):
        assert await kyc.refusal(kyc.decide(task, by=by, actor="x")) == ("not_permitted", None)
    same = kyc.decide(task, actor="key_of_ann")
    assert await kyc.refusal(same) == ("decided_by_submitter", None)
    opening = kyc.open("ann", "document", task="d", by="acme")
    assert await kyc.refusal(opening) == ("not_permitted", None)
    changing = kyc.command(
        wire.ReportChange, party_id=party_id("ann"), changed=("name",), reason="x", by="acme"
    )
    assert await kyc.refusal(changing) == ("not_permitted", None)
    own = await kyc.first_task("agg")
    await kyc.send(kyc.submit(own, by="agg"))
    assert await kyc.refusal(kyc.decide(own, actor="y")) == ("not_permitted", None), "its own"
    assert types(await kyc.send(kyc.decide(own, by="operator"))) == [
        "task.decided",
        "level.changed",
    ]


async def test_whom_a_party_lets_manage_it_may_submit_until_that_is_revoked(kyc: Any) -> None:
    task = await kyc.first_task()

    def connection(access: str, state: str) -> Any:
        return kyc.fact(
            facts.ConnectionChanged,
            connection_id=tid("conn", "c"),
            from_party=party_id("acme"),
            to_party=party_id("ann"),
            access=access,
            state=state,
        )

    for access, state in (("manage", "invited"), ("view", "accepted"), ("manage", "revoked")):
        assert await kyc.send(connection(access, state)) == []
        assert await kyc.refusal(kyc.submit(task, by="acme")) == ("not_permitted", None)
    await kyc.send(connection("manage", "accepted"))
    assert types(await kyc.send(kyc.submit(task, by="acme"))) == ["task.submitted"]
    assert await kyc.refusal(kyc.decide(task, by="acme", actor="x")) == ("not_permitted", None)


async def test_what_cannot_be_is_refused_with_code_and_field(kyc: Any) -> None:
    task = await kyc.first_task()
    unknown = tid("task", "none")
    assert await kyc.refusal(kyc.submit(unknown)) == ("task_unknown", "/task_id")
    assert await kyc.refusal(kyc.submit(task, evidence=())) == ("evidence_missing", "/evidence")
    assert await kyc.refusal(kyc.decide(task)) == ("task_state", "/task_id"), "nobody submitted it"
    assert await kyc.refusal(kyc.open("ann", "selfie", task="x")) == ("kind_unknown", "/kind")
    assert await kyc.refusal(kyc.open("ann", "collect_data", task="x")) == ("task_waits", "/kind")
    assert await kyc.refusal(kyc.open("bob", "document", task="x")) == (
        "party_unknown",
        "/party_id",
    )
    (opened,) = await kyc.send(kyc.open("ann", "document", task="x"))
    reused = kyc.open("ann", "liveness", task="x")
    assert await kyc.refusal(reused) == ("id_reused", "/task_id")
    assert opened.kind == "document"
    changing = kyc.command(
        wire.ReportChange, party_id=party_id("ann"), changed=("name", "mood"), reason="x", by="ann"
    )
    assert await kyc.refusal(changing) == ("change_unknown", "/changed/1")


async def test_a_command_again_changes_nothing_and_is_answered_again(kyc: Any) -> None:
    task = await kyc.first_task()
    command, refused = kyc.submit(task), kyc.submit(task, evidence=())
    first = await kyc.send(refused)
    await kyc.send(command)
    before = await kyc.dump()
    (repeated,) = await kyc.send(command)
    assert (repeated.TYPE, repeated.answer) == (
        "kyc.command.repeated.v1",
        "kyc.task.submitted.v1",
    )
    assert await kyc.send(refused) == first, "refused as before, although it would be otherwise now"
    other = command.model_copy(update={"evidence": (SHOWN, SHOWN)})
    (reused,) = await kyc.send(other)
    assert (reused.code, reused.field) == ("id_reused", "/command_id")
    assert await kyc.dump() == before


async def test_f30_what_was_shown_grows_old_with_a_warning_and_the_level_falls(kyc: Any) -> None:
    (task,) = await kyc.passed("collect_data")
    assert await kyc.tick(LATER - START - timedelta(days=31)) == [], "more than the warning away"
    expiring, opened = await kyc.tick(timedelta(days=1))
    assert (expiring.task_id, expiring.expires_at) == (task, LATER)
    assert (opened.kind, opened.code) == ("collect_data", "expiring")
    assert await kyc.tick(timedelta(days=1)) == [], "warned once"
    assert await kyc.level() == "basic"
    expired, changed = await kyc.tick(timedelta(days=29))
    assert (expired.task_id, expired.code) == (task, "time_passed")
    assert (changed.previous, changed.level, changed.valid_until) == ("basic", "none", None)
    assert changed.reasons == ("missing:collect_data",)
    assert await kyc.tick(timedelta(days=1)) == []


async def test_a_warning_is_given_once_although_the_party_has_other_things_that_end(
    kyc: Any,
) -> None:
    await kyc.passed("collect_data")
    await kyc.passed("document", until=LATER + timedelta(days=1))
    first = await kyc.tick(LATER - START - timedelta(days=30))
    second = await kyc.tick(timedelta(days=1))
    assert [event.kind for event in first] == ["collect_data"] * 2
    assert [event.kind for event in second] == ["document"] * 2


async def test_what_was_not_shown_anew_in_time_is_asked_once_it_is_over(kyc: Any) -> None:
    await kyc.passed("collect_data", until=START + timedelta(days=9))
    await kyc.tick(timedelta(0))
    renewal = await kyc.first_task()
    await kyc.send(kyc.submit(renewal), kyc.decide(renewal, "failed", reason="blurred"))
    expired, opened, changed = await kyc.tick(timedelta(days=9))
    assert (expired.code, opened.code, opened.kind) == ("time_passed", "expired", "collect_data")
    assert changed.level == "none"


async def test_x8_levels_are_derived_anew_when_a_version_of_the_policy_begins(kyc: Any) -> None:
    await kyc.passed("collect_data")
    (first,) = kyc.identity.policies
    stricter = replace(
        first.tracks[PartyKind.PERSON],
        needs={**first.tracks[PartyKind.PERSON].needs, Level.BASIC: {TaskKind.DOCUMENT}},
    )
    second = replace(
        first,
        version=2,
        valid_from=START + timedelta(days=1),
        tracks={**first.tracks, PartyKind.PERSON: stricter},
    )
    kyc.identity = Identity((first, second))
    assert await kyc.tick(timedelta(0)) == []
    told = {event.party_id: event for event in await kyc.tick(timedelta(days=1))}
    assert {event.policy_version for event in told.values()} == {2}
    assert told.keys() == {party_id(name) for name in ("agg", "acme", "ann")}
    ann = told[party_id("ann")]
    assert (ann.previous, ann.level, ann.reasons) == ("basic", "none", ("missing:document",))
    assert await kyc.tick(timedelta(days=1)) == []


async def test_f30_what_is_shown_anew_in_time_keeps_the_level(kyc: Any) -> None:
    await kyc.passed("collect_data")
    await kyc.tick(LATER - START - timedelta(days=9))
    until = LATER + timedelta(days=365)
    await kyc.passed("collect_data", until=until)
    told = await kyc.tick(timedelta(days=9))
    assert types(told) == ["task.expired"]
    assert await kyc.level() == "basic"


async def test_f30_a_change_of_what_is_known_asks_anew_and_downgrades(kyc: Any) -> None:
    await kyc.passed("collect_data", "document", "liveness")
    command = kyc.command(
        wire.ReportChange, party_id=party_id("ann"), changed=("name",), reason="Married", by="ann"
    )
    told = await kyc.send(command)
    assert types(told) == [
        "party.change_reported",
        *["task.expired"] * 3,
        *["task.opened"] * 3,
        "level.changed",
    ]
    assert {event.code for event in told[1:7]} == {"data_changed"}
    assert told[0].reopened == tuple(event.task_id for event in told[4:7])
    assert (told[-1].previous, told[-1].level) == ("standard", "none")
    address = command.model_copy(
        update={"command_id": tid("cmd", "other"), "changed": ("address",)}
    )
    assert types(await kyc.send(address)) == ["party.change_reported"], "open ones stay open"


async def test_f30_another_country_of_residence_asks_anew(kyc: Any) -> None:
    await kyc.passed("collect_data")
    submitted = await kyc.send(
        kyc.open("ann", "address_proof", task="a"), kyc.submit(tid("task", "a"))
    )
    assert len(submitted) == 2
    told = await kyc.send(kyc.registered("ann", country="FR"))
    assert sorted(types(told)) == [
        "level.changed",
        *["task.expired"] * 2,
        *["task.opened"] * 2,
    ]
    assert (told[-1].level, told[-1].jurisdiction) == ("none", "FR")


async def test_f30_a_country_is_changed_by_who_reports_it_and_told_for_all_ids(kyc: Any) -> None:
    await kyc.passed("collect_data")
    merge = kyc.fact(
        facts.PartiesMerged,
        party_id=party_id("ann"),
        merged=party_id("twin"),
        merged_tenant=party_id("agg"),
        by="approval",
    )
    await kyc.send(merge)

    def report(*changed: str, country: str | None) -> Any:
        return kyc.command(
            wire.ReportChange,
            party_id=party_id("ann"),
            changed=changed,
            reason="Moved",
            country=country,
            by="ann",
        )

    missing, unwanted = report("country", country=None), report("address", country="FR")
    assert await kyc.refusal(missing) == ("country_missing", "/country")
    assert await kyc.refusal(unwanted) == ("country_not_wanted", "/country")
    reported, expired, opened, ann, twin = await kyc.send(report("country", country="FR"))
    assert reported.changed == ("country",)
    assert (expired.kind, opened.kind) == ("collect_data", "collect_data")
    assert [(each.party_id, each.level, each.jurisdiction) for each in (ann, twin)] == [
        (party_id("ann"), "none", "FR"),
        (party_id("twin"), "none", "FR"),
    ]
    again = await kyc.send(report("country", country="US"))
    assert types(again) == ["party.change_reported", *["level.changed"] * 2], (
        "same level, elsewhere"
    )
    assert (again[1].level, again[1].jurisdiction) == ("none", "US")
    assert types(await kyc.send(report("country", country="US"))) == ["party.change_reported"]


async def test_of_merged_parties_the_tasks_of_the_kept_one_stand_for_both_ids(kyc: Any) -> None:
    await kyc.passed("collect_data")
    await kyc.send(kyc.registered("twin"))
    await kyc.passed("collect_data", "document", "liveness", name="twin")

    def merge(kept: str, gone: str) -> Any:
        return kyc.fact(
            facts.PartiesMerged,
            party_id=party_id(kept),
            merged=party_id(gone),
            merged_tenant=party_id("agg"),
            by="approval",
        )

    told = await kyc.send(merge("ann", "twin"))
    assert types(told) == [*["task.expired"] * 3, "level.changed"]
    assert {event.code for event in told[:3]} == {"party_merged"}
    assert (told[-1].party_id, told[-1].level) == (party_id("twin"), "basic")
    assert f"merged:{party_id('ann')}" in told[-1].reasons
    assert await kyc.send(merge("ann", "twin")) == []
    (opened,) = await kyc.send(kyc.open("twin", "document", task="d", by="twin"))
    assert opened.party_id == party_id("ann"), "a merged id goes on as the one it became"
    await kyc.passed("document", "liveness")
    assert [await kyc.level(name) for name in ("ann", "twin")] == ["standard", "standard"]
    early = await kyc.send(merge("ann", "early"), kyc.registered("early"))
    assert types(early) == ["level.changed"], "it was another before it was told of"
    assert early[0].level == "standard"


async def test_a_party_merged_into_one_of_another_tenant_is_told_of_as_the_kept_one_is(
    kyc: Any,
) -> None:
    await kyc.send(
        kyc.registered("far", "aggregator", parent=None, tenant=party_id("far")),
        kyc.registered("twin", tenant=party_id("far"), country="FR"),
    )
    await kyc.passed("collect_data")
    merge = kyc.fact(
        facts.PartiesMerged,
        party_id=party_id("ann"),
        merged=party_id("twin"),
        merged_tenant=party_id("far"),
        by="approval",
    )
    ended, changed = await kyc.send(merge)
    assert (ended.TYPE, ended.tenant) == ("kyc.task.expired.v1", party_id("far")), "it was theirs"
    assert (changed.party_id, changed.level) == (party_id("twin"), "basic")
    assert (changed.tenant, changed.jurisdiction) == (party_id("agg"), "DE")


GATE = {
    "party_kind": "person",
    "level": "none",
    "act": "exit",
    "endpoint_class": "any",
    "answer": "closed",
    "code": "identity_too_low",
    "remedy": "do the tasks of level basic",
    "who_must_act": "payee",
}
LIMIT = {
    "level": "basic",
    "act": "exit",
    "endpoint_class": "any",
    "window": "day",
    "limit": {"currency": "EUR", "amount": "1000.00"},
}


def table(kyc: Any, model: type[Any], **more: Any) -> Any:
    fields = {
        "tenant": "operator",
        "table": "standard",
        "version": 1,
        "jurisdictions": ("*",),
        "source": "handbook (verify before production)",
        "rows": (GATE if model is wire.PublishGateTable else LIMIT,),
        **more,
    }
    return kyc.command(model, **fields)


async def test_x4_tables_are_published_by_version_and_told_whole(kyc: Any) -> None:
    (gates,) = await kyc.send(table(kyc, wire.PublishGateTable))
    assert (gates.version, gates.valid_from, gates.valid_until) == (1, START, None)
    assert gates.rows[0].code == "identity_too_low"
    (limits,) = await kyc.send(table(kyc, wire.PublishLimitTable))
    assert str(limits.rows[0].limit.money()) == "1000.00 EUR"
    later = START + timedelta(days=30)
    (second,) = await kyc.send(
        table(kyc, wire.PublishGateTable, version=2, valid_from=later, jurisdictions=("*", "US"))
    )
    assert (second.valid_from, second.jurisdictions) == (later, ("*", "US"))
    stale = table(kyc, wire.PublishGateTable, version=2, valid_from=later)
    assert await kyc.refusal(stale) == ("version_stale", "/version")
    twice = table(kyc, wire.PublishGateTable, table="eea", jurisdictions=("US",))
    assert await kyc.refusal(twice) == ("table_overlap", "/jurisdictions")
    row_twice = table(kyc, wire.PublishLimitTable, version=2, rows=(LIMIT, LIMIT))
    assert await kyc.refusal(row_twice) == ("table_overlap", "/valid_from")
    kyc.clock.advance(timedelta(days=1))
    row_twice = table(kyc, wire.PublishLimitTable, version=2, rows=(LIMIT, LIMIT))
    assert await kyc.refusal(row_twice) == ("row_duplicate", "/rows/1")
    by_tenant = table(kyc, wire.PublishGateTable, table="own", by="agg")
    assert await kyc.refusal(by_tenant) == ("operator_only", None)


async def test_tables_of_one_batch_see_each_other(kyc: Any) -> None:
    first, second = await kyc.send(
        table(kyc, wire.PublishGateTable),
        table(kyc, wire.PublishGateTable, table="other", jurisdictions=("*", "DE")),
    )
    assert (first.TYPE, second.code) == ("kyc.gate_table.published.v1", "table_overlap")
