"""Money for a payee nobody knows yet: claim, re-designation, expiry and dormancy (X3, F28, F31)."""
