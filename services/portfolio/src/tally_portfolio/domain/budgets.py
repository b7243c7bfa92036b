"""Budgets down the tiers: what each has, and what that adds to the sums above it."""

from typing import NamedTuple


class Budget(NamedTuple):
    """A budget as its change of this `sequence` left it, in minor units.

    `budgeted` is what its holder has and did not give on to children: of all budgets of a sub-tree
    it adds up to what the sub-tree has. `path`: the budgets above it.
    """

    budget_id: str
    sequence: int
    holder: str
    currency: str
    path: tuple[str, ...]
    budgeted: int
    reserved: int
    used: int


class BudgetStep(NamedTuple):
    """What a change of a budget adds to its holder's sums, in minor units."""

    owner: str
    currency: str
    budgeted: int
    reserved: int
    used: int
