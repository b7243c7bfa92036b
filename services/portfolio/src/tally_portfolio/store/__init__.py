"""The read models at rest: one module for each kind of question."""

from tally_portfolio.store import budgets, events, lists, records, views
from tally_portfolio.store.looking import ALL_TENANTS, begin_reading, see
from tally_portfolio.store.payments import (
    accounts,
    has_hops,
    history,
    hop_of_event,
    hops,
    own_subjects,
    pay_ins,
    pay_ins_of,
    payouts,
    payouts_by_id,
    set_aside_since,
    shared_subjects,
    slowest,
)
from tally_portfolio.store.saving import save

__all__ = [
    "ALL_TENANTS",
    "accounts",
    "begin_reading",
    "budgets",
    "events",
    "has_hops",
    "history",
    "hop_of_event",
    "hops",
    "lists",
    "own_subjects",
    "pay_ins",
    "pay_ins_of",
    "payouts",
    "payouts_by_id",
    "records",
    "save",
    "see",
    "set_aside_since",
    "shared_subjects",
    "slowest",
    "views",
]
