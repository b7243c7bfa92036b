"""The states of a payout, of its hold and of its attempt, and which may follow which."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class PayoutState(StrEnum):
    """What the public sees of a payout."""

    CLAIMABLE = "claimable"
    APPROVED = "approved"
    HELD = "held"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    SUBMITTED = "submitted"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    RETURNED = "returned"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


_S = PayoutState
_SENT_ENDS = frozenset({_S.PAID, _S.FAILED, _S.CANCELLED})

FIRST: frozenset[PayoutState] = frozenset({_S.CLAIMABLE, _S.APPROVED, _S.REJECTED})
"""States a payout may begin in."""

ALLOWED: Mapping[PayoutState, frozenset[PayoutState]] = MappingProxyType(
    {
        _S.CLAIMABLE: frozenset({_S.APPROVED, _S.CANCELLED}),
        _S.APPROVED: frozenset({_S.HELD, _S.SUBMITTING, _S.FAILED, _S.CANCELLED}),
        _S.HELD: frozenset({_S.SUBMITTING, _S.FAILED, _S.CANCELLED}),
        _S.SUBMITTING: _SENT_ENDS | {_S.UNKNOWN, _S.SUBMITTED, _S.IN_TRANSIT},
        _S.UNKNOWN: _SENT_ENDS | {_S.SUBMITTED, _S.IN_TRANSIT},
        _S.SUBMITTED: _SENT_ENDS | {_S.IN_TRANSIT},
        _S.IN_TRANSIT: _SENT_ENDS,
        _S.PAID: frozenset({_S.RETURNED}),
        _S.RETURNED: frozenset(),
        _S.FAILED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.CANCELLED: frozenset(),
    }
)

RANK: Mapping[PayoutState, int] = MappingProxyType(
    {
        _S.CLAIMABLE: 10,
        _S.APPROVED: 20,
        _S.HELD: 30,
        _S.SUBMITTING: 40,
        _S.UNKNOWN: 50,
        _S.SUBMITTED: 60,
        _S.IN_TRANSIT: 70,
        _S.PAID: 80,
        _S.FAILED: 80,
        _S.REJECTED: 80,
        _S.CANCELLED: 80,
        _S.RETURNED: 90,
    }
)
"""Strictly greater along every allowed step, so that a reader can drop whatever is not newer."""

ENDED: frozenset[PayoutState] = frozenset(
    {_S.PAID, _S.RETURNED, _S.FAILED, _S.REJECTED, _S.CANCELLED}
)
"""Nobody has to act any more; `paid` alone may still be followed, by `returned`."""

LEAVING: frozenset[PayoutState] = frozenset(
    {_S.SUBMITTING, _S.UNKNOWN, _S.SUBMITTED, _S.IN_TRANSIT, _S.PAID}
)
"""The money has passed the gates and has not come back: it counts against limits."""

FINAL: frozenset[PayoutState] = frozenset(state for state, after in ALLOWED.items() if not after)
"""No state can follow."""


class MustAct(StrEnum):
    """Who can move a payout that stands."""

    PAYEE = "payee"
    PAYER = "payer"
    RAIL = "rail"
    PLATFORM = "platform"
    OPERATOR = "operator"


class HoldState(StrEnum):
    """The payout's reservation in the ledger, as far as its facts have come in.

    STUCK: the ledger refused the capture or the release; an operator has the case.
    """

    NONE = "none"
    PLACING = "placing"
    PLACED = "placed"
    CAPTURING = "capturing"
    CAPTURED = "captured"
    RELEASING = "releasing"
    RELEASED = "released"
    STUCK = "stuck"


class AttemptState(StrEnum):
    """What the rail said last of the attempt; HANDED_OVER until it says anything."""

    HANDED_OVER = "handed_over"
    SCHEDULED = "scheduled"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    SUBMITTED = "submitted"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class ReturnStep(StrEnum):
    """How far money that came back is on its way to the wallet.

    NOT_NEEDED: it came back before the hold was captured, so the release gave it back.
    """

    REMEMBERED = "remembered"
    POSTING = "posting"
    POSTED = "posted"
    REFUSED = "refused"
    NOT_NEEDED = "not_needed"
