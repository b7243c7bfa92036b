"""What becomes of escrow agreements: pure decisions over exact amounts."""
