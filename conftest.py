"""Fixtures of the whole tree."""

import sys

from hypothesis import settings

pytest_plugins = ["tally_testkit.plugin"]

# httpx asks for sniffio several times a request. It is not installed, and was looked for in all of the path
# each time: a fifth of what tests of the API took. A name that is None here is known to be missing.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

# No test is judged by the clock: a busy machine must not turn an example into a failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
