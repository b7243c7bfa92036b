"""`python -m tally_chaos.launch SERVICE`: a service as its image runs it, with what a fault run needs.

TALLY_CHAOS_DIES_AT=point:turn kills the process there; TALLY_CHAOS_PLANT names a planted bug. It
prints `ready` once it works, and ends when the process that started it is gone.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tally_chaos.orphan import end_with_parent
from tally_chaos.planted import PLANTED
from tally_messaging.batch import no_step
from tally_messaging.launch import EXIT_FAILED, EXIT_USAGE, give_way, service_package
from tally_messaging.service import Service
from tally_runtime import SettingsError, configure_logging, load_settings, run_all, run_process

DIES_AT, PLANT = "TALLY_CHAOS_DIES_AT", "TALLY_CHAOS_PLANT"


def dies_at(spec: str) -> Callable[[str], Awaitable[None]]:
    """A step that kills this process with SIGKILL; `spec` is "point:turn", empty for never."""
    point, _, turn = spec.partition(":")
    if not point:
        return no_step
    seen: Counter[str] = Counter()

    async def step(reached: str) -> None:
        seen[reached] += 1
        if reached == point and seen[reached] == int(turn):
            os.kill(os.getpid(), signal.SIGKILL)

    return step


async def _run(service: Service) -> int:
    async def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    return await run_all((service,), ready, graceful_timeout_s=service.settings.graceful_timeout_s)


def main(arguments: Sequence[str]) -> int:
    """Run the named service; exit codes are those of `tally_messaging.launch`."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tally_chaos.launch SERVICE\n")
        return EXIT_USAGE
    end_with_parent()
    found = service_package(arguments[0])
    if bug := os.environ.get(PLANT):
        PLANTED[bug]()
    try:
        settings = load_settings(found.settings)
        configure_logging(found.name, settings.log_level, json=True)
        service = found.build_app(settings, step=dies_at(os.environ.get(DIES_AT, "")))
    except SettingsError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        return EXIT_FAILED
    give_way(settings)
    return run_process(lambda: _run(service))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
