"""What a payout rail is: protocols, results, capabilities, sealing and the conformance suite."""

from tally_railkit.capabilities import Capabilities, CutOff, EndpointClass, Limits
from tally_railkit.protocols import (
    BeneficiaryValidator,
    Cancellable,
    CheckedInstrument,
    InstrumentProblem,
    News,
    PayoutOrder,
    PayoutRail,
    StatementSource,
    WebhookSource,
)
from tally_railkit.results import Accepted, Pending, Rejected, Result, Unknown
from tally_railkit.states import Action, AttemptState, Meaning

__all__ = [
    "Accepted",
    "Action",
    "AttemptState",
    "BeneficiaryValidator",
    "Cancellable",
    "Capabilities",
    "CheckedInstrument",
    "CutOff",
    "EndpointClass",
    "InstrumentProblem",
    "Limits",
    "Meaning",
    "News",
    "PayoutOrder",
    "PayoutRail",
    "Pending",
    "Rejected",
    "Result",
    "StatementSource",
    "Unknown",
    "WebhookSource",
]
