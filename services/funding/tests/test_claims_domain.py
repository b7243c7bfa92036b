"""X3, F28, F31: money for an unknown payee is claimed once, by the right person, or goes where it was said."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.answers.refusal import Refusal
from tally_funding.claims.domain.dormancy import PERIODS, Property, period_of, runs_out
from tally_funding.claims.domain.estate import (
    ALLOWED,
    OPEN,
    Asked,
    Change,
    Claim,
    ClaimMoved,
    ClaimState,
    Estate,
    Moved,
    Movement,
    Reason,
    Refused,
    decide_answer,
    decide_follow,
    decide_retry,
)
from tally_funding.claims.domain.orders import (
    Claimant,
    Issue,
    Redesignation,
    decide_expiry,
    decide_issue,
    decide_redeem,
    decide_redesignation,
)
from tally_funding.retrying import SPREAD, TRY_AGAIN_AFTER
from tally_money import Money

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
OWNER = "event:expo"
ANNA = Claimant("anna", registered=True, contacts=frozenset({"ct_anna"}))
BEN = Claimant("ben", registered=True, contacts=frozenset({"ct_ben"}))


def usd(minor: int) -> Money:
    return Money(minor, Money.parse("0.00", "USD").currency)


def estate(minor: int = 85_00, **changes: Any) -> Estate:
    fields: dict[str, Any] = {
        "owner": OWNER,
        "balances": {"USD": usd(minor)},
        "companies": {"co": frozenset({"co", "root"})},
        "programs": frozenset({"trade"}),
        **changes,
    }
    return Estate(**fields)


def issue(**changes: Any) -> Issue:
    fields: dict[str, Any] = {
        "by": "co",
        "program": "trade",
        "claim_id": "clm_1",
        "contact": None,
        "expires_at": LATER,
        "expires_to": None,
        "expires_to_known": False,
        **changes,
    }
    return Issue(**fields)


def done(outcome: Change | Refusal | None) -> Change:
    assert isinstance(outcome, Change), outcome
    return outcome


def code(outcome: Change | Refusal | None) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def issued(at: Estate | None = None, **changes: Any) -> Estate:
    return done(decide_issue(at or estate(), issue(**changes), NOW)).estate


def redeem(
    at: Estate, who: Claimant = ANNA, *, right: bool = True, now: datetime = NOW, move: str = "m1"
) -> Change | Refusal:
    assert at.claim is not None
    return decide_redeem(at, at.claim, who, code_right=right, movement_id=move, now=now)


def answer(at: Estate, refused: str | None = None) -> Change:
    assert at.movement is not None
    gone: dict[str, Money] = {} if refused is None else dict(at.balances)
    moved = replace(at, balances=gone)
    movement_id = at.movement.movement_id
    return done(
        decide_answer(moved, movement_id=movement_id, refused=refused, follow_id="f1", now=NOW)
    )


def test_claim_moves_all_there_is_to_the_claimant_once() -> None:
    asked = done(redeem(issued()))
    assert [type(effect) for effect in asked.effects] == [ClaimMoved, Asked]
    assert asked.estate.movement == Movement("m1", "anna", Reason.CLAIMED, (usd(85_00),), "clm_1")
    assert code(redeem(asked.estate, BEN)) == "claim_used"
    settled = answer(asked.estate)
    assert settled.estate.to_owner == "anna"
    assert [type(effect) for effect in settled.effects] == [ClaimMoved, Moved]
    assert code(decide_issue(settled.estate, issue(claim_id="clm_2"), NOW)) == "owner_claimed"


def test_claim_of_an_empty_wallet_binds_what_comes_later() -> None:
    claimed = done(redeem(issued(estate(0)))).estate
    assert (claimed.to_owner, claimed.movement, claimed.claim) == ("anna", None, None)
    later = replace(claimed, balances={"USD": usd(5_00)})
    followed = done(decide_follow(later, "m2", NOW)).estate
    assert followed.movement == Movement("m2", "anna", Reason.FOLLOWED, (usd(5_00),))


def test_money_that_came_while_the_ledger_was_asked_follows_at_once() -> None:
    asked = done(redeem(issued())).estate
    left = replace(asked, balances={"USD": usd(7_00)})
    settled = done(decide_answer(left, movement_id="m1", refused=None, follow_id="f1", now=NOW))
    assert settled.estate.movement == Movement("f1", "anna", Reason.FOLLOWED, (usd(7_00),))


def test_refusal_of_the_ledger_leaves_the_claim_to_be_redeemed_again() -> None:
    back = answer(done(redeem(issued())).estate, refused="account_frozen")
    assert back.estate.claim is not None
    assert back.estate.claim.state is ClaimState.ISSUED
    assert isinstance(back.effects[-1], Refused)
    assert done(redeem(back.estate, move="m2")).estate.movement is not None


def test_what_the_ledger_refused_to_let_follow_waits_for_its_time() -> None:
    settled = answer(done(redeem(issued())).estate).estate
    late = replace(settled, balances={"USD": usd(5_00)})
    waits = answer(done(decide_follow(late, "m2", NOW)).estate, refused="account_frozen").estate
    due = waits.not_before
    assert due is not None
    assert NOW + TRY_AGAIN_AFTER <= due < NOW + TRY_AGAIN_AFTER + SPREAD
    more = replace(waits, balances={"USD": usd(9_00)})
    just_before = due - timedelta(microseconds=1)
    assert decide_follow(more, "m3", just_before) is None
    assert decide_retry(more, "m3", just_before) is None
    tried = done(decide_retry(more, "m3", due)).estate
    assert tried.movement == Movement("m3", "anna", Reason.FOLLOWED, (usd(9_00),))
    assert tried.not_before is None


def test_money_that_went_another_way_is_not_waited_for_any_longer() -> None:
    gone = estate(0, to_owner="anna", not_before=NOW)
    assert done(decide_retry(gone, "m1", NOW)) == Change(replace(gone, not_before=None), ())
    assert decide_retry(replace(gone, not_before=None), "m1", NOW) is None


def test_answer_to_another_movement_changes_nothing() -> None:
    asked = done(redeem(issued())).estate
    assert decide_answer(asked, movement_id="m0", refused=None, follow_id="f1", now=NOW) is None
    assert decide_answer(estate(), movement_id="m1", refused=None, follow_id="f1", now=NOW) is None


@pytest.mark.parametrize(
    ("who", "right", "now", "refused"),
    [
        (ANNA, False, NOW, "code_wrong"),
        (ANNA, True, LATER, "claim_expired"),
        (BEN, True, NOW, "wrong_person"),
        (Claimant("new", registered=True, contacts=frozenset()), True, NOW, "wrong_person"),
        (Claimant("new", registered=False, contacts=frozenset()), True, NOW, "party_unknown"),
    ],
)
def test_wrong_redemption_is_refused(
    who: Claimant, right: bool, now: datetime, refused: str
) -> None:
    assert code(redeem(issued(contact="ct_anna"), who, right=right, now=now)) == refused


def test_owner_that_is_a_contact_is_bound_to_it_whatever_is_asked() -> None:
    of_anna = estate(owner="contact:ct_anna")
    assert code(decide_issue(of_anna, issue(contact="ct_ben"), NOW)) == "wrong_person"
    assert code(redeem(issued(of_anna), BEN)) == "wrong_person"
    assert done(redeem(issued(of_anna), ANNA)).estate.movement is not None


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"by": "stranger"}, "owner_unknown"),
        ({"program": "other"}, "why_mismatch"),
        ({"expires_at": NOW}, "expiry_passed"),
        ({"expires_to": "nobody"}, "party_unknown"),
    ],
)
def test_wrong_issue_is_refused(changes: dict[str, Any], refused: str) -> None:
    assert code(decide_issue(estate(), issue(**changes), NOW)) == refused


def test_party_above_the_company_may_issue_and_nobody_may_where_two_companies_paid() -> None:
    assert done(decide_issue(estate(), issue(by="root"), NOW)).estate.claim is not None
    shared = estate(companies={"co": frozenset({"co"}), "other": frozenset({"other"})})
    assert code(decide_issue(shared, issue(), NOW)) == "owner_unknown"
    assert code(decide_issue(estate(companies={}), issue(), NOW)) == "owner_unknown"
    assert code(decide_issue(estate(owner="anna"), issue(), NOW)) == "owner_not_claimable"


def test_new_code_ends_the_one_before() -> None:
    again = done(decide_issue(issued(), issue(claim_id="clm_2"), NOW))
    (ended,) = again.effects
    assert isinstance(ended, ClaimMoved)
    assert ended.claim.state is ClaimState.REPLACED
    assert (
        code(
            decide_redeem(
                again.estate, ended.claim, ANNA, code_right=True, movement_id="m", now=NOW
            )
        )
        == "claim_ended"
    )


def asked_for(to_owner: str, **changes: Any) -> Redesignation:
    fields: dict[str, Any] = {
        "by": "co",
        "program": "trade",
        "to_owner": to_owner,
        "known": to_owner == "anna",
        "movement_id": "m1",
        **changes,
    }
    return Redesignation(**fields)


def test_redesignation_ends_the_claim_and_moves_what_is_held() -> None:
    asked = done(decide_redesignation(issued(), asked_for("event:gala"))).estate
    assert code(redeem(asked)) == "movement_under_way"
    assert decide_expiry(asked, "m2", LATER) is None
    settled = answer(asked)
    assert settled.estate.to_owner == "event:gala"
    ended = settled.effects[0]
    assert isinstance(ended, ClaimMoved)
    assert ended.claim.state is ClaimState.WITHDRAWN


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (asked_for(OWNER), "same_owner"),
        (asked_for("nobody"), "party_unknown"),
        (asked_for("anna", by="stranger"), "owner_unknown"),
        (asked_for("anna", program="other"), "why_mismatch"),
    ],
)
def test_wrong_redesignation_is_refused(asked: Redesignation, refused: str) -> None:
    assert code(decide_redesignation(estate(), asked)) == refused


def test_unclaimed_money_goes_to_the_stated_party_when_its_time_is_over() -> None:
    held = issued(expires_to="co", expires_to_known=True)
    assert decide_expiry(held, "m1", LATER - timedelta(microseconds=1)) is None
    asked = done(decide_expiry(held, "m1", LATER)).estate
    assert asked.movement is not None
    assert (asked.movement.to_owner, asked.movement.reason) == ("co", Reason.EXPIRED)
    assert answer(asked).estate.to_owner == "co"


def test_money_for_a_contact_somebody_has_shown_is_neither_redesignated_nor_reverts() -> None:
    shown = estate(owner="contact:ct_anna", shown=True)
    assert code(decide_redesignation(shown, asked_for("event:gala"))) == "owner_claimed"
    held = issued(shown, expires_to="co", expires_to_known=True)
    ended = done(decide_expiry(held, "m1", LATER)).estate
    assert (ended.claim, ended.movement, ended.to_owner) == (None, None, None)
    assert done(redeem(issued(ended, claim_id="clm_2"))).estate.movement is not None


def test_code_alone_ends_where_no_party_is_stated() -> None:
    ended = done(decide_expiry(issued(), "m1", LATER))
    assert (ended.estate.claim, ended.estate.to_owner, ended.estate.movement) == (None, None, None)
    assert done(decide_issue(ended.estate, issue(claim_id="clm_2"), NOW)).estate.claim is not None


def test_dormancy_runs_by_the_row_in_force_on_the_day() -> None:
    held, turn = Property.PAYMENT, date(2026, 1, 1)
    first = period_of(PERIODS, "US", held, turn)
    rows = (
        replace(first, valid_to=turn),
        replace(first, years=2, valid_from=turn),
        *(row for row in PERIODS if row != first),
    )
    assert period_of(rows, "US", held, date(2025, 12, 31)).years == 3
    assert period_of(rows, "US", held, turn).label == "us:payment:2026-01-01"
    assert period_of(rows, "FR", held, turn) == period_of(rows, None, held, turn)
    assert period_of(rows, "US", Property.WALLET, turn).held is Property.WALLET
    leap = datetime(2028, 2, 29, 9, tzinfo=UTC)
    assert runs_out(rows[0], leap) == datetime(2031, 2, 28, 9, tzinfo=UTC)
    assert runs_out(rows[0], NOW) == NOW.replace(year=2029)


# Random histories against books that hold what the ledger was asked to post.


@dataclass(frozen=True)
class Credit:
    minor: int


@dataclass(frozen=True)
class AskIssue:
    contact: str | None
    expires_to: str | None


@dataclass(frozen=True)
class AskRedeem:
    who: Claimant
    right: bool


@dataclass(frozen=True)
class AskRedesignate:
    to_owner: str


@dataclass(frozen=True)
class Answered:
    refused: str | None


@dataclass(frozen=True)
class Days:
    days: int


HAPPENS = st.one_of(
    st.builds(Credit, st.integers(1, 10_000)),
    st.builds(AskIssue, st.sampled_from([None, "ct_anna"]), st.sampled_from([None, "co"])),
    st.builds(AskRedeem, st.sampled_from([ANNA, BEN]), st.sampled_from([True, True, False])),
    st.builds(AskRedesignate, st.sampled_from(["event:gala", "anna"])),
    st.builds(Answered, st.sampled_from([None, None, "account_frozen"])),
    st.builds(Days, st.integers(0, 20)),
)


def _apply(at: Estate, happens: Any, name: str, now: datetime, claims: dict[str, Claim]) -> Any:
    match happens:
        case AskIssue(contact, expires_to):
            terms = issue(
                claim_id=name,
                contact=contact,
                expires_at=now + timedelta(days=10),
                expires_to=expires_to,
                expires_to_known=True,
            )
            return decide_issue(at, terms, now)
        case AskRedeem(who, right):
            if not claims:
                return None
            newest = [*claims.values()][-1]
            return decide_redeem(at, newest, who, code_right=right, movement_id=name, now=now)
        case AskRedesignate(to_owner):
            asked = asked_for(to_owner, known=True, movement_id=name)
            return decide_redesignation(at, asked)
        case Days():
            return decide_expiry(at, name, now)
        case _:
            return decide_follow(at, name, now)


@given(history=st.lists(HAPPENS, max_size=40))
def test_any_history_gives_the_money_to_one_owner_and_loses_none(history: list[Any]) -> None:
    at, now, paid_in = estate(0), NOW, 0
    books: Counter[str] = Counter()
    claims: dict[str, Claim] = {}
    redeemed: list[str] = []
    for position, happens in enumerate(history):
        name = f"x{position}"
        if isinstance(happens, Credit):
            paid_in += happens.minor
            books[OWNER] += happens.minor
            at = replace(at, balances={"USD": usd(books[OWNER])})
        if isinstance(happens, Days):
            now += timedelta(days=happens.days)
        if isinstance(happens, Answered):
            movement = at.movement
            if movement is None:
                continue
            if happens.refused is None:
                moved = sum(amount.minor for amount in movement.amounts)
                books.update({OWNER: -moved, movement.to_owner: moved})
                at = replace(at, balances={"USD": usd(books[OWNER])})
            outcome: Any = decide_answer(
                at,
                movement_id=movement.movement_id,
                refused=happens.refused,
                follow_id=name,
                now=now,
            )
            assert isinstance(outcome, Change)
        else:
            outcome = _apply(at, happens, name, now, claims)
        if isinstance(outcome, Change):
            for effect in outcome.effects:
                if isinstance(effect, ClaimMoved):
                    assert effect.claim.state in ALLOWED[effect.previous]
                    claims[effect.claim.claim_id] = effect.claim
                    if effect.claim.state is ClaimState.REDEEMED:
                        redeemed.append(effect.claim.claimant or "")
            assert at.to_owner is None or outcome.estate.to_owner == at.to_owner
            at = outcome.estate
            if at.claim is not None:
                claims[at.claim.claim_id] = at.claim
        assert sum(books.values()) == paid_in
        assert min(books.values(), default=0) >= 0
        assert len(redeemed) <= 1
        assert [c for c in claims.values() if c.state in OPEN] == (
            [] if at.claim is None else [at.claim]
        )
        if at.movement is None and at.to_owner is not None and isinstance(happens, Credit | Days):
            due = at.not_before or now
            assert not at.amounts or decide_follow(at, "later", due) is not None
    if at.to_owner is not None:
        assert {owner for owner in books if books[owner] and owner != OWNER} <= {at.to_owner}
