"""Published policies: from the fact, and from the row that keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_contracts.programs import Endpoint, PolicyDocument, ProgramPolicyPublished
from tally_money import Money
from tally_payouts.domain.policy import Policy, Restriction


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy version as it is kept; `document` is what the fact said."""

    program: str
    version: int
    begins: datetime
    ends: datetime | None
    document: Mapping[str, Any]

    @classmethod
    def of(cls, event: ProgramPolicyPublished) -> "StoredPolicy":
        """The row for a published policy."""
        document = event.model_dump(mode="json", include={"policy", "endpoints"})
        return cls(
            event.program, event.version, event.effective_from, event.effective_until, document
        )

    def policy(self) -> Policy:
        """The policy as it decides."""
        document = PolicyDocument.model_validate(self.document["policy"])
        endpoints = [Endpoint.model_validate(row) for row in self.document["endpoints"]]
        return Policy(
            program=self.program,
            version=self.version,
            begins=self.begins,
            ends=self.ends,
            rails=frozenset(document.rails),
            classes=frozenset(document.classes),
            countries=frozenset(document.countries),
            currencies=frozenset(document.currencies),
            limits=tuple(
                (
                    Money.parse(limit.minimum, limit.currency),
                    None if limit.maximum is None else Money.parse(limit.maximum, limit.currency),
                )
                for limit in document.limits
            ),
            restrictions=tuple(
                Restriction(
                    frozenset(restriction.forbids),
                    frozenset(restriction.countries),
                    frozenset(restriction.sources),
                    frozenset(restriction.kinds),
                )
                for restriction in document.restrictions
            ),
            endpoints={endpoint.rail: endpoint.endpoint_class for endpoint in endpoints},
        )
