"""The oracle's own idea of what may follow what; written down apart from the services on purpose."""

from collections.abc import Mapping

ENDED = frozenset({"paid", "returned", "failed", "rejected", "cancelled"})
"""Nobody has to act any more; `paid` alone may still become `returned`."""

_SENT = frozenset({"paid", "failed", "cancelled"})

FOLLOWS: Mapping[str | None, frozenset[str]] = {
    None: frozenset({"claimable", "approved", "rejected"}),
    "claimable": frozenset({"approved", "cancelled"}),
    "approved": frozenset({"held", "submitting", "failed", "cancelled"}),
    "held": frozenset({"submitting", "failed", "cancelled"}),
    "submitting": _SENT | {"unknown", "submitted", "in_transit"},
    "unknown": _SENT | {"submitted", "in_transit"},
    "submitted": _SENT | {"in_transit"},
    "in_transit": _SENT,
    "paid": frozenset({"returned"}),
    "returned": frozenset(),
    "failed": frozenset(),
    "rejected": frozenset(),
    "cancelled": frozenset(),
}
"""States of a payout and their successors; None stands before the first."""

PLATFORM = "platform"
"""Who must act where nobody outside is waited for: such a payout cannot stand still."""

LEFT = frozenset({"paid", "returned"})
"""States of an attempt that the money has left in."""

_UNSENT_ENDS = frozenset({"paid", "failed"})

ATTEMPT_FOLLOWS: Mapping[str | None, frozenset[str]] = {
    None: frozenset({"scheduled", "submitting", "submitted", "in_transit", "paid", "failed"}),
    "scheduled": frozenset({"submitting", "cancelled", "failed"}),
    "submitting": _UNSENT_ENDS | {"unknown", "submitted", "in_transit"},
    "unknown": _UNSENT_ENDS | {"submitted", "in_transit"},
    "submitted": _UNSENT_ENDS | {"in_transit"},
    "in_transit": _UNSENT_ENDS,
    "paid": frozenset({"returned"}),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "returned": frozenset(),
}
"""States of an attempt and their successors; None stands before the first."""
