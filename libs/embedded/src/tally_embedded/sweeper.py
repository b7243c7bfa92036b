"""Run as a module by the waiter: stop what a dead owner left behind."""

import shutil
import sys
from pathlib import Path

from tally_embedded.process import ProcessIdentity
from tally_embedded.stack import embedded_stack


def sweep(var: Path, owner: ProcessIdentity, *, remove: bool) -> None:
    """Stop the owner's servers in `var`, and delete the folder if it was temporary."""
    stack = embedded_stack(var, owner=owner)
    if remove:
        stack.reset()
        shutil.rmtree(var, ignore_errors=True)
    else:
        stack.release()


def main() -> None:
    """Arguments: var, pid and start of the owner, `remove` or `keep`."""
    var, pid, started, fate = sys.argv[1:]
    sweep(Path(var), ProcessIdentity(int(pid), float(started)), remove=fate == "remove")


if __name__ == "__main__":
    main()
