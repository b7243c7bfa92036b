"""SQL of the payouts service: set-based, one statement per question."""
