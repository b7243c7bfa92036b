"""What an attempt can be, and what a provider's word about it means."""

from dataclasses import dataclass
from enum import StrEnum


class AttemptState(StrEnum):
    """The states of one attempt on one rail.

    `SUBMITTING`: on its way out, the provider may or may not have it. `UNKNOWN`: the same for too
    long; it is asked about and never sent under another key. `PAID` is soft while the rail's return
    window is open.
    """

    SCHEDULED = "scheduled"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    SUBMITTED = "submitted"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Action(StrEnum):
    """What follows from a refusal or a return, and so who has to act."""

    NONE = "none"
    RETRY_LATER = "retry_later"
    FIX_DETAILS = "fix_details"
    DISABLE_METHOD = "disable_method"
    FREEZE_PARTY = "freeze_party"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a provider's code means: the state it reports and what follows.

    `RETURNED` is a return whenever it comes: one that comes before `paid` makes the attempt failed.
    """

    state: AttemptState
    action: Action = Action.NONE
