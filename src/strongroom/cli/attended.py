"""The command line in a process that ends when nobody attends it any more.

Started by `strongroom up`, never by people: what serves on behalf of another process must not
outlive it. Its stdin says nothing; when it ends, so does this.
"""

import os
import signal
import sys
import threading
import time
from typing import Final

from strongroom.cli.main import run

TIDY_SECONDS: Final = 5.0


def main() -> None:
    """Run a command until it is done or nobody attends it."""
    threading.Thread(target=_leave_when_alone, daemon=True).start()
    sys.exit(run(sys.argv[1:]))


def _leave_when_alone() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    # One that cannot leave tidily leaves as by a power cut, which it must survive anyway.
    time.sleep(TIDY_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
