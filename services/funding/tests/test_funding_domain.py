"""The decisions alone: the state machine, and money announced again."""

import pytest

from tally_funding.domain import (
    ALLOWED,
    NEXT,
    Content,
    PayInState,
    Repeat,
    Settled,
    Standing,
    after,
    decide_repeat,
    decide_settlement,
)
from tally_money import Money, currency


@pytest.mark.parametrize("state", list(PayInState))
@pytest.mark.parametrize("posted", [True, False])
@pytest.mark.parametrize("journal_id", ["jrn_asked", "jrn_other"])
def test_an_answer_moves_only_the_pay_in_that_waits_for_it(
    state: PayInState, posted: bool, journal_id: str
) -> None:
    settled = decide_settlement(Standing(state, "jrn_asked"), journal_id=journal_id, posted=posted)
    waits = state in {PayInState.ALLOCATING, PayInState.SUSPENDING} and journal_id == "jrn_asked"
    assert (settled is Settled.STALE) == (not waits)
    if settled in NEXT:
        assert after(state, settled) in ALLOWED[state]


def test_f14_no_state_is_a_dead_end_before_the_money_is_in_an_account() -> None:
    ends = {state for state, following in ALLOWED.items() if not following}
    assert ends == {PayInState.ALLOCATED}
    assert set(ALLOWED) == set(PayInState)


@pytest.mark.parametrize(
    ("known", "again", "repeat"),
    [
        (("a", 1, False), ("a", 1, False), Repeat.SAME),
        (("a", 1, False), ("b", 1, False), Repeat.CONFLICT),
        (("a", 1, False), ("b", 1, True), Repeat.SAME),
        (("a", 1, True), ("b", 1, False), Repeat.SAME),
        (("a", 1, False), ("b", 2, True), Repeat.CONFLICT),
        (("a", 1, True), ("b", 1, True), Repeat.CONFLICT),
    ],
)
def test_a_repeat_is_the_same_content_or_a_conflict(
    known: tuple[str, int, bool], again: tuple[str, int, bool], repeat: Repeat
) -> None:
    def content(digest: str, minor: int, by_statement: bool) -> Content:
        return Content(digest.encode(), Money(minor, currency("USD")), by_statement)

    assert decide_repeat(content(*known), content(*again)) is repeat
