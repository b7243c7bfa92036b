"""What the gateway decides by itself: reach in the tree, pace, fields by persona."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_contracts.operations_history import FactBrought
from tally_contracts.registry import BY_TYPE
from tally_gateway.domain.access import (
    OPERATOR,
    Access,
    Connection,
    Node,
    Thing,
    World,
    reaches,
    reaches_thing,
)
from tally_gateway.domain.concerns import THING_FIELDS, THINGS, concerned, is_refusal
from tally_gateway.domain.outcomes import Refusal, refusal_of, state_of
from tally_gateway.domain.rate import Bucket, Drawn
from tally_gateway.domain.redaction import FIELDS, redacted
from tally_gateway.handlers import FACT_TOPICS, build_router

CONNECTED = (Access.PAY, Access.VIEW, Access.MANAGE)
PERSONAS = ("operator", "aggregator", "company", "partner", "payee")


@st.composite
def forests(draw: st.DrawFn) -> dict[str, Node]:
    """Trees of any shape: each party stands below one made before it, or is a root."""
    nodes: dict[str, Node] = {}
    for number in range(draw(st.integers(1, 12))):
        name = f"p{number}"
        above = draw(st.sampled_from([None, *nodes]))
        line = nodes[above].line if above is not None else ()
        nodes[name] = Node(name, line[0] if line else name, "company", line)
    return nodes


@given(forests(), st.data())
def test_a_party_reaches_itself_and_what_is_below_and_nothing_else(
    nodes: dict[str, Node], data: st.DataObject
) -> None:
    principal = data.draw(st.sampled_from(sorted(nodes)))
    party = data.draw(st.sampled_from(sorted(nodes)))
    below = principal in nodes[party].line
    for access in CONNECTED:
        assert reaches(World(nodes), principal, party, access) is below
    assert reaches(World(nodes), OPERATOR, party, Access.MANAGE)
    assert reaches(World(nodes), principal, party, Access.DEBIT) is (principal == party)
    assert not reaches(World(nodes), OPERATOR, party, Access.DEBIT)


def test_a_wallet_is_debited_by_its_owner_and_by_whom_the_owner_lets_manage() -> None:
    nodes = {"owner": Node("owner", "root", "payee", ("root",)), "root": Node("root", "root", "x")}
    things = {"w": Thing("w", "root", ("owner",))}
    for held in (*CONNECTED, "debit"):
        world = World(nodes, things, [Connection("friend", "owner", held)])
        may = held == Access.MANAGE
        assert reaches_thing(world, "friend", "w", Access.DEBIT) is may
        assert reaches_thing(world, "owner", "w", Access.DEBIT)
        for other in ("root", OPERATOR):
            assert not reaches_thing(world, other, "w", Access.DEBIT)


def test_a_merged_party_is_the_one_it_became_and_reaches_nothing_by_itself() -> None:
    kept, friend = Node("kept", "r", "payee", ("r",)), Node("friend", "r", "payee", ("r",))
    nodes = {"kept": kept, "merged": kept, "friend": friend}
    connections = [Connection("merged", "friend", "manage"), Connection("friend", "kept", "manage")]
    world = World(nodes, {"w": Thing("w", "r", ("merged",))}, connections)
    for access in Access:
        assert reaches_thing(world, "kept", "w", access), access
        assert not reaches_thing(world, "merged", "w", access), access
        assert not reaches(world, "merged", "friend", access), access
        assert reaches_thing(world, "friend", "w", access) is (access is not Access.OWN_WORD)


@pytest.mark.parametrize("held", [*CONNECTED, "unheard_of"])
@pytest.mark.parametrize("needed", CONNECTED)
def test_a_connection_gives_its_access_and_what_comes_before_it(held: str, needed: Access) -> None:
    nodes = {name: Node(name, name, "company") for name in ("a", "b")}
    nodes["below"] = Node("below", "b", "payee", ("b",))
    world = World(nodes, {}, [Connection("a", "b", held)])
    order = [str(access) for access in CONNECTED]
    enough = held in order and order.index(held) >= order.index(needed)
    assert reaches(world, "a", "b", needed) is enough
    assert not reaches(world, "b", "a", needed), "a connection leads one way"
    assert not reaches(world, "a", "below", needed), "what lies below stays closed"


def test_things_that_tell_whose_another_is_are_looked_up_with_those_a_fact_concerns() -> None:
    through = {name for told in THINGS.values() for tells in told for name in tells.through}
    assert through
    assert through <= THING_FIELDS
    assert not [event_type for event_type in THINGS if is_refusal(event_type)]


def test_a_thing_is_reached_by_each_of_its_parties_and_an_unknown_one_by_nobody() -> None:
    nodes = {"a": Node("a", "r", "payee", ("r",)), "b": Node("b", "s", "payee", ("s",))}
    world = World(nodes, {"w": Thing("w", "r", ("a", "gone"))})
    assert reaches_thing(world, "r", "w", Access.MANAGE)
    assert not reaches_thing(world, "s", "w", Access.PAY)
    assert not reaches_thing(world, OPERATOR, "nowhere", Access.PAY)


@given(
    st.integers(1, 600),
    st.lists(
        st.tuples(st.integers(0, 3_000_000), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=100,
    ),
)
def test_no_minute_ever_passes_more_than_twice_the_limit_and_a_full_bucket_is_the_limit(
    per_minute: int, draws: list[tuple[int, int, int]]
) -> None:
    def bucket_after(drawn: Drawn) -> Bucket:
        return Bucket(per_minute, drawn.full_at_us)

    bucket = Bucket(per_minute)
    now, passed = 0, []
    for gap, wanted, unused in draws:
        now += gap
        drawn = bucket.draw(now, wanted)
        assert drawn.requests + drawn.left <= per_minute
        used = max(0, drawn.requests - unused)
        back = bucket_after(drawn).draw(now, 0, drawn.requests - used)
        assert back.left <= drawn.left + drawn.requests - used, "no more comes back than was drawn"
        bucket = bucket_after(back)
        passed += [now] * used
    for start in set(passed):
        assert len([at for at in passed if start <= at < start + 60_000_000]) <= 2 * per_minute


def test_whoever_waits_as_long_as_told_is_let_through() -> None:
    first = Bucket(2).draw(0, 3)
    assert (first.requests, first.left, first.full_at_us) == (2, 0, 60_000_000)
    refused = Bucket(2, first.full_at_us).draw(1, 1)
    assert (refused.requests, refused.next_at_us) == (0, 30_000_000)
    assert Bucket(2, refused.full_at_us).draw(29_999_999, 1).requests == 0
    assert Bucket(2, refused.full_at_us).draw(30_000_000, 1).requests == 1


def test_every_field_of_every_fact_is_shown_to_somebody_on_purpose_or_to_nobody() -> None:
    # What was told elsewhere is in logs as the fact it was.
    types = build_router_types() - {FactBrought.TYPE}
    names = {name for event_type in types for name in BY_TYPE[event_type].model_fields}
    assert names - FIELDS.keys() == set(), "say who sees these, in domain/redaction.py"


def build_router_types() -> set[str]:
    from tally_gateway.bell import Bell

    assert FACT_TOPICS
    return set(build_router(Bell()).event_types)


ALLOCATED: dict[str, Any] = {
    "who": {"actor": "svc:feed", "principal": "co"},
    "where": {"channel": "api"},
    "why": {"program": "p", "event": "e", "reason": "r"},
    "occurred_at": "2026-09-21T08:00:00Z",
    "pay_in_id": "pin_1",
    "journal_id": "jrn_1",
    "source": "cards",
    "external_id": "x-1",
    "company": "co",
    "amount": {"currency": "USD", "amount": "100.00"},
    "rule": "standard:1",
    "allocations": [
        {"account": "acc_1", "owner": "ann", "amount": {"currency": "USD", "amount": "60.00"}},
        {"account": "acc_2", "owner": "bob", "amount": {"currency": "USD", "amount": "40.00"}},
    ],
}


def test_a_payee_sees_its_share_of_a_pay_in_and_neither_the_whole_nor_anothers() -> None:
    seen = redacted("funding.pay_in.allocated.v1", ALLOCATED, "payee", {"ann"}.__contains__)
    assert [line["owner"] for line in seen["allocations"]] == ["ann"]
    assert not {"amount", "external_id", "source", "rule", "who"} & seen.keys()
    assert "40.00" not in str(seen)
    assert "100.00" not in str(seen)
    assert seen["why"] == ALLOCATED["why"]


def test_the_company_whose_money_it_is_sees_the_whole() -> None:
    seen = redacted("funding.pay_in.allocated.v1", ALLOCATED, "company", {"co"}.__contains__)
    assert seen == ALLOCATED


def test_another_company_that_gets_a_share_sees_its_share_alone() -> None:
    seen = redacted("funding.pay_in.allocated.v1", ALLOCATED, "company", {"bob"}.__contains__)
    assert [line["owner"] for line in seen["allocations"]] == ["bob"]
    assert "amount" not in seen


@given(st.sampled_from(PERSONAS), st.booleans())
def test_what_nobody_listed_and_what_is_sealed_is_shown_to_nobody(persona: str, mine: bool) -> None:
    payload = {"brand_new_field": 1, "sealed_code": "a.b", "sealed_message": "c.d"}
    assert redacted("directory.x.y.v1", payload, persona, lambda _: mine) == {}


def test_a_refusal_is_its_senders_business_alone() -> None:
    payload = {"who": {"actor": "k", "principal": "sender"}, "owner": "victim", "party_id": "v"}
    assert is_refusal("directory.command.refused.v1")
    assert list(concerned("directory.command.refused.v1", payload)) == ["sender"]
    assert not is_refusal("directory.party.registered.v1")


@pytest.mark.parametrize(
    ("event_type", "payload", "state"),
    [
        ("payouts.payout.changed.v1", {"state": "approved"}, "succeeded"),
        ("payouts.payout.changed.v1", {"state": "rejected"}, "refused"),
        ("payouts.command.taken.v1", {"state": "rejected"}, "refused"),
        ("payouts.method.chosen.v1", {"state": "awaiting"}, "succeeded"),
        ("payouts.method.chosen.v1", {"state": "refused"}, "refused"),
        ("payouts.method.chosen.v1", {"state": "disabled"}, "refused"),
        # Who rejects a claim or a payment wanted just that.
        ("programs.budget_claim.changed.v1", {"state": "rejected"}, "succeeded"),
        ("programs.payment.changed.v1", {"state": "rejected"}, "succeeded"),
        ("ledger.journal.rejected.v1", {}, "refused"),
    ],
)
def test_a_command_is_refused_when_what_it_asks_for_is_not_to_be(
    event_type: str, payload: dict[str, str], state: str
) -> None:
    assert state_of(event_type, payload) == state


def test_a_refusal_is_told_in_the_facts_own_words_and_a_code_alone_is_explained() -> None:
    told = {"code": "insufficient_funds", "detail": "no money", "field": "/amount", "remedy": "pay"}
    assert refusal_of(told) == Refusal("insufficient_funds", "no money", "/amount", "pay")
    explained = refusal_of({"reason_code": "currency_mismatch"})
    assert (explained.code, explained.field) == ("currency_mismatch", "/amount/currency")
    assert explained.remedy == "ask in the wallet's currency"
    assert refusal_of({"reason_code": "new_code"}).code == "new_code"


def test_f40_the_company_of_a_program_is_told_of_its_policies_and_budgets() -> None:
    published = {"tenant": "party_root", "program_id": "prog_1", "version": 2}
    assert list(concerned("programs.policy.published.v1", published)) == ["prog_1"]


def test_f28_the_root_of_the_tree_is_told_of_money_whose_owner_nobody_knows() -> None:
    alarm = {"owner": "event:race-7", "tenant": "party_root", "code": "claim_used"}
    assert set(concerned("funding.claim.alarm_raised.v1", alarm)) == {"event:race-7", "party_root"}
    assert set(concerned("funding.pay_in.pending.v1", alarm)) == {"event:race-7"}
