"""SWIFT MT940 customer statements; see the README."""

from tally_bankfiles.mt940.reader import MAX_BYTES, read_statements

__all__ = ["MAX_BYTES", "read_statements"]
