"""What the bank's words mean: return codes, refusal reasons, and the steps of a file."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tally_bankfiles.nacha import RETURN_REASONS, ReasonAction
from tally_railkit import Action, AttemptState, Meaning

INSTRUMENT_REFUSED: Final = "instrument_refused"
STORED: Final = "stored"
UPLOADED: Final = "uploaded"
IN_DOUBT: Final = "in_doubt"
ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
DETAILS_REJECTED: Final = "details_rejected"
SETTLED: Final = "settled"
UNKNOWN_RETURN: Final = "return"

_ACTIONS: Final[Mapping[ReasonAction, Action]] = MappingProxyType(
    {
        ReasonAction.FIX_DETAILS: Action.FIX_DETAILS,
        ReasonAction.DISABLE_METHOD: Action.DISABLE_METHOD,
        ReasonAction.FREEZE_PARTY: Action.FREEZE_PARTY,
        ReasonAction.RETRY_LATER: Action.RETRY_LATER,
        ReasonAction.OPERATOR: Action.OPERATOR,
        # A mandate is a debit's: a credit that comes back with such a code is for a person.
        ReasonAction.MANDATE_REVOKED: Action.OPERATOR,
    }
)

ABOUT_RETURNS: Final = frozenset(
    {"R61", "R62", "R67", "R68", "R69", "R70", "R71", "R72", "R73", "R74", "R75", "R76", "R77"}
)
"""Dishonoured and contested returns: about a return, not about the payment. For a person."""

BAD_DETAILS: Final = frozenset({"account_missing", "bad_routing", "bad_transaction_code"})
"""Refusal reasons of an entry that only other details cure."""

MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        INSTRUMENT_REFUSED: Meaning(AttemptState.FAILED, Action.FIX_DETAILS),
        STORED: Meaning(AttemptState.SUBMITTING),
        UPLOADED: Meaning(AttemptState.SUBMITTED),
        IN_DOUBT: Meaning(AttemptState.UNKNOWN),
        ACCEPTED: Meaning(AttemptState.IN_TRANSIT),
        REJECTED: Meaning(AttemptState.FAILED, Action.OPERATOR),
        DETAILS_REJECTED: Meaning(AttemptState.FAILED, Action.FIX_DETAILS),
        SETTLED: Meaning(AttemptState.PAID),
        # That it came back is told by the kind of record; a new code only leaves open what next.
        UNKNOWN_RETURN: Meaning(AttemptState.RETURNED, Action.OPERATOR),
        **{
            code: Meaning(AttemptState.RETURNED, _ACTIONS[reason.action])
            for code, reason in RETURN_REASONS.items()
            if code not in ABOUT_RETURNS
        },
    }
)


def refusal_code(reason: str) -> str:
    """The table's code for an entry that the bank's acknowledgement refuses."""
    return DETAILS_REJECTED if reason in BAD_DETAILS else REJECTED


def return_code(code: str) -> str:
    """The table's code for a return with this reason code."""
    return code if code in MEANINGS else UNKNOWN_RETURN
