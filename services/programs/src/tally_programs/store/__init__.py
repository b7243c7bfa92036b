"""SQL of the programs service: set-based, one statement per question."""
