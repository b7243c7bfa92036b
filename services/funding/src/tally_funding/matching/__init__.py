"""Whose money in suspense is: what was expected, how sure a match is, and a person's word."""
