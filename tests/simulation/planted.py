"""Bugs to plant, one at a time: a simulation that cannot fail proves nothing."""

from enum import StrEnum


class Bug(StrEnum):
    """What is done wrong, and where."""

    OFFSETS_FIRST = "offsets_first"
    """Offsets are committed before the transaction."""
    NO_INBOX = "no_inbox"
    """Every record counts as new."""
    POSITION_FIRST = "position_first"
    """The relay moves its position before it sends."""
    OUTBOX_APART = "outbox_apart"
    """The outbox is written in a transaction of its own, after the commit of the change."""
    NO_COMPARE_AND_SET = "no_compare_and_set"
    """A writer with stale books overwrites newer ones."""
    NEW_ID_AFTER_UNKNOWN = "new_id_after_unknown"
    """A payment of unknown outcome is sent again under a new key."""
