"""What can go wrong here apart from outcomes, which are events.

FundingError
├── RuleInvalid       the rule document cannot be used; every fault with its place
└── RuleReused        a rule's version number is in use with another content
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class FundingError(Exception):
    """Base of this service's errors."""

    code: ClassVar[str] = "funding_error"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One fault of a rule document: where (JSON pointer, RFC 6901), what, and what to do."""

    pointer: str
    code: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.pointer or '(document)'}: {self.code}: {self.remedy}"


class RuleInvalid(FundingError):  # noqa: N818 - named for what it says
    code = "rule_invalid"

    def __init__(self, faults: Sequence[RuleFault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class RuleReused(FundingError):  # noqa: N818 - named for what it says
    code = "rule_reused"

    def __init__(self, label: str) -> None:
        super().__init__(
            f"TALLY_FUNDING_RULE: {label} is in use with another content; "
            "pay-ins keep the version they came under, so give the changed rule a higher version"
        )
