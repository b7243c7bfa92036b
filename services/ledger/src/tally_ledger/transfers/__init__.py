"""Money from one ledger to another, wherever their books are: hold, credit, capture. See README.md."""
