"""Run as a script: wait until the owner is gone, then become the sweeper.

Arguments: pid of the owner, which is this process's parent, then the command to run after its
end. Standard library only, so that the wait costs a few megabytes.
"""

import os
import sys
import time

POLL_SECONDS = 0.2


def main() -> None:
    owner = int(sys.argv[1])
    while os.getppid() == owner:
        time.sleep(POLL_SECONDS)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command is given by Watchdog


if __name__ == "__main__":
    main()
