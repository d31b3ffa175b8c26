"""`python -m strongroom` and the command `strongroom`."""

import os
import sys

from strongroom.cli.main import run


def main() -> None:
    """Run the command line and leave with its exit code."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        # The reader has left or the disk is full, which was told already. What is still buffered
        # goes nowhere, or the interpreter would complain of it at its end with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
