"""The directory's decisions by themselves: a tree stays a tree, and nobody reaches past its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tally_directory.domain import access, bonds, tree, wallets
from tally_directory.domain.access import POWERS, Act, Power
from tally_directory.domain.refusal import Refused
from tally_directory.domain.rows import Access, ConnectionState, Kind, PartyState, Role
from tally_directory.domain.tree import Entry
from tally_directory.domain.world import Shelf, World

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
ROOT = "party_root"
NUMBERS = st.integers(min_value=0, max_value=11)


def act(principal: str = access.OPERATOR, actor: str = "key_1", tenant: str = ROOT) -> Act:
    return Act(tenant, actor, principal, NOW)


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.refusal.code == code


def said(decide: Callable[[], object]) -> str | None:
    """The code a decision is refused with, or None if it is taken."""
    try:
        decide()
    except Refused as refusal:
        return refusal.refusal.code
    return None


def entry(name: str, kind: str = "partner", parent: str | None = ROOT) -> Entry:
    return Entry(name, kind, parent, None, None)


def planted() -> World:
    world = World()
    tree.register(world, act(), entry(ROOT, "aggregator", None))
    return world


class TreeMachine(RuleBasedStateMachine):
    """Parties entered and moved at random, beside a plain dictionary of parents that must agree."""

    @initialize()
    def plant(self) -> None:
        self.world = planted()
        self.parents: dict[str, str | None] = {ROOT: None}

    def name(self, number: int) -> str:
        return sorted(self.parents)[number % len(self.parents)]

    def above(self, party: str | None) -> list[str]:
        found: list[str] = []
        while party is not None:
            found.append(party)
            party = self.parents[party]
        return found

    @rule(number=NUMBERS, below=NUMBERS)
    def enter(self, number: int, below: int) -> None:
        name, parent = f"party_{number}", self.name(below)
        if name in self.parents:
            with refused("id_taken"):
                tree.register(self.world, act(), entry(name, parent=parent))
        else:
            tree.register(self.world, act(), entry(name, parent=parent))
            self.parents[name] = parent

    @rule(moving=NUMBERS, below=NUMBERS, by=NUMBERS)
    def move(self, moving: int, below: int, by: int) -> None:
        party, parent, asking = self.name(moving), self.name(below), self.name(by)
        mine = asking in self.above(party) and asking in self.above(parent)
        allowed = mine and party != ROOT and party not in self.above(parent)
        code = said(lambda: tree.move(self.world, act(asking), party, parent))
        assert (code is None) == allowed, code
        if allowed:
            self.parents[party] = parent

    @invariant()
    def paths_are_the_ancestors_and_all_lead_to_the_root(self) -> None:
        for name in self.parents:
            party = self.world.party(name, "/party_id")
            assert list(self.world.path(party)) == self.above(self.parents[name])[::-1]
            assert party.tenant == ROOT

    @invariant()
    def a_party_reaches_itself_and_what_is_below_it_and_nothing_else(self) -> None:
        for asking in self.parents:
            for target in self.parents:
                party = self.world.party(target, "/party_id")
                code = said(partial(access.need_own, self.world, act(asking), party, "/party_id"))
                reaches = asking in self.above(target)
                assert code == (None if reaches else "not_your_subtree")


TestTree = TreeMachine.TestCase


def test_a_party_has_at_most_five_hundred_ancestors() -> None:
    world = planted()
    parent = ROOT
    for number in range(tree.DEPTH_MAX - 1):
        parent = tree.register(world, act(), entry(f"party_{number}", parent=parent)).party_id
    with refused("tree_too_deep"):
        tree.register(world, act(), entry("party_more", parent=parent))


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("parent_kind", list(Kind))
def test_every_kind_hangs_below_exactly_the_kinds_the_table_names(
    kind: Kind, parent_kind: Kind
) -> None:
    world = planted()
    chain = {
        Kind.AGGREGATOR: [],
        Kind.COMPANY: ["company"],
        Kind.PARTNER: ["partner"],
        Kind.PAYEE: ["payee"],
        Kind.GROUP: ["group"],
    }
    parent = ROOT
    for step in chain[parent_kind]:
        parent = tree.register(world, act(), entry("party_parent", step, parent)).party_id
    asked = entry("party_child", kind, parent)
    if parent_kind in tree.PARENTS[kind]:
        assert tree.register(world, act(), asked).kind is kind
    else:
        with refused("parent_not_allowed"):
            tree.register(world, act(), asked)


@given(st.sampled_from(Role), st.sampled_from(Power))
def test_a_persons_powers_are_those_of_its_role_and_a_keys_are_its_scopes(
    role: Role, power: Power
) -> None:
    world = planted()
    tree.register(world, act(), entry("party_a"))
    bonds.assign_role(world, act(), "party_a", "person_1", role)
    party = world.party("party_a", "/party_id")
    access.need_own(world, act("party_a", "key_9"), party, "/party_id", power)
    if power in POWERS[role]:
        access.need_own(world, act("party_a", "person_1"), party, "/party_id", power)
    else:
        with refused("role_too_low"):
            access.need_own(world, act("party_a", "person_1"), party, "/party_id", power)
    with refused("role_too_low"):
        access.need_own(world, act("party_a", "person_2"), party, "/party_id", power)


@given(
    held=st.sampled_from(["pay", "view", "manage"]),
    needed=st.sampled_from(Access),
    state=st.sampled_from(ConnectionState),
)
def test_f18_a_connection_allows_its_level_and_those_below_while_it_is_accepted(
    held: str, needed: Access, state: ConnectionState
) -> None:
    world = planted()
    for name in ("party_a", "party_b"):
        tree.register(world, act(), entry(name))
    bonds.invite(world, act("party_a"), "conn_1", ("party_a", "party_b"), held)
    if state is not ConnectionState.INVITED:
        bonds.accept(world, act("party_b"), "conn_1")
    if state is ConnectionState.REVOKED:
        bonds.revoke(world, act("party_b"), "conn_1")
    target = world.party("party_b", "/party_id")
    levels = {"pay": Access.PAY, "view": Access.VIEW, "manage": Access.MANAGE}
    if state is ConnectionState.ACCEPTED and levels[held] >= needed:
        access.need_access(world, act("party_a"), target, "/party_id", needed)
    else:
        with refused("not_your_subtree"):
            access.need_access(world, act("party_a"), target, "/party_id", needed)
    with refused("not_your_subtree"):
        mirrored = world.party("party_a", "/party_id")
        access.need_access(world, act("party_b"), mirrored, "/party_id", Access.PAY)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20))
def test_f29_whatever_the_order_of_merges_all_ids_lead_to_one_payee_that_stands(
    merges: list[tuple[int, int]],
) -> None:
    world = planted()
    names = [f"party_{number}" for number in range(12)]
    groups = {name: {name} for name in names}
    for name in names:
        tree.register(world, act(), entry(name, "payee"))
    for one, other in merges:
        if names[other] in groups[names[one]]:
            with refused("same_party"):
                tree.check_mergeable(world, names[one], names[other])
            continue
        tree.merge(world, *tree.check_mergeable(world, names[one], names[other]))
        joined = groups[names[one]] | groups[names[other]]
        for name in joined:
            groups[name] = joined
    for name in names:
        stands = {world.party(member, "/party_id").party_id for member in groups[name]}
        assert len(stands) == 1
        assert world.party(name, "/party_id").state is PartyState.REGISTERED
        assert stands <= groups[name]


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_f10_a_virtual_account_passes_the_check_of_iso_11649_and_one_slip_does_not(
    seed: int,
) -> None:
    reference = wallets.creditor_reference(seed)
    assert len(reference) == 25
    assert wallets.is_creditor_reference(reference)
    # A digit for a digit or a letter for a letter: what a person mistypes.
    one, other = ("1", "2") if reference[10].isdigit() else ("A", "B")
    slip = one if reference[10] != one else other
    assert not wallets.is_creditor_reference(reference[:10] + slip + reference[11:])


def test_the_check_digits_are_those_of_a_published_reference() -> None:
    assert wallets.is_creditor_reference("RF18539007547034")
    assert not wallets.is_creditor_reference("RF19539007547034")


def test_a_row_that_did_not_change_is_not_saved() -> None:
    shelf = Shelf({"a": 1, "b": 2})
    shelf.put("a", 1)
    shelf.put("b", 3)
    shelf.put("c", 4)
    assert shelf.changed == {"b": 3, "c": 4}
