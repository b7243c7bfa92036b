"""SQL of the books."""

from tally_ledger.store.assets import (
    add_asset,
    asset,
    is_open,
    known_registration,
    reject_registration,
    units,
)
from tally_ledger.store.changes import last_change
from tally_ledger.store.loading import DueHold, Head, due_holds, load
from tally_ledger.store.opening import ensure_assets, ensure_shards
from tally_ledger.store.partitions import Rest, ensure_partitions, rest_of
from tally_ledger.store.parts import Part, parts_of
from tally_ledger.store.reading import (
    Line,
    PastBalance,
    Place,
    Statement,
    balance_at,
    statement,
)
from tally_ledger.store.saving import save

__all__ = [
    "DueHold",
    "Head",
    "Line",
    "Part",
    "PastBalance",
    "Place",
    "Rest",
    "Statement",
    "add_asset",
    "asset",
    "balance_at",
    "due_holds",
    "ensure_assets",
    "ensure_partitions",
    "ensure_shards",
    "is_open",
    "known_registration",
    "last_change",
    "load",
    "parts_of",
    "reject_registration",
    "rest_of",
    "save",
    "statement",
    "units",
]
