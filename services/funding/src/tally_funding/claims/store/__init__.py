"""Money for unknown payees at rest."""
