"""`python -m tally_testkit.toy`: the toy as a process of its own; TOY_DIES_AT=point:turn kills it there.

TOY_PLANTED_BUG=name makes it wrong on purpose.
"""

import os
import sys

from tally_runtime import configure_logging, load_settings, run_all, run_process
from tally_testkit.toy import ToySettings, build_app, dies_at
from tally_testkit.toy.planted import PLANTED


async def _main() -> int:
    configure_logging("toy", "WARNING")
    settings = load_settings(ToySettings)
    if planted := os.environ.get("TOY_PLANTED_BUG"):
        PLANTED[planted]()
    point, _, turn = os.environ.get("TOY_DIES_AT", "").partition(":")
    app = build_app(settings, dies_at(point, int(turn)) if point else None)

    async def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    return await run_all((app,), ready)


if __name__ == "__main__":
    sys.exit(run_process(_main))
