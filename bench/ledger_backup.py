"""Runs one command of Strongroom and writes how many seconds of it went into the ledger.

Counted is appending facts, and all that the end of a command does for its logs: signing, asking the
witnesses, placing. Making the facts is not: their fields are known to the command anyway.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

from strongroom.app import root  # noqa: E402  # loading is part of a command
from strongroom.cli.main import run  # noqa: E402  # loading is part of a command
from strongroom.ledger import Log  # noqa: E402  # loading is part of a command


class Watch:
    """Adds up the time inside of some functions; one inside another is counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def put_on(self, owner: Any, name: str) -> None:
        """Replace a function by one that is watched."""
        function = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            self._depth += 1
            try:
                return function(*arguments, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - started

        setattr(owner, name, watched)


def main() -> None:
    """Run the command; write the seconds in all and in the ledger to the first argument."""
    watch = Watch()
    watch.put_on(Log, "append")
    watch.put_on(Log, "append_many")
    if hasattr(root, "conclude"):
        watch.put_on(root, "conclude")
    code = run(sys.argv[2:])
    told = {"all": time.perf_counter() - STARTED, "ledger": watch.seconds}
    Path(sys.argv[1]).write_text(json.dumps(told), encoding="utf-8")
    sys.exit(code)


if __name__ == "__main__":
    main()
