"""Fixtures of the whole tree."""

pytest_plugins = ["tally_testkit.plugin"]
