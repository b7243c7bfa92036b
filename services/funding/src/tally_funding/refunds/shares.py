"""What each owner bears of a return, as facts show it."""

from tally_contracts.base import Amount
from tally_contracts.funding_sources import ReturnedShare
from tally_funding.refunds.store import Return


def shares_of(found: Return) -> tuple[ReturnedShare, ...]:
    """Every share, by allocation."""
    return tuple(
        ReturnedShare(
            owner=leg.portion.owner,
            account=leg.portion.account,
            amount=Amount.of(leg.portion.amount),
            receivable_id=leg.receivable_id,
        )
        for leg in found.legs
    )
