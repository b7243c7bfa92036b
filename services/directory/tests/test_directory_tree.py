"""Parties and their tree: who hangs where, who may say so, and what is refused."""

from typing import Any

import pytest

from tally_contracts import directory as asked
from tally_contracts.directory_facts import (
    CommandRepeated,
    DirectoryCommandRefused,
    ExternalIdsChanged,
    GroupMembershipChanged,
    PartyMoved,
    PartyRegistered,
    RelationSet,
    RelationTypeDefined,
)
from tally_runtime import derived_id


def pid(name: str) -> str:
    return derived_id("party", "test", name)


async def test_f3_parties_of_every_tier_are_registered_with_their_ancestors(
    directory: Any,
) -> None:
    told = await directory.send(
        directory.register("agg", "aggregator", None),
        directory.register("acme", "company", external_id="crm-1", country="DE"),
        directory.register("shop", "partner", "acme"),
        directory.register("ann", "payee", "shop"),
    )
    assert all(isinstance(event, PartyRegistered) for event in told)
    assert [event.path for event in told] == [
        (),
        (pid("agg"),),
        (pid("agg"), pid("acme")),
        (pid("agg"), pid("acme"), pid("shop")),
    ]
    assert {event.tenant for event in told} == {pid("agg")}
    assert (told[1].external_id, told[1].country) == ("crm-1", "DE")
    assert {event.state for event in told} == {"registered"}


async def test_f26_a_payee_is_known_to_others_by_an_alias_that_tells_nothing(planted: Any) -> None:
    told = await planted.send(planted.register("cat", parent="acme", external_id="Catherine"))
    (fact,) = told
    assert fact.alias.startswith("payee-")
    assert "cat" not in fact.alias.lower()


async def test_the_tree_has_any_depth(planted: Any) -> None:
    names = [f"p{n}" for n in range(60)]
    parents = ["shop", *names]
    told = await planted.send(
        *(planted.register(name, "partner", parents[n]) for n, name in enumerate(names))
    )
    assert len(told[-1].path) == 62
    (moved,) = await planted.send(
        planted.command(asked.MoveParty, party_id=pid("p30"), parent=pid("beta"))
    )
    assert moved.path == (pid("agg"), pid("beta"))
    (leaf,) = await planted.send(planted.register("leaf", "payee", "p59"))
    assert leaf.path[:3] == (pid("agg"), pid("beta"), pid("p30")), "all below moved along"


async def test_a_move_tells_both_paths(planted: Any) -> None:
    (moved,) = await planted.send(
        planted.command(asked.MoveParty, party_id=pid("shop"), parent=pid("beta"), by="agg")
    )
    assert isinstance(moved, PartyMoved)
    assert moved.previous_path == (pid("agg"), pid("acme"))
    assert moved.path == (pid("agg"), pid("beta"))


async def test_two_moves_of_a_batch_that_would_close_a_circle_leave_one(planted: Any) -> None:
    await planted.send(planted.register("shop2", "partner", "acme"))
    told = await planted.send(
        planted.command(asked.MoveParty, party_id=pid("shop"), parent=pid("shop2")),
        planted.command(asked.MoveParty, party_id=pid("shop2"), parent=pid("shop")),
    )
    assert isinstance(told[0], PartyMoved)
    assert (told[1].code, told[1].field) == ("cycle", "/parent")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"parent": "nobody"}, ("unknown_parent", "/parent")),
        ({"kind": "wizard"}, ("unknown_kind", "/kind")),
        ({"parent": "ann"}, ("parent_not_allowed", "/parent")),
        ({"kind": "aggregator", "parent": "acme"}, ("parent_not_allowed", "/parent")),
        ({"parent": None}, ("parent_missing", "/parent")),
        ({"parent": None, "kind": "aggregator"}, ("other_tenant", "/tenant")),
        ({"parent": None, "kind": "aggregator", "by": "agg"}, ("operator_only", "/who/principal")),
        ({"parent": "beta", "by": "acme"}, ("not_your_subtree", "/parent")),
        ({"parent": "agg", "by": "acme"}, ("not_your_subtree", "/parent")),
        ({"parent": "zed"}, ("other_tenant", "/parent")),
        ({"parent": "agg2", "by": "agg2"}, ("other_tenant", "/tenant")),
        ({"by": "nobody"}, ("unknown_party", "/who/principal")),
        ({"reason": None}, ("reason_missing", "/reason")),
        ({"reason": " "}, ("reason_missing", "/reason")),
        ({"reason": "a\u0000b"}, ("reason_malformed", "/reason")),
        ({"reason": "x" * 501}, ("reason_malformed", "/reason")),
        ({"external_id": "taken"}, ("external_id_taken", "/external_id")),
    ],
)
async def test_a_party_that_cannot_be_entered_is_refused_with_code_field_and_remedy(
    planted: Any, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    await planted.send(planted.register("holder", parent="acme", external_id="taken"))
    fields = {"kind": "payee", "parent": "acme", **change}
    assert await planted.refusal(planted.register("new", **fields)) == expected


async def test_an_id_in_use_is_not_registered_again_under_another_command(planted: Any) -> None:
    assert await planted.refusal(planted.register("ann", parent="acme")) == (
        "id_taken",
        "/party_id",
    )


@pytest.mark.parametrize(
    ("moving", "parent", "by", "expected"),
    [
        ("acme", "shop", "agg", ("cycle", "/parent")),
        ("acme", "acme", "agg", ("cycle", "/parent")),
        ("shop", "sam", "agg", ("cycle", "/parent")),
        ("nobody", "acme", "agg", ("unknown_party", "/party_id")),
        ("shop", "nobody", "agg", ("unknown_parent", "/parent")),
        ("shop", "beta", "acme", ("not_your_subtree", "/parent")),
        ("bob", "acme", "acme", ("not_your_subtree", "/party_id")),
        ("agg", "acme", "agg", ("root_fixed", "/party_id")),
        ("ann", "zed", "operator", ("other_tenant", "/parent")),
        ("ann", "bob", "agg", ("parent_not_allowed", "/parent")),
    ],
)
async def test_a_move_that_cannot_be_is_refused(
    planted: Any, moving: str, parent: str, by: str, expected: tuple[str, str]
) -> None:
    command = planted.command(asked.MoveParty, party_id=pid(moving), parent=pid(parent), by=by)
    assert await planted.refusal(command) == expected


async def test_the_same_command_again_is_answered_and_changes_nothing(planted: Any) -> None:
    command = planted.register("eve", parent="acme")
    first, again = await planted.send(command, command)
    assert isinstance(first, PartyRegistered)
    assert isinstance(again, CommandRepeated)
    assert (again.command_id, again.subject, again.answer) == (
        command.command_id,
        pid("eve"),
        PartyRegistered.TYPE,
    )
    before = await planted.dump()
    later = command.model_copy(update={"occurred_at": command.occurred_at.replace(hour=9)})
    assert await planted.answer(later) == again, "when it was said again is not content"
    assert await planted.dump() == before


async def test_a_repeated_command_does_not_tell_again_what_was_overtaken(planted: Any) -> None:
    there = planted.command(asked.MoveParty, party_id=pid("shop"), parent=pid("beta"))
    await planted.send(there)
    await planted.send(planted.command(asked.MoveParty, party_id=pid("shop"), parent=pid("acme")))
    told = await planted.send(there)
    assert [type(event) for event in told] == [CommandRepeated]
    parents = await planted.rows("SELECT parent FROM party WHERE party_id = $1", pid("shop"))
    assert parents == [(pid("acme"),)]


async def test_a_refused_command_again_gets_the_same_refusal(planted: Any) -> None:
    command = planted.register("eve", parent="nobody")
    first = await planted.answer(command)
    await planted.send(planted.register("nobody", "company"))
    assert await planted.answer(command) == first
    assert isinstance(
        await planted.answer(planted.register("eve", parent="nobody")), PartyRegistered
    )


@pytest.mark.parametrize("together", [True, False])
async def test_an_id_reused_with_other_content_is_refused_and_the_first_stands(
    planted: Any, together: bool
) -> None:
    command = planted.register("eve", parent="acme")
    other = command.model_copy(update={"country": "FR"})
    if together:
        told = await planted.send(command, other)
    else:
        told = [*await planted.send(command), *await planted.send(other)]
    assert isinstance(told[0], PartyRegistered)
    assert (told[1].code, told[1].field) == ("id_reused", "/command_id")
    assert await planted.rows("SELECT country FROM party WHERE party_id = $1", pid("eve")) == [
        (None,)
    ]
    assert isinstance(await planted.answer(command), CommandRepeated)


async def test_every_answer_names_the_command_that_caused_it(planted: Any) -> None:
    good, bad = planted.register("eve", parent="acme"), planted.register("eve", parent="nobody")
    await planted.process(
        planted.record(good, event_id="ce-good"), planted.record(bad, event_id="ce-bad")
    )
    await planted.process(planted.record(good, event_id="ce-again"))
    sent = await planted.told()
    assert [one.causation for one in sent] == ["ce-good", "ce-bad", "ce-again"]
    assert {one.topic for one in sent} == {"directory.parties.v1"}
    assert {one.key for one in sent} == {pid("eve")}
    refused = sent[1].event
    assert isinstance(refused, DirectoryCommandRefused)
    assert (refused.command_type, refused.subject) == ("directory.party.register.v1", pid("eve"))


async def test_f21_relations_are_data_and_name_the_company_responsible(planted: Any) -> None:
    (relation,) = await planted.send(
        planted.command(
            asked.SetRelation,
            party=pid("ann"),
            other=pid("shop"),
            relation="influencer",
            company=pid("acme"),
            by="acme",
        )
    )
    assert isinstance(relation, RelationSet)
    assert (relation.company, relation.ended) == (pid("acme"), False)
    own = {"party": pid("ann"), "other": pid("acme"), "relation": "ambassador", "by": "agg"}
    command = planted.command(asked.SetRelation, **own)
    assert await planted.refusal(command) == ("unknown_relation", "/relation")
    (defined,) = await planted.send(
        planted.command(
            asked.DefineRelationType, relation="ambassador", label="Ambassador", by="agg"
        )
    )
    assert isinstance(defined, RelationTypeDefined)
    assert (await planted.answer(planted.command(asked.SetRelation, **own))).company == pid("acme")
    foreign = {"party": pid("zed"), "other": pid("agg2"), "relation": "ambassador"}
    command = planted.command(asked.SetRelation, **foreign, tenant=pid("agg2"), by="agg2")
    assert await planted.refusal(command) == ("unknown_relation", "/relation")


async def test_f19_membership_of_a_group_is_versioned_without_gaps(planted: Any) -> None:
    await planted.send(planted.register("gold", "group", "acme"))

    def member(party: str, member: bool, by: str = "acme") -> Any:
        return planted.command(
            asked.SetGroupMember, group=pid("gold"), party=pid(party), member=member, by=by
        )

    told = await planted.send(
        member("ann", True), member("sam", True), member("ann", True), member("ann", False)
    )
    assert all(isinstance(event, GroupMembershipChanged) for event in told)
    assert [(event.member, event.version) for event in told] == [
        (True, 1),
        (True, 2),
        (True, 1),
        (False, 3),
    ]
    assert await planted.refusal(member("zed", True, "operator")) == ("other_tenant", "/party")
    assert await planted.refusal(member("gold", True)) == ("kind_not_allowed", "/party")
    assert await planted.refusal(member("ann", True, "beta")) == ("not_your_subtree", "/group")
    wrong = planted.command(asked.SetGroupMember, group=pid("ann"), party=pid("sam"), member=True)
    assert await planted.refusal(wrong) == ("kind_not_allowed", "/group")


def named(planted: Any, by: str, external_id: str) -> Any:
    """The party says how it calls Sam."""
    return planted.command(
        asked.SetExternalId,
        by=by,
        party_id=pid("sam"),
        known_to=pid(by),
        external_id=external_id,
    )


async def test_f32_one_fact_names_a_customer_for_the_crm_of_company_and_of_partner(
    planted: Any,
) -> None:
    await planted.send(named(planted, "acme", "crm-4711"))
    (fact,) = await planted.send(named(planted, "shop", "003XX"))
    assert isinstance(fact, ExternalIdsChanged)
    assert (fact.party_id, fact.tenant) == (pid("sam"), pid("agg"))
    names = {each.known_to: each.external_id for each in fact.external_ids}
    assert names == {pid("acme"): "crm-4711", pid("shop"): "003XX"}
    (again,) = await planted.send(named(planted, "acme", "crm-4712"))
    names = {each.known_to: each.external_id for each in again.external_ids}
    assert names == {pid("acme"): "crm-4712", pid("shop"): "003XX"}, "an id is replaced, not added"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"by": "shop", "known_to": "shop", "of": "ann"}, ("not_your_subtree", "/party_id")),
        ({"by": "shop", "known_to": "acme"}, ("not_your_subtree", "/known_to")),
        ({"by": "acme", "known_to": "acme", "of": "ann"}, ("external_id_taken", "/external_id")),
        ({"by": "acme", "known_to": "nobody"}, ("unknown_party", "/known_to")),
    ],
)
async def test_f32_a_name_that_is_taken_or_not_ones_own_to_give_is_refused(
    planted: Any, change: dict[str, str], expected: tuple[str, str]
) -> None:
    await planted.send(named(planted, "acme", "crm-4711"))
    command = planted.command(
        asked.SetExternalId,
        by=change["by"],
        party_id=pid(change.get("of", "sam")),
        known_to=pid(change["known_to"]),
        external_id="crm-4711",
    )
    assert await planted.refusal(command) == expected


async def test_f32_the_name_of_a_merged_payee_goes_over_to_the_one_it_became(planted: Any) -> None:
    def call(name: str, external_id: str) -> Any:
        return planted.command(
            asked.SetExternalId,
            by="acme",
            party_id=pid(name),
            known_to=pid("acme"),
            external_id=external_id,
        )

    merge = {
        "approval_id": derived_id("appr", "test", "m"),
        "kept": pid("ann"),
        "merged": pid("sam"),
    }
    decision = {"approval_id": derived_id("appr", "test", "m"), "approve": True, "by": "agg"}
    await planted.send(
        *(planted.register(name, parent="acme") for name in ("cat", "dan")),
        call("ann", "crm-1"),
        call("sam", "crm-2"),
        named(planted, "shop", "003XX"),
        planted.command(asked.MergeParties, **merge),
        planted.command(asked.DecideApproval, **decision),
    )
    assert await planted.refusal(call("cat", "crm-2")) == ("external_id_taken", "/external_id")
    (fact,) = await planted.send(call("ann", "crm-2"))
    names = {each.known_to: each.external_id for each in fact.external_ids}
    assert (fact.party_id, names) == (pid("ann"), {pid("acme"): "crm-2", pid("shop"): "003XX"})
    # Both are free again, and in one batch.
    third, other, again = await planted.send(
        call("sam", "crm-3"), call("cat", "crm-2"), call("dan", "crm-1")
    )
    assert {each.external_id for each in third.external_ids} == {"crm-3", "003XX"}
    assert {each.external_id for each in (*other.external_ids, *again.external_ids)} == {
        "crm-1",
        "crm-2",
    }
