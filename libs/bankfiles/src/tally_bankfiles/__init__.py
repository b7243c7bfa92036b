"""Bank file codecs: bytes in, typed frozen records out, no I/O; see the README."""

from tally_bankfiles.banking_days import add_banking_days, is_banking_day

__all__ = ["add_banking_days", "is_banking_day"]
