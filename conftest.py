"""Fixtures of the whole tree."""

from hypothesis import settings

pytest_plugins = ["tally_testkit.plugin"]

# No test is judged by the clock: a busy machine must not turn an example into a failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
