"""What ACH credits can do; figures of the Nacha rules, to be confirmed with the bank."""

from datetime import timedelta
from types import MappingProxyType
from typing import Final

from tally_money import Money
from tally_railkit import AttemptState, Capabilities, EndpointClass, Limits

NAME: Final = "ach"


def capabilities(not_found_final_after: timedelta) -> Capabilities:
    """The rail's figures; when "not found" proves anything depends on the bank."""
    return Capabilities(
        rail=NAME,
        endpoint_class=EndpointClass.CASH,
        native_key="trace number in a stored file; file identity",
        countries=frozenset({"US"}),
        currencies=frozenset({"USD"}),
        # Ten digits of cents in an entry.
        limits=MappingProxyType(
            {"USD": Limits(Money.parse("0.01", "USD"), Money.parse("99999999.99", "USD"))}
        ),
        cancel_until=AttemptState.SCHEDULED,
        # Two banking days for most returns; some reasons reach back 60 calendar days.
        return_window=timedelta(days=60),
        not_found_final_after=not_found_final_after,
    )
