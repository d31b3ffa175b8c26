"""`python -m strongroom` and the command `strongroom`."""

import os
import signal
import sys
from contextlib import suppress

# Until a command runs nothing needs an orderly end, and Ctrl-C shows no traceback of an import. A
# shell's background job ignores it from the start, and goes on doing so.
_HEEDED = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _HEEDED:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from strongroom.cli.main import run  # noqa: E402  # loads much, and must find the signal set


def main() -> None:
    """Run the command line and leave with its exit code."""
    if _HEEDED:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run(sys.argv[1:])
    if _HEEDED:
        # All is done and told.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        # It may be closed, the reader may have left, or the disk be full, which was told already.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # Every file and lock was given back by a `with` block, unless a second Ctrl-C cut it short, and
    # then the system does that. The interpreter would now take apart every object it has, for
    # longer than some commands take, before the system frees it all.
    os._exit(code)


if __name__ == "__main__":
    main()
