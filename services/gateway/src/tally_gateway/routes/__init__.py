"""Every command route of the API."""

from typing import Final

from tally_gateway.routes import agreements, directory, funding, identity, payouts, programs
from tally_gateway.routes.model import CommandRoute

ROUTES: Final[tuple[CommandRoute, ...]] = (
    *directory.ROUTES,
    *programs.ROUTES,
    *identity.ROUTES,
    *funding.ROUTES,
    *agreements.ROUTES,
    *payouts.ROUTES,
)

COMMAND_TOPICS: Final = (
    "directory.commands.v1",
    "programs.commands.v1",
    "kyc.commands.v1",
    "funding.commands.v1",
    "funding.rules.commands.v1",
    "funding.sources.commands.v1",
    "funding.agreements.commands.v1",
    "funding.unclaimed.commands.v1",
    "payouts.commands.v1",
    "rails.commands.v1",
    "ledger.commands.v1",
)
"""Where commands go."""

CONTACTS_READ: Final = "contacts:read"

READ_SCOPES: Final = frozenset(
    {
        "commands:read",
        CONTACTS_READ,
        "events:read",
        identity.READ,
        "parties:read",
        "payments:read",
        "programs:read",
        "wallets:read",
        "keys:read",
        "imports:read",
    }
)

_COMMAND_SCOPES: Final = frozenset({route.scope for route in ROUTES})

WRITE_SCOPES: Final = _COMMAND_SCOPES | {"keys:write", "imports:write"}

SCOPES: Final = READ_SCOPES | WRITE_SCOPES
"""All there are."""

MANDATE_SCOPES: Final = _COMMAND_SCOPES | {CONTACTS_READ}
"""What is a party's own word: every command, since consents, grants and connections let others spend its
money (F7) and read its contacts (F26), and those contacts in clear."""
