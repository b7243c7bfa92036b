"""A payout, and what a decision about it consists of."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from tally_money import Money
from tally_payouts.domain.states import (
    ALLOWED,
    ENDED,
    AttemptState,
    HoldState,
    MustAct,
    PayoutState,
    ReturnStep,
)

_NOT_SLUG = re.compile(r"[^a-z0-9_.-]")
_SLUG_CHARS = 64


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be paid: never changes once the payout exists.

    `account` is the wallet it leaves. `pay_in_id`, `external_id` and `source` are there for money a
    rule pays out at once, absent for a withdrawal; so is `kind`, the kind of value.
    """

    ledger: str
    owner: str
    company: str
    account: str
    amount: Money
    pay_in_id: str | None = None
    external_id: str | None = None
    # Kept since policies came; an order that was made before is the same order.
    source: str | None = field(default=None, compare=False)
    # Kept since pay-ins say theirs; likewise.
    kind: str | None = field(default=None, compare=False)

    @property
    def wallet_key(self) -> tuple[str, str]:
        """Owner and currency: what a payee's method is chosen for."""
        return self.owner, self.amount.currency.code


@dataclass(frozen=True, slots=True)
class Route:
    """The way the money leaves, as chosen when the payout set off; later choices change nothing.

    `settlement_account` is absent where the rail's clearing account takes the captured money. `owner` is
    whose method it is, where the payout's owner was merged into another and the method is that one's.
    """

    method_version: int
    rail: str
    instrument: str
    settlement_account: str | None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a payout stands where it does, and who can move it; both absent when nobody has to.

    `remedy` is told with the state and not kept: what is offered may change by the next day.
    """

    reason_code: str | None = None
    must_act: MustAct | None = None
    remedy: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ExitHold:
    """One reason why a payout is held; `table` and `version` are what decided."""

    source: str
    code: str
    remedy: str
    must_act: MustAct
    table: str | None = None
    version: int | None = None

    @property
    def standing(self) -> Standing:
        """Where the payout stands by this one."""
        return Standing(self.code, self.must_act, self.remedy)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the gates were asked when they last decided about a payout, so that it can be asked anew.

    `level` is None where no table was known, and the party was not looked at.
    """

    at: datetime
    endpoint_class: str
    party_kind: str | None = None
    level: str | None = None
    jurisdictions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end a payout comes to once its hold is released."""

    state: PayoutState
    standing: Standing


@dataclass(frozen=True, slots=True)
class ReturnedMoney:
    """A return the rail reported: applied once, by its reference."""

    reference: str
    step: ReturnStep
    standing: Standing


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout. `sequence` counts its public states from 1.

    `policy_version` is the program's policy in force when it opened; it keeps that one. `holds` are
    all that hold it, while it is held.
    """

    id: str
    order: Order
    hold_id: str
    attempt_id: str
    state: PayoutState
    sequence: int = 1
    standing: Standing = Standing()
    route: Route | None = None
    hold: HoldState = HoldState.NONE
    attempt: AttemptState | None = None
    attempt_sequence: int = 0
    ending: Outcome | None = None
    returned: ReturnedMoney | None = None
    policy_version: int | None = None
    holds: tuple[ExitHold, ...] = ()
    asked: Asked | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Command(StrEnum):
    """What another service is asked to do; the payout it comes with holds the particulars."""

    PLACE_HOLD = "place_hold"
    CAPTURE = "capture"
    RELEASE = "release"
    SUBMIT = "submit"
    CANCEL_ATTEMPT = "cancel_attempt"
    POST_RETURN = "post_return"


@dataclass(frozen=True, slots=True)
class Moved:
    """The payout reached a public state; `payout` is what it was at that moment."""

    payout: Payout
    previous: PayoutState | None


@dataclass(frozen=True, slots=True)
class HoldsChanged:
    """The payout stays held, by others than before; `payout` is what it was at that moment."""

    payout: Payout


@dataclass(frozen=True, slots=True)
class CaseOpened:
    """Something an operator has to look at; `subject` tells two cases of one code apart."""

    code: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReturnSeen:
    """A return was reported for the first time."""

    reference: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """The input changed nothing; `alarm` when that should not happen in good order."""

    code: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """The command holds, though no new state says so."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The command changed nothing; its sender is told so."""

    code: str


Effect = Moved | HoldsChanged | Command | CaseOpened | ReturnSeen | Ignored | Taken | Refused


@dataclass(frozen=True, slots=True)
class Decision:
    """The payout as it is afterwards, and what follows, in order."""

    payout: Payout
    effects: tuple[Effect, ...] = ()


def begun(payout: Payout, *effects: Effect) -> Decision:
    """A payout in its first state."""
    return Decision(payout, (Moved(payout, None), *effects))


def moved(payout: Payout, state: PayoutState, standing: Standing, **changes: Any) -> Decision:
    """The payout in another public state; `changes` are further fields."""
    assert state in ALLOWED[payout.state], f"{payout.id}: {payout.state} is not left for {state}"
    after = replace(payout, state=state, sequence=payout.sequence + 1, standing=standing, **changes)
    return Decision(after, (Moved(after, payout.state),))


def followed_by(decision: Decision, *effects: Effect) -> Decision:
    """The decision with more effects after its own."""
    return Decision(decision.payout, (*decision.effects, *effects))


def ignored(payout: Payout, code: str, *, alarm: bool = False) -> Decision:
    """Nothing changes."""
    return Decision(payout, (Ignored(code, alarm),))


def for_operator(payout: Payout, case: CaseOpened, **changes: Any) -> Decision:
    """A case; a payout that has not ended stands until an operator has acted on it."""
    standing = payout.standing if payout.ended else Standing(case.code, MustAct.OPERATOR)
    return Decision(replace(payout, standing=standing, **changes), (case,))


def reason(code: str | None, otherwise: str) -> str:
    """A provider's code as a reason code: lower case, `R03` -> `r03`; `otherwise` without one."""
    if not code:
        return otherwise
    slug = _NOT_SLUG.sub("_", code.lower())[:_SLUG_CHARS]
    return slug if slug[0].isalpha() else f"code_{slug}"[:_SLUG_CHARS]
