"""SQL of the books."""

from tally_ledger.store.loading import DueHold, Head, due_holds, load
from tally_ledger.store.opening import ensure_assets, ensure_shards
from tally_ledger.store.saving import save

__all__ = ["DueHold", "Head", "due_holds", "ensure_assets", "ensure_shards", "load", "save"]
