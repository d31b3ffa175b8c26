"""The second process of `backup --all`: it backs up the clients whose names it reads.

Started by the first, never by people. It answers each line with the report as one line of JSON,
or with `null` for what it could not do: the first then does that itself, and tells people why.
"""

import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from strongroom.app import App
from strongroom.errors import StrongroomError
from strongroom.operations.back_up import BackupReport, MayBeLarge, back_up_prepared
from strongroom.operations.deployment import Deployment
from strongroom.operations.side_by_side import write_answer
from strongroom.vault import Vault


def main() -> None:
    """Answer until nobody asks any more; interrupted, end what is being done and leave."""
    _, home, behalf = sys.argv
    app = App(behalf=behalf)
    with (
        suppress(KeyboardInterrupt, BrokenPipeError),
        app.open(Path(home), concludes=False) as deployment,
    ):
        for line in sys.stdin:
            sys.stdout.write(write_answer(_answer(deployment, line.rstrip("\n"))))
            sys.stdout.flush()


def _answer(deployment: Deployment, name: str) -> BackupReport | None:
    try:
        client = deployment.registry.client(name)
        return back_up_prepared(deployment, client, _unseen, only_small=True)
    except (MayBeLarge, StrongroomError, OSError, sqlite3.Error, MemoryError):
        return None


def _unseen(_progress: Vault.Progress) -> None:
    """Report to nobody: the first process counts what the answer says was read."""


if __name__ == "__main__":
    main()
