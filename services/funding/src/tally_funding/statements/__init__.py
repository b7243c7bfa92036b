"""Bank statements: credits become pay-ins, a file is imported whole or not at all."""
