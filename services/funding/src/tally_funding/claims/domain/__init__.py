"""What becomes of money for unknown payees: pure decisions over exact amounts."""
