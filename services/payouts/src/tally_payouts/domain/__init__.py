"""The rules of payouts: pure, without I/O, clock or ids."""
