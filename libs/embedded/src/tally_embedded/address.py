"""Where the two servers are, and who provides them."""

import os
from dataclasses import dataclass
from enum import StrEnum

from tally_embedded.errors import StackConfigurationError


class Origin(StrEnum):
    """Who provides the servers."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"
    CONTAINERS = "containers"


@dataclass(frozen=True)
class StackAddress:
    """How to reach the stack; a server that was not asked for has an empty address.

    postgres_dsn logs in as superuser to the database `tallystick`; kafka is host:port.
    """

    postgres_dsn: str
    kafka: str
    origin: str


def chosen_origin(*, postgres: bool, kafka: bool) -> Origin:
    """Read TALLY_POSTGRES_DSN, TALLY_KAFKA and TALLY_STACK.

    Raises:
        StackConfigurationError: only one address is given, or TALLY_STACK is not known.
    """
    wanted = {"TALLY_POSTGRES_DSN": postgres, "TALLY_KAFKA": kafka}
    needed = [name for name, asked in wanted.items() if asked]
    given = [name for name in needed if os.environ.get(name)]
    if given and given == needed:
        return Origin.EXTERNAL
    if given:
        missing = next(name for name in needed if name not in given)
        raise StackConfigurationError(
            f"{given[0]} is set and {missing} is not: set both to use servers of your own, or "
            "neither to have both started."
        )
    choice = os.environ.get("TALLY_STACK") or Origin.EMBEDDED
    if choice not in {Origin.EMBEDDED, Origin.CONTAINERS}:
        raise StackConfigurationError(
            f"TALLY_STACK is {choice!r}; expected embedded or containers (or leave it unset)."
        )
    return Origin(choice)
