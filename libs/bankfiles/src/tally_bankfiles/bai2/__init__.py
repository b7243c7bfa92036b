"""Cash management balance reports in BAI2 (ASC X9.121, version 2); see the README."""

from tally_bankfiles.bai2.reader import MAX_BYTES, read_statements

__all__ = ["MAX_BYTES", "read_statements"]
