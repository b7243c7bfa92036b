"""The rails service as a process of its own; RAILS_DIES_AT=point:turn kills it there."""

import os
import sys

from tally_messaging.batch import no_step
from tally_rails.app import build_app
from tally_rails.settings import RailsSettings
from tally_runtime import configure_logging, load_settings, run_all, run_process
from tally_testkit.toy import dies_at


async def _main() -> int:
    configure_logging("rails", "INFO")
    point, _, turn = os.environ.get("RAILS_DIES_AT", "").partition(":")
    step = dies_at(point, int(turn)) if point else no_step
    app = build_app(load_settings(RailsSettings), step=step)

    async def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    return await run_all((app,), ready)


if __name__ == "__main__":
    sys.exit(run_process(_main))
