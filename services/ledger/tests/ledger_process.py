"""The ledger as a process of its own: LEDGER_DIES_AT=point:turn kills it there."""

import os
import sys

from tally_ledger.app import build_app
from tally_ledger.settings import LedgerSettings
from tally_messaging.batch import no_step
from tally_runtime import configure_logging, load_settings, run_all, run_process
from tally_testkit.toy import dies_at


async def _main() -> int:
    configure_logging("ledger", "WARNING")
    point, _, turn = os.environ.get("LEDGER_DIES_AT", "").partition(":")
    app = build_app(
        load_settings(LedgerSettings), step=dies_at(point, int(turn)) if point else no_step
    )
    return await run_all((app,))


if __name__ == "__main__":
    sys.exit(run_process(_main))
