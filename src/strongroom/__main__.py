"""`python -m strongroom` and the command `strongroom`."""

import os
import signal
import sys

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
        # All is done and told; only the interpreter's own end is left.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        # The reader has left or the disk is full, which was told already. What is still buffered
        # goes nowhere, or the interpreter would complain of it at its end with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
